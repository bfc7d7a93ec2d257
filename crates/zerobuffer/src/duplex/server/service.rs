//! The serving thread: what it sees goes to the state machine, and it does what that says.

mod sight;

use super::{
    super::{Failure, ProcessingMode, request_name, response_name},
    connected::Connected,
    exchange::Exchange,
    pool::{JobEnd, Pool, Share},
    responder::Responder,
    run::{Run, create_buffer},
    state::{Action, Event, Report, Rules, State},
    stop::Stop,
};
#[cfg(feature = "async")]
use super::{
    handler::{Handler, caught},
    tasks::Ending,
};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    link::Patience,
    reader::{Frame, Metadata, Reader},
    sync::lock,
};
use sight::Numbers;
use std::{
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Pause while a client is awaited that is about to come or go.
const IDLE_PAUSE: Duration = Duration::from_millis(2);
/// How long a connected client may take to create its response buffer.
const RESPONSE_PATIENCE: Duration = Duration::from_secs(5);

/// What the serving thread alone knows.
pub(super) struct Service {
    run: Arc<Run>,
    /// Its own; others may have their share of it.
    pool: Option<Pool>,
    share: Option<Share>,
    rules: Rules,
    state: State,
    client: Option<Connected>,
    /// A request that was read and is neither handled nor dropped.
    request: Option<Frame>,
    /// What a client begins with, in native form: looked at together with its first request.
    metadata: Option<Result<Option<Metadata>>>,
    numbers: Numbers,
    /// Requests are there whose sender had gone when they were found.
    left_behind: bool,
    /// What the next report is about.
    cause: Option<Error>,
}

impl Service {
    pub(super) fn new(run: Arc<Run>) -> Self {
        let rules = Rules {
            persistent: run.config.persistent,
            client_timeout: run.config.client_timeout,
            response_patience: run.config.client_timeout.unwrap_or(RESPONSE_PATIENCE),
        };
        Self {
            run,
            pool: None,
            share: None,
            rules,
            state: State::new(Instant::now()),
            client: None,
            request: None,
            metadata: None,
            numbers: Numbers::default(),
            left_behind: false,
            cause: None,
        }
    }

    /// Serves until the end; `true`: the client is still there.
    pub(super) fn serve(mut self) -> bool {
        let run = Arc::clone(&self.run);
        if let Err(error) = self.prepare() {
            run.report(&Failure::Buffer { channel: run.channel.clone(), source: error });
            run.ask_to_stop(Stop::Now);
        }
        while !run.is_asked(Stop::Now) && self.state != State::Ended {
            self.advance();
        }
        if run.is_asked(Stop::Now) {
            if let Some(share) = &self.share {
                share.cancel();
            }
        } else {
            // Draining, or no longer needed: what has been read is answered.
            run.ask_to_stop(Stop::Drain);
        }
        drop(self.request.take());
        // For running handlers.
        self.share.iter().for_each(Share::wait);
        let turns = self.client.take().map(|client| client.turns);
        let send_left = || turns.iter().for_each(|turns| turns.send_left());
        // A place among several clients is free soon after its client has gone.
        #[cfg(feature = "async")]
        let is_deserted = || {
            run.lent().is_some()
                && turns.as_ref().is_none_or(|turns| turns.handle.reader_loss(true).is_some())
        };
        #[cfg(feature = "async")]
        run.tasks.wait(|| run.is_asked(Stop::Now) || is_deserted(), send_left);
        send_left();
        if let Some(turns) = turns {
            turns.wait_for_answers();
            turns.close();
        }
        if let Some(guests) = &run.guests {
            // First: nobody may come to a channel that is served no more.
            run.close_own_reader();
            guests.wait();
        }
        drop(self.pool.take());
        let is_client_there = lock(&run.handle).is_writer_connected();
        run.close_reader();
        // Before: a thread that waits for the end may hand on what was logged.
        log::info!(target: "zerobuffer::duplex::server", "server of channel '{}' has ended", run.channel);
        run.end();
        is_client_there
    }

    fn prepare(&mut self) -> Result<()> {
        let mut threads = vec![thread::current().id()];
        let workers = match self.run.config.mode {
            ProcessingMode::ThreadPool(workers) => workers.get(),
            ProcessingMode::SingleThread => usize::from(self.run.guests.is_some()),
        };
        if let Some(share) = self.run.lent() {
            self.share = Some(share.clone());
        } else if workers > 0 {
            let around = self.run.config.around.as_ref();
            let pool = Pool::start(workers, "zerobuffer-duplex-worker", around);
            let pool = pool.map_err(|source| Error::Os {
                operation: "start",
                object: format!("{workers} threads"),
                source,
            })?;
            self.share = Some(pool.share());
            self.pool = Some(pool);
        }
        if let Some(share) = &self.share {
            threads.extend(share.threads());
        }
        self.run.set_threads(threads);
        match (&self.run.guests, &self.share) {
            (Some(guests), Some(share)) => guests.open(share.another()),
            _ => Ok(()),
        }
    }

    /// One look, and what follows from it.
    fn advance(&mut self) {
        if let Some(client) = &self.client {
            client.turns.send_left();
        }
        if self.run.is_asked(Stop::Drain) && !self.is_to_meet_a_client() {
            self.apply(Event::Drain);
        }
        self.cause = None;
        match self.next_event() {
            Ok(Some(event)) => self.apply(event),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
    }

    /// Whether requests were sent by a client that has not been met: they are answered, too. Those
    /// of one that was reported to have no response buffer never are.
    fn is_to_meet_a_client(&self) -> bool {
        matches!(self.state, State::Idle { .. } | State::Unanswerable { obstacle: Report::Due, .. })
            && lock(&self.run.reader).as_mut().is_some_and(Reader::has_unread)
    }

    /// The request buffer cannot be read: it was closed, or it is unusable.
    fn fail(&mut self, error: Error) {
        if matches!(error, Error::Closed { .. } | Error::Forked { .. }) {
            return self.run.ask_to_stop(Stop::Now);
        }
        self.cause = Some(error);
        self.apply(Event::Broken);
    }

    fn apply(&mut self, event: Event) {
        let before = self.state;
        let (state, actions) = before.on(event, &self.rules, Instant::now);
        self.state = state;
        for action in actions {
            self.act(*action, before);
        }
    }

    fn act(&mut self, action: Action, before: State) {
        match action {
            Action::Begin => {
                let seen = self.metadata.take();
                if let Some(client) = &mut self.client {
                    let pool = self.share.as_ref().filter(|_| self.run.shares_threads());
                    client.begin(&self.run, seen, pool);
                }
            }
            Action::Handle => self.handle(),
            Action::Drop => self.request = None,
            Action::Sweep => match self.sweep() {
                Ok(event) => self.apply(event),
                Err(error) => self.fail(error),
            },
            Action::Close => self.close(),
            Action::RenewMetadata => {
                let handle = lock(&self.run.handle).clone();
                handle.renew_metadata(false);
            }
            Action::ForgetMetadata => {
                let handle = lock(&self.run.handle).clone();
                handle.forget_metadata();
            }
            Action::Forget => self.numbers.forget(),
            Action::Recreate => self.recreate(),
            Action::Pause => thread::sleep(IDLE_PAUSE),
            // Not ended by a stop, whose patience is longer.
            Action::PauseLong => thread::sleep(WAIT_SLICE),
            Action::ReportAbsence
            | Action::ReportUnanswerable
            | Action::ReportGone
            | Action::ReportBroken => {
                self.report(action, before);
            }
        }
    }

    fn report(&mut self, action: Action, before: State) {
        let channel = self.run.channel.clone();
        let waited = match before {
            State::Idle { since, .. } | State::Unanswerable { since, .. } => since.elapsed(),
            _ => Duration::ZERO,
        };
        // One that was dropped before it was seen is known by its requests alone.
        let cause = self.cause.take();
        let source = cause.unwrap_or_else(|| Error::WriterGone { name: request_name(&channel), pid: 0 });
        let failure = match action {
            Action::ReportAbsence => Failure::NoClient { channel, waited },
            Action::ReportUnanswerable => Failure::NoResponseBuffer { channel, waited, source },
            Action::ReportBroken => Failure::Buffer { channel, source },
            _ => Failure::ClientGone { channel, source },
        };
        // Nobody who learns of the end finds the server running.
        // One client's absence is no news beside others.
        if action == Action::ReportAbsence
            && self.run.guests.as_ref().is_some_and(|guests| guests.is_in_use())
        {
            return;
        }
        if !self.rules.persistent {
            self.run.ask_to_stop(Stop::Drain);
        }
        self.run.report(&failure);
    }

    /// Leaves the client's response buffer. A handler that answers it gets that error from the
    /// writer.
    fn close(&mut self) {
        let Some(Connected { turns, knows_metadata }) = self.client.take() else { return };
        if self.cause.is_none() {
            let loss = turns.handle.reader_loss(true);
            self.cause = Some(loss.unwrap_or_else(|| Error::closed(turns.handle.name())));
        }
        turns.close();
        let handle = lock(&self.run.handle).clone();
        handle.renew_metadata(knows_metadata);
    }

    /// The request buffer is unusable: a new one takes its place.
    ///
    /// Something may keep it from being made: a foreign file or a live reader of that name, or a
    /// full `/dev/shm`. Nothing announces that this is over, so the server tries again once per
    /// wait slice. Each try takes locks that all creations on the machine share. A stop is noticed
    /// within one slice.
    fn recreate(&mut self) {
        self.run.close_reader();
        let stops = || self.run.is_asked(Stop::Drain);
        let mut go_on = || if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut patience = Patience::forever().asking(&mut go_on);
        let mut reported = String::new();
        if stops() {
            return;
        }
        loop {
            match create_buffer(&self.run.channel, &self.run.config) {
                Ok(reader) => {
                    *lock(&self.run.handle) = reader.handle();
                    *lock(&self.run.reader) = Some(reader);
                    return;
                }
                Err(error) => {
                    // Once for each obstacle, not with each try.
                    let text = error.to_string();
                    if text != reported {
                        log::warn!(target: "zerobuffer::duplex::server", "{text}");
                        reported = text;
                    }
                    if patience.pause(WAIT_SLICE, Instant::now()).is_break() || patience.ends(Instant::now())
                    {
                        return;
                    }
                }
            }
        }
    }

    /// Has the request handled, here or by the pool.
    fn handle(&mut self) {
        let (Some(frame), Some(client)) = (self.request.take(), &self.client) else {
            log::error!(target: "zerobuffer::duplex::server", "channel '{}': a request without a client is dropped", self.run.channel);
            return;
        };
        let turns = Arc::clone(&client.turns);
        let place = turns.take_place();
        let exchange = Arc::new(Exchange::default());
        let responder = Responder::new(&turns, place, frame.sequence(), &exchange);
        let run = Arc::clone(&self.run);
        let job = move |fate| {
            if fate == JobEnd::Cancelled {
                return exchange.cancelled();
            }
            let request = frame.sequence();
            #[cfg(feature = "async")]
            if let Handler::Begin(begin) = &*run.handler {
                let (channel, report) = (turns.channel.clone(), Arc::clone(&turns));
                let told = move |failed| exchange.returned(&turns, place, request, failed);
                let ending = Ending::new(&run.tasks, told);
                // The executor's code: one that panics has dropped the request's future.
                let begun = caught(|| {
                    begin(frame, responder, ending);
                    Ok(())
                });
                if let Err(source) = begun {
                    report.report(&Failure::Handler { channel, request, source });
                }
                return;
            }
            let failed = run.handler.call(frame, responder).err();
            exchange.returned(&turns, place, request, failed);
        };
        match &self.share {
            Some(share) => share.run(job),
            None => job(JobEnd::Handled),
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod tests;
