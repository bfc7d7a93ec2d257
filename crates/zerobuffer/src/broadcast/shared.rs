//! What the broadcaster, its handles and the finder share: the subscribers, and what they are to
//! get.

use super::{
    BroadcastConfig, BroadcastStats, Subscriber,
    seat::{Offered, Seat},
};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    link::Patience,
    stats::Counter,
    sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError, lock},
    sys::fork::Birth,
    writer::Writer,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Condvar},
    time::{Duration, Instant},
};

pub(super) struct Shared {
    pub(super) name: String,
    pub(super) config: BroadcastConfig,
    birth: Birth,
    list: Mutex<List>,
    /// Signalled with every change of the list, and at the end.
    changed: Condvar,
    /// Of the list of seats. While it stays the same, a frame takes no lock for the list.
    version: AtomicU64,
    interrupted: AtomicBool,
    pub(super) frames: Counter,
    pub(super) bytes: Counter,
}

#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) seats: Vec<Arc<Seat>>,
    pub(super) metadata: Option<Arc<[u8]>>,
    /// Those that were disconnected, by their buffers' names.
    pub(super) refused: HashMap<String, Refused>,
    /// Writers of subscribers that are gone. To end them takes time, which the finder has.
    retired: Vec<Writer>,
    joined: u64,
    left: u64,
    disconnected: u64,
    /// What those had got and missed that are gone.
    sent: u64,
    dropped: u64,
    pub(super) ended: bool,
}

/// A buffer whose subscriber was disconnected, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) pid: u64,
    pub(super) ring: u64,
    /// It had got something: an empty buffer is a new one.
    pub(super) used: bool,
}

impl List {
    /// What a subscriber that goes has got and missed.
    fn add_up(&mut self, seat: &Seat) {
        let (frames, dropped) = seat.counts();
        self.sent += frames;
        self.dropped += dropped;
    }
}

impl Shared {
    pub(super) fn new(name: &str, config: BroadcastConfig) -> Self {
        Self {
            name: name.to_owned(),
            config,
            birth: Birth::now(),
            list: Mutex::default(),
            changed: Condvar::new(),
            version: AtomicU64::new(0),
            interrupted: AtomicBool::new(false),
            frames: Counter::default(),
            bytes: Counter::default(),
        }
    }

    /// In a forked child another thread may have held any lock at the fork: nothing is locked
    /// there.
    pub(super) fn is_forked(&self) -> bool {
        self.birth.is_forked()
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    pub(super) fn ensure_open(&self) -> Result<()> {
        if self.is_forked() {
            Err(Error::forked(&self.name))
        } else if self.is_interrupted() {
            Err(Error::closed(&self.name))
        } else {
            Ok(())
        }
    }

    pub(super) fn list(&self) -> MutexGuard<'_, List> {
        lock(&self.list)
    }

