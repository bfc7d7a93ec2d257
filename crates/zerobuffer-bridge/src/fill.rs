//! A stream on its way in: the messages of one sender, put into a ring one after the other.
mod inbox;
mod lane;
mod offers;
mod target;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::Locality;
use zenoh::{Session, Wait as _};
use zerobuffer::{Error, Owner, observe};

use self::inbox::Inbox;
use self::lane::{End, Lane, MOST_OPENING};
pub(crate) use self::offers::Offers;
use self::target::Target;
use crate::fail::Fail;
use crate::keys::{self, Stream};
use crate::ls::Line;
use crate::recv::Args;
use crate::say;
use crate::stop::{LOOK, Stop};
use crate::wire::Status;

/// Between two attempts after a refusal.
const AGAIN: Duration = Duration::from_secs(1);

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
        // No sender has more than a few frames under way, and the ring takes none that is larger.
        let ring = observe::inspect(&self.ring).map_or(u64::MAX, |info| info.payload_size);
        let frames = self.largest.saturating_mul(8).min(ring.saturating_mul(32));
        // Metadata have a place of their own there, however small the ring is.
        let most = frames.saturating_add(4 * MOST_OPENING as u64);
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
