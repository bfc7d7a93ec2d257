//! Getting room in the ring: one attempt, or waiting for the reader while it lives (W5, W8).

use super::Writer;
use crate::{
    config::FullRingPolicy,
    error::{Error, Result},
    link::Patience,
    memory::Slot,
    ring::{Refusal, Shortage},
    sync::Instant,
};
use std::time::Duration;

/// What a reservation does when there is no room.
pub(super) enum IfFull<'p, 'h> {
    /// Fails, whatever the policy.
    Fail,
    /// What the policy says, within the write timeout.
    Policy,
    PolicyWithin(&'p mut Patience<'h>),
}

impl Writer {
    /// Reserves a slot; abandons a pending one.
    #[inline(always)]
    pub(super) fn reserve(&mut self, size: usize, if_full: IfFull<'_, '_>) -> Result<Slot> {
        self.pending = None;
        self.check()?;
        if size == 0 {
            return Err(self.refuse_empty());
        }
        match self.producer.reserve_in_window(&self.shared.region, size as u64) {
            Some(slot) => Ok(slot),
            None => self.reserve_elsewhere(size as u64, if_full),
        }
    }

    #[cold]
    pub(super) fn refuse_empty(&self) -> Error {
        Error::EmptyFrame { name: self.shared.name.clone() }
    }

    /// Any frame, in any place; waits for room if that is wanted.
    #[inline(never)]
    fn reserve_elsewhere(&mut self, size: u64, if_full: IfFull<'_, '_>) -> Result<Slot> {
        let shortage = match self.attempt(size)? {
            Ok(slot) => return Ok(slot),
            Err(shortage) => shortage,
        };
        #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
        let fails = matches!(if_full, IfFull::Fail);
        let waits = self.config.full_ring == FullRingPolicy::Block;
        let mut configured;
        let patience = match if_full {
            IfFull::Policy if waits => {
                configured = Patience::for_timeout(self.config.write_timeout);
                &mut configured
            }
            IfFull::PolicyWithin(patience) if waits => patience,
            _ => {
                // Callers that never wait still have to learn that the reader died.
                self.watch.refresh(&self.shared, Instant::now())?;
                #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
                if fails && let Some(event) = self.waits.event().cloned() {
                    return self.arm_event(&event, size);
                }
                return Err(self.full(shortage, Duration::ZERO));
            }
        };
        if self.glance(shortage)
            && let Ok(slot) = self.attempt(size)?
        {
            return Ok(slot);
        }
        #[cfg(feature = "async")]
        self.waits.leave();
        let started = Instant::now();
        patience.begin(started);
        self.waiter.begin(started);
        let result = self.wait_for_space(size, shortage, started, patience);
        let time = self.waiter.waited(started, result.is_ok());
        self.shared.counters.waited(time, patience.counts());
        result
    }

    /// One attempt without waiting: a slot, or how much is missing.
    pub(super) fn attempt(&mut self, size: u64) -> Result<Result<Slot, Shortage>> {
        self.producer.reserve(&self.shared.region, size).map_err(|refusal| self.refuse(refusal, size))
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

    pub(super) fn full(&self, shortage: Shortage, waited: Duration) -> Error {
        let (name, capacity) = (self.shared.name.clone(), self.capacity());
        let Shortage { needed, free, largest_gap, held, .. } = shortage;
        Error::Full { name, needed, free, largest_gap, held, capacity, waited }
    }

    /// Waits until a slot of that size can be reserved, or the patience ends.
    fn wait_for_space(
        &mut self,
        size: u64,
        mut shortage: Shortage,
        mut now: Instant,
        patience: &mut Patience<'_>,
    ) -> Result<Slot> {
        loop {
            // First: a time-out of 0 must notice the reader's death too.
            let next_look = self.watch.refresh(&self.shared, now)?;
            if patience.ends(now) {
                return Err(self.full(shortage, patience.waited()));
            }
            let until = patience.until(next_look);
            let slept_in_vain = !self.spin(shortage, until) && self.waiter.sleeps();
            if slept_in_vain {
                self.shared.space.take_all();
            }
            // Edge E4: space whose token was just taken is seen now.
            match self.attempt(size)? {
                Ok(slot) => return Ok(slot),
                Err(now_missing) => shortage = now_missing,
            }
            self.check()?;
            if slept_in_vain {
                self.shared.space.wait(until.saturating_duration_since(Instant::now()));
                self.check()?;
                match self.attempt(size)? {
                    Ok(slot) => return Ok(slot),
                    Err(now_missing) => shortage = now_missing,
                }
            }
            now = Instant::now();
        }
    }

    /// Whether the reader gives space back within the first stage of a wait. It lasts until an
    /// eighth of the ring has come back: with one frame's room the next frame would wait again.
    pub(super) fn glance(&self, shortage: Shortage) -> bool {
        let enough = shortage.needed.max(self.capacity() / 8);
        let mut word = shortage.seen;
        self.waiter.glance_rarely(|| {
            word = self.producer.space_word(&self.shared.region);
            word.wrapping_sub(shortage.seen) >= enough
        });
        word != shortage.seen
    }

    fn spin(&mut self, shortage: Shortage, until: Instant) -> bool {
        let (shared, producer) = (&self.shared, &self.producer);
        let moved = || producer.space_word(&shared.region) != shortage.seen;
        self.waiter.spin(until, || moved() || shared.is_interrupted())
    }
}
