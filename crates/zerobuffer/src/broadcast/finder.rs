//! The thread that finds subscribers as they come, and those that are gone.

use super::{
    names,
    seat::{self, Offered, Seat},
    shared::{Refused, Shared},
};
use crate::{
    error::{Error, Result},
    observe::{self, BufferInfo},
    sys,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Pause between two listings, at least.
const EVERY: Duration = Duration::from_millis(20);
/// After a look that took long, since there are many files, the pause is so many times as long, but
/// not longer than the longest.
const SHARE: u32 = 10;
const LONGEST: Duration = Duration::from_millis(500);
/// How often the subscribers are asked whether they live.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Until a buffer that is no subscriber is looked at again: at first, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// The most for one that looked like a subscriber, and could not be connected to.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Finder {
    shared: Arc<Shared>,
    prefix: String,
    /// Buffers that are no subscribers, or not yet.
    later: HashMap<String, Later>,
    next_question: Instant,
    /// It has said that there are too many.
    said_full: bool,
}

/// When a buffer is looked at again.
#[derive(Clone, Copy, Debug)]
struct Later {
    at: Instant,
    pause: Duration,
}

impl Finder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let prefix = names::prefix(&shared.name);
        Self { shared, prefix, later: HashMap::new(), next_question: Instant::now(), said_full: false }
    }

    /// Looks until the broadcast ends.
    pub(super) fn run(mut self) {
        let mut pause = EVERY;
        loop {
            self.shared.wait_until(pause, |list| list.ended || Shared::has_retired(list));
            drop(self.shared.take_retired());
            if self.shared.list().ended {
                return;
            }
            let started = Instant::now();
            self.look_after_seats(started);
            if let Err(error) = self.find() {
                log::debug!(target: "zerobuffer::broadcast", "{error}");
            }
            pause = (started.elapsed() * SHARE).clamp(EVERY, LONGEST);
        }
    }

    /// Connects to those that are there.
    pub(super) fn find(&mut self) -> Result<()> {
        let mut found = sys::names_from(&self.prefix)?;
        found.retain(|buffer| names::subscriber(&self.prefix, buffer).is_some());
        let (mut seated, most): (HashSet<String>, _) = {
            let list = self.shared.list();
            (list.seats.iter().map(|seat| seat.buffer.clone()).collect(), self.shared.config.max_subscribers)
        };
        let names: HashSet<&String> = found.iter().collect();
        self.later.retain(|buffer, _| names.contains(buffer));
        self.shared.list().refused.retain(|buffer, _| names.contains(buffer));
        // Those that were never seen come first, whatever else lies there.
        found.sort_by_key(|buffer| self.later.get(buffer).map(|later| later.pause));
        for buffer in found.into_iter().filter(|buffer| !seated.contains(buffer)).collect::<Vec<_>>() {
            if self.shared.is_interrupted() {
                break;
            }
            if seated.len() >= most {
                if !std::mem::replace(&mut self.said_full, true) {
                    log::warn!(target: "zerobuffer::broadcast", "broadcast '{}' has {most} subscribers, as many as it may have: '{}' waits until one leaves", self.shared.name, buffer.escape_debug());
                }
                break;
            }
            let now = Instant::now();
            let later = self.later.get(&buffer).copied();
            if later.is_some_and(|later| now < later.at) {
                continue;
            }
            let (joined, longest) = match self.look(&buffer) {
                Ok(()) => (self.join(&buffer), TRY_AGAIN),
                Err(error) => (Err(error), LOOK_AGAIN.1),
            };
            match joined {
                Ok(()) => {
                    self.later.remove(&buffer);
                    seated.insert(buffer);
                }
                Err(error) => {
                    // Anybody can give a file such a name.
                    let error = error.to_string().replace(char::is_control, "?");
                    log::debug!(target: "zerobuffer::broadcast", "subscriber '{}' waits: {error}", buffer.escape_debug());
                    let pause = later.map_or(LOOK_AGAIN.0, |later| (later.pause * 2).min(longest));
                    self.later.insert(buffer, Later { at: Instant::now() + pause, pause });
                }
            }
        }
        Ok(())
    }

    /// Whether it is a subscriber that is ready. A look costs little, and nothing else that has
    /// such a name is touched.
    fn look(&self, buffer: &str) -> Result<()> {
        let info = observe::inspect(buffer)?;
        let not_ready = |reason| Error::NotReady { name: buffer.to_owned(), reason };
        if !info.reader.is_some_and(|reader| reader.alive) {
            return Err(not_ready("it has no reader that lives"));
        }
        if info.writer.is_some_and(|writer| writer.alive) {
            return Err(not_ready("it has a writer"));
        }
        let refused = self.shared.list().refused.get(buffer).copied();
        if refused.is_some_and(|refused| !is_new(refused, &info)) {
            return Err(not_ready("it was disconnected, and is not created anew"));
        }
        Ok(())
    }

    fn join(&self, buffer: &str) -> Result<()> {
        let Some(name) = names::subscriber(&self.prefix, buffer) else { return Ok(()) };
        let writer = seat::connect(buffer, &self.shared.config)?;
        self.shared.admit(Seat::new(name, self.shared.config.policy_of(name), writer));
        Ok(())
    }

    /// Removes those that are gone, and gives metadata that could not be given before.
    fn look_after_seats(&mut self, now: Instant) {
        let asks = now >= self.next_question;
        if asks {
            self.next_question = now + ASK_EVERY;
        }
        let seats = self.shared.list().seats.clone();
        for seat in &seats {
            let state = seat.try_settle();
            if state != Offered::Sent {
                self.shared.try_remove(seat, state);
            } else if asks && !seat.is_connected() {
                self.shared.try_remove(seat, Offered::Gone);
            }
        }
        drop(self.shared.take_retired());
    }
}

/// Whether a buffer is another one than that which was disconnected.
fn is_new(refused: Refused, info: &BufferInfo) -> bool {
    let is_unused = info.last_sequence == 0 && info.metadata.is_none();
    info.payload_size != refused.ring
        || info.reader.is_some_and(|reader| reader.pid != refused.pid)
        || (refused.used && is_unused)
}
