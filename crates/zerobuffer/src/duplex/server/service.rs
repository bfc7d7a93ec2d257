//! The serving thread: wait for a client, read its requests, have them handled.

use super::{
    super::{Failure, ProcessingMode, request_name, response_name},
    case::Case,
    connected::Connected,
    pool::{Fate, Pool},
    responder::Responder,
    run::{Run, create_buffer},
    stop::Stop,
    turns::Turns,
};
use crate::{
    config::WriterConfig,
    error::{Error, Result},
    reader::{Frame, ReaderHandle},
    sync::lock,
    waiter::WAIT_SLICE,
    writer::Writer,
};
use std::{
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long a client may keep its response buffer without a request writer.
const PARTING: Duration = Duration::from_millis(500);
/// Pause while one of these is waited for.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a connected client may take to create its response buffer.
const RESPONSE_PATIENCE: Duration = Duration::from_secs(5);

/// What the serving thread alone knows.
pub(super) struct Service {
    run: Arc<Run>,
    pool: Option<Pool>,
    client: Option<Connected>,
    /// A request that was read when its client turned out to be a new one.
    held: Option<Frame>,
    /// The number of the client's next request. Its successor starts with another one: 1 if it is of another
    /// implementation, else one is left out. `None` when no request of the client can be unread.
    coming: Option<u64>,
    /// Since when there is no client; `None` when that has been reported.
    lonely_since: Option<Instant>,
    /// There is a client without a response buffer.
    mute: Option<Mute>,
    /// The end of the last client has been reported.
    told: bool,
}

/// A client whose response buffer is looked for.
struct Mute {
    since: Instant,
    /// That it has none was reported, and its requests are dropped.
    given_up: bool,
}

impl Service {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self {
            run,
            pool: None,
            client: None,
            held: None,
            coming: None,
            lonely_since: Some(Instant::now()),
            mute: None,
            told: false,
        }
    }

    pub(super) fn serve(mut self) {
        let run = Arc::clone(&self.run);
        if let Err(error) = self.prepare() {
            run.report(&Failure::Buffer { channel: run.channel.clone(), source: error });
            run.ask_to_stop(Stop::Now);
        }
        while !run.is_asked(Stop::Now) {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(source) => self.recover(source),
            }
        }
        if run.is_asked(Stop::Now) {
            if let Some(pool) = &self.pool {
                pool.cancel();
            }
        } else {
            // Draining, or no longer needed: what has been read is answered.
            run.ask_to_stop(Stop::Drain);
        }
        drop(self.held.take());
        // Waits for running handlers.
        drop(self.pool.take());
        if let Some(client) = self.client.take() {
            client.turns.close();
        }
        run.close_reader();
        // Before: whoever waits for the end may hand on what was logged.
        log::info!(target: "zerobuffer::duplex::server", "server of channel '{}' has ended", run.channel);
        run.end();
    }

    fn prepare(&mut self) -> Result<()> {
        let mut threads = vec![thread::current().id()];
        if let ProcessingMode::ThreadPool(workers) = self.run.config.mode {
            let pool = Pool::start(workers.get(), "zerobuffer-duplex-worker");
            let pool = pool.map_err(|source| Error::Os {
                operation: "start",
                object: format!("{workers} threads"),
                source,
            })?;
            threads.extend(pool.threads());
            self.pool = Some(pool);
        }
        self.run.set_threads(threads);
        Ok(())
    }

    /// One round. `false`: the run is over.
    fn step(&mut self) -> Result<bool> {
        let Some(Connected { turns, .. }) = &self.client else { return self.await_client() };
        if let Some(pool) = &self.pool
            && !pool.has_room(WAIT_SLICE)
        {
            return Ok(true);
        }
        let draining = self.run.is_asked(Stop::Drain);
        let read = match lock(&self.run.reader).as_mut() {
            Some(reader) if draining => reader.try_read(),
            Some(reader) => reader.read_timeout(WAIT_SLICE),
            None => return Ok(false),
        };
        match read {
            Ok(Some(frame)) => {
                let continues = self.coming == Some(frame.sequence());
                self.coming = Some(frame.sequence().wrapping_add(1));
                let Some(client) = &mut self.client else { return Ok(true) };
                // A client leaves its response buffer before its successor can send. One that was killed is told by its
                // presence where a successor cannot reach what it has left; asked only where another client's requests
                // may begin.
                let responses = &client.turns.handle;
                if responses.has_reader_closed() || (!continues && responses.reader_loss(true).is_some()) {
                    self.held = Some(frame).filter(|_| !continues);
                    return Ok(self.lose_client(None));
                }
                client.parted_since = None;
                if !continues && mem::take(&mut client.begun) {
                    // What came before was its predecessor's, which had gone before it was met.
                    if !self.say_dropped() {
                        return Ok(false);
                    }
                    self.told = false;
                } else if continues && !client.begun {
                    log::info!(target: "zerobuffer::duplex::server", "channel '{}': request {} of a client that has gone is dropped", self.run.channel, frame.sequence());
                    return Ok(self.told || self.say_dropped());
                }
                self.handle(frame);
                Ok(true)
            }
            Ok(None) if draining => Ok(false),
            Ok(None) => Ok(match turns.handle.reader_loss(true) {
                Some(loss) => self.lose_client(Some(loss)),
                None => true,
            }),
            Err(error @ Error::WriterGone { .. }) => {
                // All its requests are read.
                self.coming = None;
                let keeps_responses = turns.handle.reader_loss(true).is_none();
                if keeps_responses && !draining && !self.is_parted() {
                    thread::sleep(PAUSE);
                    return Ok(true);
                }
                Ok(self.lose_client(Some(error)) && !draining)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the client has been without a request writer for long: one that closes leaves its two buffers one after
    /// the other, and a new one may have its response buffer before its predecessor's end is noticed.
    fn is_parted(&mut self) -> bool {
        let Some(client) = &mut self.client else { return true };
        client.parted_since.get_or_insert_with(Instant::now).elapsed() >= PARTING
    }

    /// Waits a slice for a client and for its response buffer.
    fn await_client(&mut self) -> Result<bool> {
        if self.run.is_asked(Stop::Drain) && self.held.is_none() {
            return Ok(false);
        }
        let (attached, left) = match lock(&self.run.reader).as_mut() {
            // Else it returns for requests that somebody has left who is gone.
            Some(reader) => (reader.wait_for_writer(WAIT_SLICE)?, !reader.is_attached()),
            None => return Ok(false),
        };
        let handle = lock(&self.run.handle).clone();
        if !attached {
            // A request whose sender is gone has nobody to be answered to.
            self.held = None;
            self.mute = None;
            handle.renew_metadata(false);
            return Ok(self.check_lonely());
        }
        if left || !handle.is_writer_connected() {
            // So is the sender of what has been read.
            self.mute = None;
            let dropped = self.held.take().is_some();
            return self.clear_up(&handle, left, dropped);
        }
        self.told = false;
        self.mute.get_or_insert_with(|| Mute { since: Instant::now(), given_up: false });
        let config = WriterConfig::default().connect_timeout(WAIT_SLICE).wait(self.run.config.wait);
        match Writer::connect_with(&response_name(&self.run.channel), config) {
            Ok(writer) => {
                self.meet(writer);
                if let Some(frame) = self.held.take() {
                    self.handle(frame);
                }
                Ok(true)
            }
            Err(source) => self.miss_response_buffer(&handle, source),
        }
    }

    fn meet(&mut self, writer: Writer) {
        let run = Arc::clone(&self.run);
        let report = Arc::new(move |failure: &Failure| run.report(failure));
        let (timeout, stop) = (self.run.config.write_timeout, Arc::clone(&self.run.stop));
        let turns = Turns::new(&self.run.channel, writer, timeout, stop, report);
        let numbering = if turns.stamps { "free" } else { "consecutive" };
        log::info!(target: "zerobuffer::duplex::server", "channel '{}': a client is connected, {numbering} sequences", self.run.channel);
        self.client = Some(Connected::new(turns));
        if self.mute.take().is_some_and(|mute| mute.given_up) {
            // What it has sent so far was dropped; what comes now need not be its first.
            self.coming = None;
        }
    }

    fn miss_response_buffer(&mut self, handle: &ReaderHandle, source: Error) -> Result<bool> {
        let waited = self.mute.as_ref().map(|mute| mute.since.elapsed()).unwrap_or_default();
        let transient = matches!(
            source,
            Error::NotFound { .. }
                | Error::NotReady { .. }
                | Error::WriterAlreadyConnected { .. }
                | Error::CrashNotNoticed { .. }
        );
        let patience = self.run.config.client_timeout.unwrap_or(RESPONSE_PATIENCE);
        if transient && waited < patience {
            return Ok(true);
        }
        if !transient {
            // The next try after a pause.
            thread::sleep(WAIT_SLICE);
        }
        // Requests that cannot be answered are not kept.
        self.held = None;
        if !self.clear_up(handle, false, false)? {
            return Ok(false);
        }
        if self.held.is_some() {
            return Ok(true);
        }
        if self.told || self.mute.as_mut().is_none_or(|mute| mem::replace(&mut mute.given_up, true)) {
            return Ok(true);
        }
        self.stop_unless_persistent();
        self.run.report(&Failure::NoResponseBuffer { channel: self.run.channel.clone(), waited, source });
        Ok(self.run.config.persistent)
    }

    /// Drops requests that cannot be answered; `left`: the first is of a client that has gone, whoever is there now;
    /// `dropped`: one has been dropped before. `false`: the run is over.
    fn clear_up(&mut self, handle: &ReaderHandle, mut left: bool, mut dropped: bool) -> Result<bool> {
        let lost = loop {
            let read = match lock(&self.run.reader).as_mut() {
                Some(reader) => reader.try_read(),
                None => return Ok(false),
            };
            match read {
                Ok(Some(frame)) => {
                    let next = frame.sequence().wrapping_add(1);
                    let of_the_last = mem::take(&mut left);
                    let continues = self.coming.replace(next) == Some(frame.sequence()) || of_the_last;
                    // A client may have come since its response buffer was looked for: it is looked for again.
                    if !continues && handle.is_writer_connected() {
                        self.held = Some(frame);
                        return Ok(!dropped || self.told || self.say_dropped());
                    }
                    dropped = true;
                }
                Ok(None) => {
                    thread::sleep(PAUSE);
                    // A client that is there, without a response buffer, is reported as that.
                    let known = self.told || self.mute.is_some();
                    return Ok(!dropped || known || self.say_dropped());
                }
                Err(error @ Error::WriterGone { .. }) => {
                    self.coming = None;
                    break error;
                }
                Err(error) => return Err(error),
            }
        };
        self.mute = None;
        Ok(self.told || self.say_gone(lost))
    }

    /// Reports, once, that no client has come in time. `false`: the run is over.
    fn check_lonely(&mut self) -> bool {
        let Some((since, timeout)) = self.lonely_since.zip(self.run.config.client_timeout) else {
            return true;
        };
        let waited = since.elapsed();
        if waited < timeout {
            return true;
        }
        self.lonely_since = None;
        self.stop_unless_persistent();
        self.run.report(&Failure::NoClient { channel: self.run.channel.clone(), waited });
        self.run.config.persistent
    }

    /// Nobody who is told of the end finds the server running.
    fn stop_unless_persistent(&self) {
        if !self.run.config.persistent {
            self.run.ask_to_stop(Stop::Drain);
        }
    }

    /// The client has gone. `false`: the run is over.
    fn lose_client(&mut self, reason: Option<Error>) -> bool {
        let Some(Connected { turns, knows_metadata, .. }) = self.client.take() else { return true };
        let reason = reason.or_else(|| turns.handle.reader_loss(true));
        let source = reason.unwrap_or_else(|| Error::closed(turns.handle.name()));
        // A handler that answers it is told so by the writer.
        turns.close();
        let handle = lock(&self.run.handle).clone();
        handle.renew_metadata(knows_metadata);
        self.say_gone(source)
    }

    /// A client came, sent and went before the server met it. `false`: the run is over.
    fn say_dropped(&mut self) -> bool {
        self.say_gone(Error::WriterGone { name: request_name(&self.run.channel), pid: 0 })
    }

    fn say_gone(&mut self, source: Error) -> bool {
        self.lonely_since = Some(Instant::now());
        self.told = true;
        self.stop_unless_persistent();
        self.run.report(&Failure::ClientGone { channel: self.run.channel.clone(), source });
        self.run.config.persistent
    }

    /// The request buffer is unusable: a new one takes its place.
    fn recover(&mut self, source: Error) {
        if matches!(source, Error::Closed { .. } | Error::Forked { .. }) {
            self.run.ask_to_stop(Stop::Now);
            return;
        }
        self.stop_unless_persistent();
        self.run.report(&Failure::Buffer { channel: self.run.channel.clone(), source });
        if let Some(client) = self.client.take() {
            client.turns.close();
        }
        self.held = None;
        self.coming = None;
        self.mute = None;
        self.run.close_reader();
        if !self.run.config.persistent {
            return self.run.ask_to_stop(Stop::Now);
        }
        while !self.run.is_asked(Stop::Drain) {
            match create_buffer(&self.run.channel, &self.run.config) {
                Ok(reader) => {
                    *lock(&self.run.handle) = reader.handle();
                    *lock(&self.run.reader) = Some(reader);
                    return;
                }
                Err(error) => {
                    log::warn!(target: "zerobuffer::duplex::server", "{error}");
                    thread::sleep(WAIT_SLICE);
                }
            }
        }
    }

    /// Has a request handled, here or by the pool.
    fn handle(&mut self, frame: Frame) {
        let Some(client) = &mut self.client else { return };
        if !client.begun {
            client.begin(&self.run);
        }
        let turns = Arc::clone(&client.turns);
        let place = turns.take_place();
        let case = Arc::new(Case::default());
        let responder = Responder::new(&turns, place, frame.sequence(), &case);
        let run = Arc::clone(&self.run);
        let job = move |fate| {
            if fate == Fate::Cancelled {
                return case.cancelled();
            }
            let request = frame.sequence();
            let failed = run.handler.call(frame, responder).err();
            case.returned(&turns, request, failed);
        };
        match &self.pool {
            Some(pool) => pool.run(job),
            None => job(Fate::Handled),
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod tests;
