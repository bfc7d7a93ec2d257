//! Getting room in the ring: one attempt, or waiting for the reader while it lives (W5, W8).

use super::{Writer, WriterShared};
use crate::{
    error::{Error, Result},
    layout::Word,
    ring::{Refusal, Shortage, Slot, Step},
    sync::{Arc, Instant, Ordering},
    waiter::WAIT_SLICE,
};
use std::time::Duration;

/// Payload bytes from which on a frame is large: its copy takes far longer than reading a clock.
pub(super) const LARGE_FRAME: u64 = 256 * 1024;
/// A writer that has published no large frame for so long is not held up by a reader that is being woken.
const PAUSE: Duration = Duration::from_micros(100);

impl Writer {
    /// Reserves a slot; abandons a pending one.
    #[inline(always)]
    pub(super) fn reserve(&mut self, size: usize, waits: bool) -> Result<Slot> {
        self.pending = None;
        self.check()?;
        if size == 0 {
            return Err(self.refuse_empty());
        }
        match self.producer.reserve_here(&self.shared.region, size as u64, self.woke.is_some()) {
            Some(slot) => Ok(slot),
            None => self.reserve_elsewhere(size as u64, waits),
        }
    }

    #[cold]
    fn refuse_empty(&self) -> Error {
        Error::EmptyFrame { name: self.shared.name.clone() }
    }

    /// Any frame, in any place; waits for room if that is wanted.
    #[inline(never)]
    fn reserve_elsewhere(&mut self, size: u64, waits: bool) -> Result<Slot> {
        let shortage = match self.step(size)? {
            Ok(slot) => return Ok(slot),
            Err(shortage) => shortage,
        };
        if !waits {
            // Who never waits must learn of the reader's death too.
            self.watch.look(&self.shared, Instant::now())?;
            return Err(self.full(shortage, Duration::ZERO));
        }
        if self.glance(shortage)
            && let Ok(slot) = self.step(size)?
        {
            return Ok(slot);
        }
        let started = Instant::now();
        let result = self.wait_for_space(size, shortage, started);
        let time = started.elapsed();
        self.waiter.waited(time, result.is_ok());
        self.shared.counters.waited(time);
        result
    }

    /// One attempt without waiting: a slot, or how much is missing.
    fn step(&mut self, size: u64) -> Result<Result<Slot, Shortage>> {
        loop {
            let shared = &self.shared;
            let reader_waits = || {
                size >= LARGE_FRAME
                    && self.woke.is_some_and(|woke| shared.reader_sleeps() && woke.elapsed() >= PAUSE)
            };
            match self.producer.reserve(&shared.region, size, reader_waits) {
                Ok(Step::Ready(slot)) => return Ok(Ok(slot)),
                Ok(Step::Wait(shortage)) => return Ok(Err(shortage)),
                Ok(Step::Wrapped) => shared.data.post(),
                Err(refusal) => return Err(self.refuse(refusal, size)),
            }
        }
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal, size: u64) -> Error {
        let (name, capacity) = (self.shared.name.clone(), self.capacity());
        match refusal {
            Refusal::TooLarge => Error::FrameTooLarge { name, size, max: self.max_frame_size() },
            Refusal::Unplaceable { needed_capacity } => {
                Error::Unplaceable { name, size, capacity, needed_capacity }
            }
            Refusal::Fault(fault) => self.fail(fault),
        }
    }

    fn full(&self, Shortage { needed, free, .. }: Shortage, waited: Duration) -> Error {
        Error::Full { name: self.shared.name.clone(), needed, free, capacity: self.capacity(), waited }
    }

    /// Waits, in slices, until a slot of that size can be reserved.
    fn wait_for_space(&mut self, size: u64, mut shortage: Shortage, started: Instant) -> Result<Slot> {
        let deadline = self.config.write_timeout.and_then(|timeout| started.checked_add(timeout));
        // A reader credits at once whoever sleeps; one that only spins wants the same.
        let shared = Arc::clone(&self.shared);
        let _counted = (!self.waiter.sleeps()).then(|| shared.space.count_as_sleeper());
        let mut now = started;
        loop {
            // First: a time-out of 0 must notice the reader's death too.
            let next_look = self.watch.look(&self.shared, now)?;
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(self.full(shortage, started.elapsed()));
            }
            let until = deadline.map_or(next_look, |deadline| deadline.min(next_look));
            let slept_in_vain = !self.spin(shortage, until) && self.waiter.sleeps();
            if slept_in_vain {
                self.shared.space.take_all();
            }
            // Edge E4: space whose token was just swallowed is seen now.
            match self.step(size)? {
                Ok(slot) => return Ok(slot),
                Err(now_missing) => shortage = now_missing,
            }
            self.check()?;
            if slept_in_vain {
                self.shared.space.wait(until.saturating_duration_since(Instant::now()));
                self.check()?;
                match self.step(size)? {
                    Ok(slot) => return Ok(slot),
                    Err(now_missing) => shortage = now_missing,
                }
            }
            now = Instant::now();
        }
    }

    /// Whether the reader gives space back in the next moment.
    fn glance(&self, shortage: Shortage) -> bool {
        self.waiter.glance(|| self.shared.region.load(Word::PayloadFree, Ordering::Relaxed) != shortage.seen)
    }

    fn spin(&mut self, shortage: Shortage, until: Instant) -> bool {
        let shared = &self.shared;
        let moved = || shared.region.load(Word::PayloadFree, Ordering::Relaxed) != shortage.seen;
        self.waiter.spin(until, || moved() || shared.interrupted.load(Ordering::Relaxed))
    }
}

/// Whether the reader lives, looked at only when the ring is full and once per slice, since it takes system calls.
#[derive(Debug)]
pub(super) struct ReaderWatch {
    /// Why the reader is gone, once it was found to be: it does not come back to this segment.
    lost: Option<&'static str>,
    next_look: Instant,
    /// Since when nothing of the reader has moved, as of the last look, and what it was.
    still: (Instant, [u64; 2]),
}

impl ReaderWatch {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { lost: None, next_look: now, still: (now, [u64::MAX; 2]) }
    }

    pub(super) fn lost(&self) -> Option<&'static str> {
        self.lost
    }

    /// Looks if it is time to, and says when it is again. Fails if the reader is gone: at once if that is certain, else
    /// after a slice without movement (W8).
    fn look(&mut self, shared: &WriterShared, now: Instant) -> Result<Instant> {
        if now < self.next_look {
            return Ok(self.next_look);
        }
        self.next_look = now + WAIT_SLICE;
        // What only a live reader changes.
        let movement =
            [Word::PayloadFree, Word::ReadCount].map(|word| shared.region.load(word, Ordering::Relaxed));
        if self.still.1 != movement {
            self.still = (now, movement);
        }
        match shared.reader_loss() {
            Some(loss) if loss.certain || now - self.still.0 >= WAIT_SLICE => {
                self.lost = Some(loss.reason);
                Err(shared.reader_gone(loss.reason))
            }
            _ => Ok(self.next_look),
        }
    }
}
