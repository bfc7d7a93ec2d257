//! Waiting for the other endpoint: spin while it pays, then sleep in slices (W5).

use crate::{
    config::WaitStrategy,
    sync::{Instant, yield_now},
};
use std::{hint, time::Duration};

/// The longest sleep before an endpoint looks around: for a dead peer, a lost wake-up, an interrupt.
pub const WAIT_SLICE: Duration = Duration::from_millis(50);

/// How long an adaptive wait spins.
const SPIN: Duration = Duration::from_micros(20);
/// After a wait longer than this the next one does not spin: the peer comes at its own pace. Above the time that waking
/// a sleeper takes (30 to 50 µs between two processors), so that two endpoints that have both slept get out of it.
const WORTH: Duration = Duration::from_micros(100);
/// Looks between two yields of the processor.
const LOOKS: u32 = 64;
/// Rounds of a glance: 1, 2, 4, … pauses, about a microsecond in all.
const GLANCES: u32 = 40;

/// Decides, per wait, between spinning and sleeping.
#[derive(Debug)]
pub(crate) struct Waiter {
    strategy: WaitStrategy,
    /// The last wait was a short one.
    pays: bool,
}

impl Waiter {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Self { strategy, pays: true }
    }

    fn spins(&self) -> bool {
        match self.strategy {
            WaitStrategy::Block => false,
            WaitStrategy::Spin => true,
            WaitStrategy::Adaptive => self.pays,
        }
    }

    /// Looks a few times without reading a clock: what a peer at work needs for one frame. Ever longer pauses leave it
    /// the cache line that both look at, so that one look finds several frames.
    #[inline]
    pub(crate) fn glance(&self, mut ready: impl FnMut() -> bool) -> bool {
        self.spins()
            && (0..GLANCES).any(|round| {
                (0..1 << round.min(1)).for_each(|_| hint::spin_loop());
                ready()
            })
    }

    /// Spins as the strategy says, at most until `until`. `true`: `ready` has become true; `false`: sleep now.
    pub(crate) fn spin(&self, until: Instant, ready: impl FnMut() -> bool) -> bool {
        let adaptive = self.strategy == WaitStrategy::Adaptive;
        let until = if adaptive { until.min(Instant::now() + SPIN) } else { until };
        self.spins() && spin(until, adaptive, ready)
    }

    /// Whether this endpoint may sleep at all.
    pub(crate) fn sleeps(&self) -> bool {
        self.strategy != WaitStrategy::Spin
    }

    /// A wait has ended; `found`: with what it waited for.
    pub(crate) fn waited(&mut self, time: Duration, found: bool) {
        self.pays = found && time <= WORTH;
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

    #[test]
    fn an_adaptive_waiter_spins_after_short_waits_only() {
        let mut waiter = Waiter::new(WaitStrategy::Adaptive);
        let far = Instant::now() + Duration::from_secs(100);
        let looks = |waiter: &Waiter| {
            let mut looks = 0;
            let mut look = || {
                looks += 1;
                false
            };
            assert!(!waiter.glance(&mut look) && !waiter.spin(far, &mut look));
            looks
        };
        assert!(looks(&waiter) > 0, "nothing is known yet");
        waiter.waited(WORTH * 2, true);
        assert_eq!(looks(&waiter), 0, "the peer is slow");
        waiter.waited(WORTH, true);
        assert!(looks(&waiter) > 0);
        waiter.waited(Duration::ZERO, false);
        assert_eq!(looks(&waiter), 0, "nothing came");
    }

    #[test]
    fn strategies() {
        let soon = Instant::now() + Duration::from_millis(1);
        let block = Waiter::new(WaitStrategy::Block);
        assert!(!block.spin(soon, || true) && !block.glance(|| true));
        let spin = Waiter::new(WaitStrategy::Spin);
        assert!(spin.glance(|| true) && !spin.spin(soon, || false));
        assert!(Instant::now() >= soon);
    }
}