    /// Changes the list of seats, and tells all who use it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut List) -> T) -> T {
        let mut list = self.list();
        let result = change(&mut list);
        self.version.fetch_add(1, Ordering::SeqCst);
        drop(list);
        self.changed.notify_all();
        result
    }

    /// The seats, if they have changed since `seen`.
    pub(super) fn seats_since(&self, seen: &mut u64) -> Option<Vec<Arc<Seat>>> {
        if self.version.load(Ordering::Acquire) == *seen {
            return None;
        }
        let list = self.list();
        *seen = self.version.load(Ordering::Acquire);
        Some(list.seats.clone())
    }

    /// Removes a subscriber that was found to be gone, or is to go. It goes at once, and gets
    /// nothing behind a frame that it has missed uncounted.
    pub(super) fn remove(&self, seat: &Arc<Seat>, why: Offered) {
        self.strike_out(seat, seat.vacate(), why);
    }

    /// The same for the finder. One that is written to right now is passed over. The write notices
    /// by itself, and the finder comes back to it.
    pub(super) fn try_remove(&self, seat: &Arc<Seat>, why: Offered) {
        if let Some(writer) = seat.try_vacate() {
            self.strike_out(seat, writer, why);
        }
    }

    fn strike_out(&self, seat: &Arc<Seat>, writer: Option<Writer>, why: Offered) {
        let refused = writer.as_ref().map(|writer| Refused {
            pid: writer.reader_pid(),
            ring: writer.capacity(),
            used: writer.next_sequence() > 1,
        });
        let is_disconnected = why == Offered::Disconnected;
        let was_there = self.change(|list| {
            list.retired.extend(writer);
            let before = list.seats.len();
            list.seats.retain(|other| !Arc::ptr_eq(other, seat));
            if list.seats.len() == before {
                return false;
            }
            list.add_up(seat);
            if is_disconnected {
                list.disconnected += 1;
                list.refused.extend(refused.map(|refused| (seat.buffer.clone(), refused)));
            } else {
                list.left += 1;
            }
            true
        });
        if was_there {
            let how = if is_disconnected { "was disconnected" } else { "has left" };
            log::info!(target: "zerobuffer::broadcast", "subscriber '{}' {how}", seat.buffer.escape_debug());
        }
    }

    /// Nobody is found any more.
    pub(super) fn end(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.change(|list| list.ended = true);
    }

    /// After [`Self::end`], once the finder has ended: the subscribers lose their writer.
    pub(super) fn clear(&self) {
        let seats = self.change(|list| {
            let seats = std::mem::take(&mut list.seats);
            for seat in &seats {
                list.add_up(seat);
            }
            seats
        });
        for seat in &seats {
            drop(seat.vacate());
        }
        drop(self.take_retired());
    }

    /// A subscriber has come: it gets the metadata, and each frame from now on.
    pub(super) fn admit(&self, seat: Seat) {
        let seat = Arc::new(seat);
        let state = self.change(|list| {
            // Under the lock: a change of the metadata either is seen here, or sees the seat.
            let state = match &list.metadata {
                Some(metadata) => seat.describe(metadata),
                None => Offered::Sent,
            };
            list.joined += 1;
            list.refused.remove(&seat.buffer);
            list.seats.push(Arc::clone(&seat));
            state
        });
        log::info!(target: "zerobuffer::broadcast", "subscriber '{}' has come", seat.buffer.escape_debug());
        if state != Offered::Sent {
            self.try_remove(&seat, state);
        }
        // An interrupt that did not see it in the list was before this, and is seen here.
        if self.is_interrupted() {
            seat.interrupt();
        }
    }

    /// Waits until `done`, or so long. `true`: it is done.
    pub(super) fn wait_until(&self, time: Duration, mut done: impl FnMut(&List) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.list(), time, |list| !done(list));
        let (list, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&list)
    }

    /// Waits until there are so many subscribers. `false`: there are not while there is patience.
    pub(super) fn wait_for_subscribers(&self, count: usize, patience: &mut Patience<'_>) -> Result<bool> {
        patience.begin(Instant::now());
        loop {
            self.ensure_open()?;
            let now = Instant::now();
            let left = patience.until(now + WAIT_SLICE).saturating_duration_since(now);
            let done = self.wait_until(left, |list| list.seats.len() >= count || self.is_interrupted());
            self.ensure_open()?;
            if done {
                return Ok(true);
            }
            if patience.ends(Instant::now()) {
                return Ok(false);
            }
        }
    }

    /// The writers that are to end.
    pub(super) fn take_retired(&self) -> Vec<Writer> {
        std::mem::take(&mut self.list().retired)
    }

    pub(super) fn has_retired(list: &List) -> bool {
        !list.retired.is_empty()
    }

    /// Ends the blocked call and all later ones.
    pub(super) fn interrupt(&self) {
        if self.is_forked() {
            return;
        }
        self.interrupted.store(true, Ordering::SeqCst);
        let seats = self.list().seats.clone();
        for seat in &seats {
            seat.interrupt();
        }
        self.change(|_| ());
    }

    pub(super) fn subscribers(&self) -> Vec<Subscriber> {
        if self.is_forked() {
            return Vec::new();
        }
        let seats = self.list().seats.clone();
        seats.iter().map(|seat| seat.view()).collect()
    }

    pub(super) fn stats(&self) -> BroadcastStats {
        let mut stats = BroadcastStats {
            frames: self.frames.get(),
            bytes: self.bytes.get(),
            ..BroadcastStats::default()
        };
        if self.is_forked() {
            return stats;
        }
        let list = self.list();
        (stats.joined, stats.left, stats.disconnected) = (list.joined, list.left, list.disconnected);
        (stats.sent, stats.dropped) = (list.sent, list.dropped);
        for (sent, dropped) in list.seats.iter().map(|seat| seat.counts()) {
            stats.sent += sent;
            stats.dropped += dropped;
        }
        stats
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BroadcastConfig, BufferConfig, Reader, SlowPolicy};
    use std::io::IoSlice;

    /// The finder connects to it while another thread interrupts, and a write that has begun before
    /// finds it in the list.
    #[test]
    fn who_is_admitted_beside_an_interrupt_holds_nobody_up() {
        let name = crate::testing::name("zb-broadcast-admit");
        let _full = Reader::create(&format!("{name}@v"), BufferConfig::ring(1024).metadata(0)).unwrap();
        let long = Duration::from_secs(60);
        let shared = Shared::new(&name, BroadcastConfig::default());
        let mut writer = Writer::connect(&format!("{name}@v")).unwrap();
        while writer.try_write(&[1; 100]).is_ok() {}
        let seat = Seat::new("v", SlowPolicy::Block(long), writer);
        shared.interrupt();
        shared.admit(seat);
        let seats = shared.list().seats.clone();
        let limits = (Instant::now(), long);
        let waited = seats[0].wait(&[IoSlice::new(&[1; 100])], &mut Patience::at_most(long), limits, true);
        assert!(limits.0.elapsed() < long && waited == Offered::Gone, "{waited:?}");
    }
}
