//! A stream on its way in: the messages of one sender, put into a ring one after the other.
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample};
use zenoh::{Session, Wait as _};
use zerobuffer::{Error, Owner, Patience, Writer, WriterConfig, observe};

use crate::fail::Fail;
use crate::keys::{self, Stream};
use crate::ls::Line;
use crate::path::{self, Mark};
use crate::recv::Args;
use crate::stop::{LOOK, Stop};
use crate::wire::{HEADER, Header, Hop, Kind, MAX_HOPS, MAX_METADATA, Opening, Status};
use crate::{clock, say};

/// Messages that may wait for the ring. No sender has more under way.
const MOST_MESSAGES: usize = 32;
/// How often the sender hears how far this bridge is.
const TELL: Duration = Duration::from_millis(500);
/// Between two attempts after a refusal.
const AGAIN: Duration = Duration::from_secs(1);

/// The senders that offer a stream, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers(Arc<Mutex<Vec<String>>>);

impl Offers {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for it.
    pub(crate) fn add(&self, sender: &str, most: usize) -> bool {
        let mut senders = self.lock();
        let has_room = senders.len() < most;
        if has_room && !senders.iter().any(|other| other == sender) {
            senders.push(sender.to_owned());
        }
        has_room
    }

    pub(crate) fn remove(&self, sender: &str) {
        self.lock().retain(|other| other != sender);
    }

    /// Others get their turn.
    fn put_last(&self, sender: &str) {
        let mut senders = self.lock();
        if let Some(at) = senders.iter().position(|other| other == sender) {
            let sender = senders.remove(at);
            senders.push(sender);
        }
    }

    fn first(&self) -> Option<String> {
        self.lock().first().cloned()
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn has(&self, sender: &str) -> bool {
        self.lock().iter().any(|other| other == sender)
    }
}

/// What has arrived and is not dealt with.
#[derive(Default)]
struct Inbox {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Header, ZBytes)>,
    bytes: u64,
    /// Of the last message.
    epoch: u64,
    number: u64,
    /// Why nothing more is taken.
    broken: Option<String>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message came. This is the engine's thread: nothing is waited for.
    fn take(&self, sample: &Sample, most: u64) {
        let mut waiting = self.lock();
        if waiting.broken.is_some() {
            return;
        }
        // Not joined to one piece before its length is looked at.
        let header = match sample.attachment().filter(|bytes| bytes.len() == HEADER) {
            Some(bytes) => Header::decode(&bytes.to_bytes()),
            None => Header::decode(&[]),
        };
        let length = sample.payload().len() as u64;
        match header {
            Err(refused) => waiting.broken = Some(refused.0),
            Ok(header) if header.length != length => {
                waiting.broken =
                    Some(format!("a message says that it has {} bytes, and has {length}", header.length));
            }
            Ok(_) if waiting.messages.len() >= MOST_MESSAGES || waiting.bytes + length > most => {
                waiting.broken = Some(format!(
                    "the sender does not wait: {} messages of {} bytes are here already",
                    waiting.messages.len(),
                    waiting.bytes
                ));
            }
            Ok(header) => {
                (waiting.epoch, waiting.number) = (header.epoch, header.number);
                waiting.bytes += length;
                waiting.messages.push_back((header, sample.payload().clone()));
            }
        }
        drop(waiting);
        self.changed.notify_all();
    }

