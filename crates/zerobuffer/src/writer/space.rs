//! Getting room in the ring: one attempt, or waiting for the reader while it lives (W5, W8).

use super::Writer;
use crate::{
    error::{Error, Result},
    layout::Word,
    ring::{Refusal, Shortage, Slot, Step},
    sync::{Instant, Ordering},
};
use std::time::Duration;

impl Writer {
    /// Reserves a slot; abandons a pending one.
    #[inline(always)]
    pub(super) fn reserve(&mut self, size: usize, waits: bool) -> Result<Slot> {
        self.pending = None;
        self.check()?;
        if size == 0 {
            return Err(self.refuse_empty());
        }
        match self.producer.reserve_here(&self.shared.region, size as u64) {
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
            match self.producer.reserve(&self.shared.region, size) {
                Ok(Step::Ready(slot)) => return Ok(Ok(slot)),
                Ok(Step::Wait(shortage)) => return Ok(Err(shortage)),
                Ok(Step::Wrapped) => self.shared.data.post(),
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
        self.waiter.spin(until, || moved() || shared.is_interrupted())
    }
}
