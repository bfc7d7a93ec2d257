//! Waiting for the other endpoint: spin while it pays, then sleep in slices (W5).

use crate::config::WaitStrategy;
use std::{
    hint, thread,
    time::{Duration, Instant},
};

/// The longest sleep before an endpoint looks around: for a dead peer, a lost wake-up, an interrupt.
pub const WAIT_SLICE: Duration = Duration::from_millis(50);

/// How long an adaptive wait spins.
const SPIN: Duration = Duration::from_micros(20);
/// Looks between two yields of the processor.
const LOOKS: u32 = 64;
/// After so many failed spins in a row only every so many-th wait spins.
const MAX_REST: u32 = 64;

/// Decides, per wait, between spinning and sleeping.
#[derive(Debug)]
pub(crate) struct Waiter {
    strategy: WaitStrategy,
    /// Waits that go to sleep at once before the next try to spin.
    resting: u32,
    /// The last rest; doubles with each spin in vain.
    rest: u32,
}

impl Waiter {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Self { strategy, resting: 0, rest: 0 }
    }

    /// Spins as the strategy says, at most until `until`. `true`: `ready` has become true; `false`: sleep now.
    pub(crate) fn spin(&mut self, until: Instant, ready: impl FnMut() -> bool) -> bool {
        match self.strategy {
            WaitStrategy::Block => false,
            WaitStrategy::Spin => spin(until, false, ready),
            WaitStrategy::Adaptive if self.resting > 0 => {
                self.resting -= 1;
                false
            }
            WaitStrategy::Adaptive => {
                let found = spin(until.min(Instant::now() + SPIN), true, ready);
                self.rest = if found { 0 } else { (self.rest * 2).clamp(1, MAX_REST) };
                self.resting = self.rest;
                found
            }
        }
    }

    /// Whether this endpoint may sleep at all.
    pub(crate) fn sleeps(&self) -> bool {
        self.strategy != WaitStrategy::Spin
    }
}

/// Yielding keeps a spin from pushing the very peer aside that it waits for.
fn spin(until: Instant, yielding: bool, mut ready: impl FnMut() -> bool) -> bool {
    loop {
        for _ in 0..LOOKS {
            if ready() {
                return true;
            }
            hint::spin_loop();
        }
        if Instant::now() >= until {
            return false;
        }
        if yielding {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adaptive_waiter_rests_after_spins_in_vain() {
        let mut waiter = Waiter::new(WaitStrategy::Adaptive);
        let far = Instant::now() + Duration::from_secs(100);
        let spins = (0..1000).filter(|_| {
            let mut looked = false;
            waiter.spin(far, || {
                looked = true;
                false
            });
            looked
        });
        let spins = spins.count();
        assert!((10..40).contains(&spins), "{spins} of 1000 idle waits spun");
        waiter.resting = 0;
        assert!(waiter.spin(far, || true) && waiter.spin(far, || true));
    }

    #[test]
    fn strategies() {
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(!Waiter::new(WaitStrategy::Block).spin(soon, || true));
        assert!(!Waiter::new(WaitStrategy::Spin).spin(soon, || false));
        assert!(Instant::now() >= soon);
    }
}