    /// The next message; `None` if none comes in time.
    fn next(&self, time: Duration) -> Result<Option<(Header, ZBytes)>, String> {
        let mut waiting = self.lock();
        if waiting.messages.is_empty() && waiting.broken.is_none() {
            waiting = self.changed.wait_timeout(waiting, time).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((header, payload)) = waiting.messages.pop_front() {
            waiting.bytes -= header.length;
            return Ok(Some((header, payload)));
        }
        waiting.broken.clone().map_or(Ok(None), Err)
    }

    /// Why nothing more is taken, if that is so.
    fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// The last message that came of an epoch.
    fn received(&self, epoch: u64) -> u64 {
        let waiting = self.lock();
        if waiting.epoch == epoch { waiting.number } else { 0 }
    }
}

/// How a lane has ended.
#[derive(Debug)]
enum End {
    /// The run ends.
    Stopped,
    /// The sender is gone, or out of reach, or begins anew.
    SenderGone,
    /// The ring is gone.
    RingGone,
    /// What comes cannot be put into this ring.
    Refused(String),
    /// Another bridge fills it.
    Taken(String),
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    frames: u64,
    bytes: u64,
    /// Missing between frames that came.
    lost: u64,
    /// Left out by the sender for this receiver, as it says.
    left_out: u64,
    again: u64,
    age: Option<u64>,
}

/// One stream, and the ring that it fills.
pub(crate) struct Fill {
    session: Session,
    receiver: String,
    stream: Stream,
    ring: String,
    offers: Offers,
    largest: u64,
    owner: Owner,
    /// It is all that the run is for: what refuses it from the start ends the run.
    alone: bool,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    counts: Counts,
    live: bool,
    has_sender: bool,
    refused: Option<String>,
}

/// The ring while it is filled: it stays so while the link is broken.
#[derive(Default)]
struct Target {
    writer: Option<Writer>,
    mark: Option<Mark>,
    metadata: Option<Vec<u8>>,
    path: Vec<Hop>,
    run: u64,
    sequence: u64,
}

impl Target {
    /// The reader of the ring sees that the stream has ended.
    fn leave(&mut self) {
        self.writer = None;
        self.mark = None;
    }
}

impl Fill {
    pub(crate) fn new(
        session: &Session,
        receiver: &str,
        stream: &str,
        ring: &str,
        offers: Offers,
        args: &Args,
        alone: bool,
    ) -> Fill {
        Fill {
            session: session.clone(),
            receiver: receiver.to_owned(),
            stream: stream.to_owned(),
            ring: ring.to_owned(),
            offers,
            largest: args.max_frame,
            owner: args.owner,
            alone,
            shown: Mutex::default(),
        }
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, line: &mut Line) {
        let shown = self.shown();
        let counts = shown.counts;
        "recv".clone_into(&mut line.role);
        line.ring.clone_from(&self.ring);
        (line.frames, line.bytes, line.lost) = (counts.frames, counts.bytes, counts.lost);
        (line.live, line.peers) = (shown.live, u64::from(shown.has_sender));
        // Milliseconds of any length that matters are exact.
        #[allow(clippy::cast_precision_loss)]
        let age = counts.age.map(|age| age as f64 / 1e6);
        line.age_ms = age;
        line.refused.clone_from(&shown.refused);
    }

    pub(crate) fn summary(&self) -> String {
        let Counts { frames, lost, left_out, again, .. } = self.shown().counts;
        format!(
            "{}: {frames} frames into '{}', {lost} missing between them, {left_out} left out by the sender, {again} came twice",
            self.stream, self.ring
        )
    }

    /// Fills the ring until the run ends. An error: another bridge does so from the start.
    pub(crate) fn run(&self, stop: &Stop) -> Result<(), Fail> {
        let mut target = Target::default();
        let (mut told, mut two) = (say::Once::default(), say::Once::default());
        let mut ever = false;
        while !stop.is_set() {
            if target.writer.as_ref().is_some_and(|writer| !writer.is_reader_connected()) {
                target.leave();
            }
            self.shown().live = target.writer.is_some();
            let sender = self.offers.first();
            let is_there = target.writer.is_some() || self.ring_is_there(&mut told);
            let Some(sender) = sender.filter(|_| is_there) else {
                stop.sleep(LOOK);
                continue;
            };
            if self.offers.count() > 1 {
                two.warn(format!(
                    "{}: more than one bridge sends this stream; {sender} is taken, the others are refused",
                    self.stream
                ));
            }
            let end = self.lane(&sender, &mut target, stop);
            self.shown().has_sender = false;
            match end {
                End::Stopped => break,
                End::SenderGone => stop.sleep(Duration::ZERO),
                End::RingGone => {
                    target.leave();
                    stop.sleep(LOOK)
                }
                End::Taken(reason) if self.alone && !ever => return Err(Fail::taken(reason)),
                End::Refused(reason) | End::Taken(reason) => {
                    target.leave();
                    self.offers.put_last(&sender);
                    told.warn(format!("{}: {reason}", self.stream));
                    self.shown().refused = Some(reason);
                    stop.sleep(AGAIN)
                }
            };
            ever |= target.writer.is_some();
        }
        Ok(())
    }

