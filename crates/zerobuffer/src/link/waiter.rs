//! Waiting for the other endpoint: spin while it pays, then sleep in slices (W5).

use crate::{
    config::WaitStrategy,
    sync::{Instant, yield_now},
};
use std::{hint, time::Duration};

/// How long an adaptive wait spins.
const SPIN: Duration = Duration::from_micros(20);
/// After a wait longer than this the next one does not spin: the peer comes at its own pace. It is
/// above the time that waking a sleeper takes, 30 to 50 µs between two processors. So two endpoints
/// that have both slept get out of it.
const WORTH: Duration = Duration::from_micros(100);
/// After a wait longer than this the next glance is a short one: the peer needs more than a moment,
/// and perhaps this processor.
const MOMENT: Duration = Duration::from_micros(3);
/// At most 2 to the power of this many waits go without a spin after spins that found nothing.
const DISCOURAGED: u32 = 4;
/// Looks between two yields of the processor.
const LOOKS: u32 = 64;
/// Rounds of a glance, of one pause each: about a microsecond in all.
const GLANCES: u32 = 80;
/// Rounds of a short glance.
const SHORT_GLANCES: u32 = 20;
/// Rounds of a long glance. It outlasts a yield, so two endpoints that yield in turn find each
/// other again.
const LONG_GLANCES: u32 = 240;
/// One of so many short glances is a long one instead.
const LONG_EVERY: u32 = 16;

/// Decides, per wait, between spinning and sleeping.
#[derive(Debug)]
pub(crate) struct Waiter {
    strategy: WaitStrategy,
    /// Rounds of the next glance; 0: the next wait sleeps at once.
    rounds: u32,
    waits: u32,
    /// Spins in a row that found nothing.
    in_vain: u32,
    /// Waits that will not spin because of them.
    skip: u32,
}

impl Waiter {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        let rounds = if strategy == WaitStrategy::Block { 0 } else { GLANCES };
        Self { strategy, rounds, waits: 0, in_vain: 0, skip: 0 }
    }

    /// Looks a few times without reading a clock: what a peer at work needs for one frame. The
    /// pause leaves it the cache line that both look at, so one look finds several frames.
    #[inline]
    pub(crate) fn glance(&self, mut ready: impl FnMut() -> bool) -> bool {
        (0..self.rounds).any(|_| {
            hint::spin_loop();
            ready()
        })
    }

    /// Spins as the strategy says, at most until `until`. `true`: `ready` has become true; `false`:
    /// sleep now.
    pub(crate) fn spin(&mut self, until: Instant, ready: impl FnMut() -> bool) -> bool {
        if self.rounds == 0 {
            return false;
        }
        let adaptive = self.strategy == WaitStrategy::Adaptive;
        let until = if adaptive { until.min(Instant::now() + SPIN) } else { until };
        let found = spin(until, adaptive, ready);
        // A yield to the peer for longer than the spin has done what a sleep does. The peer could
        // not know that this endpoint waits.
        self.spun(found && (!adaptive || Instant::now() < until));
        found
    }

    /// A spin has ended; `paid`: a sleep would have taken longer.
    fn spun(&mut self, paid: bool) {
        self.in_vain = if paid { 0 } else { (self.in_vain + 1).min(DISCOURAGED) };
        self.skip = if paid { 0 } else { 1 << self.in_vain };
    }

    /// Whether this endpoint may sleep at all.
    pub(crate) fn sleeps(&self) -> bool {
        self.strategy != WaitStrategy::Spin
    }

    /// A wait has ended; `found`: with what it waited for.
    pub(crate) fn waited(&mut self, time: Duration, found: bool) {
        self.waits = self.waits.wrapping_add(1);
        self.skip = self.skip.saturating_sub(1);
        if self.strategy == WaitStrategy::Adaptive {
            self.rounds = if !found || time > WORTH || self.skip > 0 {
                0
            } else if time <= MOMENT {
                GLANCES
            } else if self.waits.is_multiple_of(LONG_EVERY) {
                LONG_GLANCES
            } else {
                SHORT_GLANCES
            };
        }
    }
}

/// Yielding keeps a spin from pushing the very peer aside that it waits for.
fn spin(until: Instant, yielding: bool, mut ready: impl FnMut() -> bool) -> bool {
    loop {
        if yielding {
            yield_now();
        }
        for _ in 0..LOOKS {
            if ready() {
                return true;
            }
            hint::spin_loop();
        }
        if Instant::now() >= until {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks of the next glance, and whether a spin would look at all.
    fn looks(waiter: &mut Waiter) -> (u32, bool) {
        let mut glances = 0;
        let in_vain = || {
            glances += 1;
            false
        };
        assert!(!waiter.glance(in_vain));
        let far = Instant::now() + Duration::from_secs(100);
        let spins = waiter.spin(far, || true);
        // However long its yield took.
        waiter.spun(true);
        (glances, spins)
    }

    #[test]
    fn an_adaptive_waiter_spins_after_short_waits_only() {
        let waiter = &mut Waiter::new(WaitStrategy::Adaptive);
        assert_eq!(looks(waiter), (GLANCES, true), "nothing is known yet");
        waiter.waited(WORTH * 2, true);
        assert_eq!(looks(waiter), (0, false), "the peer is slow");
        waiter.waited(MOMENT, true);
        assert_eq!(looks(waiter), (GLANCES, true));
        waiter.waited(WORTH, true);
        assert_eq!(looks(waiter), (SHORT_GLANCES, true));
        waiter.waited(Duration::ZERO, false);
        assert_eq!(looks(waiter), (0, false), "nothing came");
    }

    #[test]
    fn one_of_many_short_glances_is_a_long_one() {
        let waiter = &mut Waiter::new(WaitStrategy::Adaptive);
        let glances = (0..LONG_EVERY).map(|_| {
            waiter.waited(WORTH, true);
            waiter.rounds
        });
        assert_eq!(glances.filter(|&rounds| rounds == LONG_GLANCES).count(), 1);
    }

    #[test]
    fn spins_in_vain_are_tried_less_and_less() {
        let waiter = &mut Waiter::new(WaitStrategy::Adaptive);
        let mut gaps = Vec::new();
        while gaps.len() < 6 {
            waiter.rounds = 1;
            assert!(!waiter.spin(Instant::now(), || false));
            let pause = (1..100).find(|_| {
                waiter.waited(WORTH, true);
                waiter.rounds > 0
            });
            gaps.extend(pause);
        }
        assert_eq!(gaps, [2, 4, 8, 16, 16, 16]);
        assert!(waiter.spin(Instant::now(), || true));
        waiter.waited(WORTH, true);
        assert_eq!(waiter.rounds, 0, "a yield that took longer than a spin is as good as a sleep");
        waiter.spun(true);
        waiter.waited(WORTH, true);
        assert!(waiter.rounds > 0, "one that found something is repeated at once");
    }

    #[test]
    fn strategies() {
        let soon = Instant::now() + Duration::from_millis(1);
        let mut block = Waiter::new(WaitStrategy::Block);
        block.waited(Duration::ZERO, true);
        assert!(!block.spin(soon, || true) && !block.glance(|| true));
        let mut spin = Waiter::new(WaitStrategy::Spin);
        spin.waited(Duration::MAX, false);
        assert!(spin.glance(|| true) && !spin.spin(soon, || false));
        assert!(spin.glance(|| true), "one in vain discourages nothing");
        assert!(Instant::now() >= soon);
    }
}