    /// Whether a program has created the buffer.
    fn ring_is_there(&self, told: &mut say::Once) -> bool {
        match observe::inspect(&self.ring) {
            Ok(info) => info.reader.is_some_and(|reader| reader.alive),
            Err(Error::NotFound { .. }) => false,
            Err(error) => {
                told.warn(format!("{}: {error}", self.stream));
                false
            }
        }
    }

    /// Receives from one sender.
    fn lane(&self, sender: &str, target: &mut Target, stop: &Stop) -> End {
        let inbox = Arc::new(Inbox::default());
        let into = Arc::clone(&inbox);
        // No sender has more than a few frames under way.
        let most = self.largest.saturating_mul(8);
        let subscriber = self
            .session
            .declare_subscriber(keys::data(sender, &self.receiver, &self.stream))
            .allowed_origin(Locality::Remote)
            .callback(move |sample| into.take(&sample, most))
            .wait();
        // After the subscriber: the sender begins when it sees the token.
        let token = self
            .session
            .liveliness()
            .declare_token(keys::recv_token(&self.receiver, sender, &self.stream))
            .wait();
        let (subscriber, token) = match (subscriber, token) {
            (Ok(subscriber), Ok(token)) => (subscriber, token),
            (Err(error), _) | (_, Err(error)) => return End::Refused(format!("the engine refuses: {error}")),
        };
        let back = keys::back(sender, &self.receiver, &self.stream);
        let mut lane = Lane {
            fill: self,
            sender,
            back,
            inbox: &inbox,
            target,
            stop,
            status: Status::default(),
            told: None,
        };
        lane.status.lost = self.shown().counts.lost;
        let end = lane.run();
        let reason = match &end {
            End::Refused(reason) | End::Taken(reason) => reason.clone(),
            _ => String::new(),
        };
        if !reason.is_empty() {
            lane.status.reason = reason;
            lane.tell();
        }
        let _ = token.undeclare().wait();
        let _ = subscriber.undeclare().wait();
        end
    }

    fn say(&self, status: &Status, back: &str) {
        let put = self
            .session
            .put(back, status.encode())
            .congestion_control(CongestionControl::Block)
            .priority(Priority::RealTime)
            .allowed_destination(Locality::Remote)
            .wait();
        if let Err(error) = put {
            say::warn(&format!("{}: the engine does not send: {error}", self.stream));
        }
    }
}

/// The way from one sender into the ring.
struct Lane<'a> {
    fill: &'a Fill,
    sender: &'a str,
    back: String,
    inbox: &'a Inbox,
    target: &'a mut Target,
    stop: &'a Stop,
    status: Status,
    /// When the sender last heard of this bridge.
    told: Option<Instant>,
}

impl Lane<'_> {
    fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.look() {
                return end;
            }
            let step = match self.inbox.next(LOOK) {
                Ok(None) => Ok(()),
                Ok(Some((header, payload))) => self.message(&header, &payload),
                Err(reason) => Err(End::Refused(reason)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Whether the lane goes on; tells the sender where it is from time to time.
    fn look(&mut self) -> Result<(), End> {
        if self.stop.is_set() {
            return Err(End::Stopped);
        }
        if !self.fill.offers.has(self.sender) {
            return Err(End::SenderGone);
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            let writer = self.target.writer.as_ref();
            if writer.is_some_and(|writer| !writer.is_reader_connected()) {
                return Err(End::RingGone);
            }
            if writer.is_none() && !self.fill.ring_is_there(&mut say::Once::default()) {
                return Err(End::RingGone);
            }
            self.tell();
        }
        Ok(())
    }

    fn tell(&mut self) {
        self.status.received = self.inbox.received(self.status.epoch).max(self.status.taken);
        (self.status.run, self.status.sequence) = (self.target.run, self.target.sequence);
        self.fill.say(&self.status, &self.back);
        self.told = Some(Instant::now());
    }

    fn message(&mut self, header: &Header, payload: &ZBytes) -> Result<(), End> {
        let begins = header.kind == Kind::Open && header.number == 1 && header.epoch != self.status.epoch;
        if begins {
            self.status.epoch = header.epoch;
            self.status.taken = 0;
        } else if header.epoch != self.status.epoch {
            // Of an attempt that was given up.
            return Ok(());
        } else if header.number != self.status.taken + 1 {
            // The engine has lost one. The token goes and comes, and so the sender begins anew.
            say::warn(&format!("{}: a message was lost on the way; the lane begins anew", self.fill.stream));
            return Err(End::SenderGone);
        }
        match header.kind {
            Kind::Open => self.open(header, payload)?,
            Kind::Frame => self.frame(header, payload)?,
        }
        self.status.taken = header.number;
        self.tell();
        Ok(())
    }

    fn open(&mut self, header: &Header, payload: &ZBytes) -> Result<(), End> {
        if payload.len() > MAX_METADATA + 1024 {
            return Err(End::Refused(format!("an opening of {} bytes", payload.len())));
        }
        let opening = Opening::decode(&payload.to_bytes()).map_err(|refused| End::Refused(refused.0))?;
        let ring = &self.fill.ring;
        if opening.path.contains(&path::hop(ring)) {
            return Err(End::Refused(format!(
                "a loop of bridges: the stream comes from the buffer '{ring}' of this machine, which it would fill"
            )));
        }
        if opening.path.len() >= MAX_HOPS {
            return Err(End::Refused(format!(
                "the stream went through {MAX_HOPS} buffers already: a loop of bridges?"
            )));
        }
        if header.run != self.target.run {
            (self.target.run, self.target.sequence) = (header.run, 0);
        }
        {
            let mut shown = self.fill.shown();
            (shown.live, shown.has_sender, shown.refused) = (opening.live, true, None);
        }
        if !opening.live {
            self.target.leave();
            return Ok(());
        }
        // Metadata are a writer's: other ones come with another writer.
        let target = &*self.target;
        if target.writer.is_some() && opening.metadata == target.metadata && opening.path == target.path {
            return Ok(());
        }
        self.target.leave();
        // First: a bridge that sees the writer has to find the path.
        let mark = self.mark(&opening)?;
        self.target.mark = Some(mark);
        match self.connect(&opening) {
            Ok(writer) => self.target.writer = Some(writer),
            Err(end) => {
                self.target.leave();
                return Err(end);
            }
        }
        (self.target.metadata, self.target.path) = (opening.metadata, opening.path);
        Ok(())
    }

    fn mark(&self, opening: &Opening) -> Result<Mark, End> {
        let ring = &self.fill.ring;
        Mark::new(ring, &opening.path).map_err(|error| match error {
            Error::ReaderAlreadyConnected { pid, .. } => End::Taken(format!(
                "another bridge, process {pid}, fills the buffer '{ring}': a ring has one writer, so no second bridge fills it"
            )),
            error => End::Refused(format!("loops cannot be noticed: {error}")),
        })
    }

    fn connect(&self, opening: &Opening) -> Result<Writer, End> {
        let fill = self.fill;
        let config = WriterConfig::default().owner(fill.owner);
        let mut patience = Patience::at_most(Duration::from_millis(500));
        let mut writer =
            Writer::connect_within(&fill.ring, config, &mut patience).map_err(|error| match error {
                Error::NotFound { .. } | Error::NotReady { .. } => End::RingGone,
                Error::WriterAlreadyConnected { .. } => {
                    End::Taken(format!("{error}: a ring has one writer, so no second bridge fills it"))
                }
                error => End::Refused(error.to_string()),
            })?;
        if let Some(metadata) = &opening.metadata {
            let stop = self.stop;
            // The reader first takes what its last writer has left.
            let mut go_on = || if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let mut patience = Patience::forever().asking(&mut go_on);
            writer.set_metadata_with(metadata, &mut patience).map_err(|error| match error {
                Error::MetadataInUse { .. } => End::Stopped,
                Error::ReaderGone { .. } => End::RingGone,
                error => End::Refused(error.to_string()),
            })?;
        }
        Ok(writer)
    }

    fn frame(&mut self, header: &Header, payload: &ZBytes) -> Result<(), End> {
        if header.run != self.target.run {
            return Err(End::Refused("a frame of another run than the opening before it".to_owned()));
        }
        if header.sequence <= self.target.sequence {
            self.fill.shown().counts.again += 1;
            return Ok(());
        }
        let Some(mut writer) = self.target.writer.take() else {
            return Err(End::Refused("a frame came while the stream had no writer".to_owned()));
        };
        let put = self.put(&mut writer, header, payload);
        self.target.writer = Some(writer);
        put?;
        // Of the first frame of a run nobody knows what was before it.
        let missing = match self.target.sequence {
            0 => 0,
            last => header.sequence - last - 1,
        };
        self.target.sequence = header.sequence;
        let mut shown = self.fill.shown();
        let counts = &mut shown.counts;
        counts.frames += 1;
        counts.bytes += header.length;
        counts.lost += missing;
        counts.left_out = header.lost;
        counts.age = Some(clock::stamp().saturating_sub(header.stamp));
        self.status.lost = counts.lost;
        Ok(())
    }

    fn put(&mut self, writer: &mut Writer, header: &Header, payload: &ZBytes) -> Result<(), End> {
        let most = writer.max_frame_size();
        if header.length == 0 || header.length > most {
            return Err(End::Refused(format!(
                "a frame of {} bytes came; the ring of buffer '{}' takes 1 to {most}: create it with at least {} bytes",
                header.length,
                self.fill.ring,
                header.length.saturating_add(16).saturating_mul(2)
            )));
        }
        let (offers, stop) = (&self.fill.offers, self.stop);
        let mut status = self.status.clone();
        status.received = self.inbox.received(status.epoch).max(status.taken);
        (status.run, status.sequence) = (self.target.run, self.target.sequence);
        let (fill, back, sender, inbox) = (self.fill, &self.back, self.sender, self.inbox);
        let mut told = Instant::now();
        let mut go_on = || {
            if told.elapsed() >= TELL {
                fill.say(&status, back);
                told = Instant::now();
            }
            if stop.is_set() || !offers.has(sender) || inbox.broken().is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut patience = Patience::forever().asking(&mut go_on);
        // The length is that of the bytes that are here.
        let mut loan = writer.loan_with(payload.len(), &mut patience).map_err(|error| match error {
            Error::Full { .. } => inbox.broken().map_or(End::SenderGone, End::Refused),
            Error::ReaderGone { .. } | Error::Closed { .. } => End::RingGone,
            error => End::Refused(error.to_string()),
        })?;
        let mut room = &mut loan[..];
        for slice in payload.slices() {
            let Some((target, rest)) = std::mem::take(&mut room).split_at_mut_checked(slice.len()) else {
                return Err(End::Refused("a frame is longer than it says".to_owned()));
            };
            target.copy_from_slice(slice);
            room = rest;
        }
        loan.commit().map(drop).map_err(|error| match error {
            Error::ReaderGone { .. } => End::RingGone,
            error => End::Refused(error.to_string()),
        })
    }
}
