//! Waiting for the other endpoint: spin while it pays, then sleep in slices (W5).

use crate::{
    config::WaitStrategy,
    sync::{Instant, yield_now},
};
use std::{hint, time::Duration};

/// How long an adaptive wait spins.
const SPIN: Duration = Duration::from_micros(20);
/// How long it spins at most if its endpoint has worked since its last wait. It spins for twice
/// that time, since a peer that copies a frame takes longer than one that looks at it.
const LONG_SPIN: Duration = Duration::from_micros(200);
/// After a wait longer than this, or than what a spin might have lasted, the next one does not
/// spin. The peer comes at its own pace then. It is above the time that waking a sleeper takes, 30
/// to 50 µs between two processors. So two endpoints that have both slept get out of it.
const WORTH: Duration = Duration::from_micros(100);
/// After a wait longer than this the next glance is a short one: the peer needs more than a moment,
/// and perhaps this processor.
const MOMENT: Duration = Duration::from_micros(3);
/// At most 2 to the power of this many waits go without a spin after spins that found nothing.
const DISCOURAGED: u32 = 4;
/// Looks between two yields of the processor. In a model another one is only a further order of the
/// same events.
const LOOKS: u32 = if IN_MODEL { 1 } else { 64 };
/// Rounds of a glance, of one pause each: about a microsecond in all.
const GLANCES: u32 = if IN_MODEL { 1 } else { 80 };
/// Rounds of a short glance.
const SHORT_GLANCES: u32 = if IN_MODEL { 1 } else { 20 };
/// Rounds of a long glance. It outlasts a yield, so two endpoints that yield in turn find each
/// other again.
const LONG_GLANCES: u32 = if IN_MODEL { 1 } else { 240 };
/// One of so many short glances is a long one instead.
const LONG_EVERY: u32 = 16;
/// Pauses between two looks at a peer that is left alone meanwhile.
const ALONE: u32 = 8;
/// A future spins in turns with the other tasks of its executor, at most so many. A turn is
/// [`LOOKS`], which take about a microsecond.
#[cfg(feature = "async")]
const TURNS: u32 = if IN_MODEL { 2 } else { 20 };
/// The time stands still in a model, so only numbers count.
const IN_MODEL: bool = cfg!(any(loom, shuttle));

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
    /// How long the spin of this wait may last.
    span: Duration,
    /// When the last wait ended.
    ended: Option<Instant>,
    /// Turns that the spin of a future has left. The first wait has none: nothing is known yet, and
    /// its executor may have much else to do.
    #[cfg(feature = "async")]
    turns: u32,
}

impl Waiter {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        let rounds = if strategy == WaitStrategy::Block { 0 } else { GLANCES };
        Self {
            strategy,
            rounds,
            waits: 0,
            in_vain: 0,
            skip: 0,
            span: SPIN,
            ended: None,
            #[cfg(feature = "async")]
            turns: 0,
        }
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

    /// A glance whose peer does many small things, of which `ready` waits for a number. It looks
    /// rarely: each look takes a cache line that the peer writes all the time.
    #[inline]
    pub(crate) fn glance_rarely(&self, mut ready: impl FnMut() -> bool) -> bool {
        (0..self.rounds.div_ceil(ALONE)).any(|_| {
            (0..ALONE).for_each(|_| hint::spin_loop());
            ready()
        })
    }

    /// A wait begins, which may spin and sleep.
    pub(crate) fn begin(&mut self, now: Instant) {
        let worked = self.ended.map_or(Duration::ZERO, |ended| now.saturating_duration_since(ended));
        self.span = (worked * 2).clamp(SPIN, LONG_SPIN);
    }

    /// Spins as the strategy says, at most until `until`. `true`: `ready` has become true; `false`:
    /// sleep now.
    pub(crate) fn spin(&mut self, until: Instant, ready: impl FnMut() -> bool) -> bool {
        if self.rounds == 0 {
            return false;
        }
        let adaptive = self.strategy == WaitStrategy::Adaptive;
        let until = if adaptive { until.min(Instant::now() + self.span) } else { until };
        let found = spin(until, adaptive, ready);
        // A yield to the peer for longer than the spin has done what a sleep does. The peer could
        // not know that this endpoint waits.
        self.spun(found && (!adaptive || Instant::now() < until));
        found
    }

    /// One turn of a future's spin, in a wait that `began` then. `true`: another one is due, after
    /// the executor's other tasks; `false`: look at everything now, and sleep unless it is there.
    ///
    /// It yields as [`spin`] does. The peer, or the thread that wakes it, may wait for this very
    /// processor: without that the turns have kept it from answering.
    #[cfg(feature = "async")]
    pub(crate) fn spins_on(&mut self, began: Instant, ready: impl FnMut() -> bool) -> bool {
        let Some(left) = self.turns.checked_sub(1) else { return false };
        yield_now();
        let found = looks(ready);
        let in_time = began.elapsed() < SPIN;
        self.turns = if found || !in_time { 0 } else { left };
        if self.turns == 0 {
            self.spun(found && in_time);
        }
        self.turns > 0
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

    /// A wait that began at `began` has ended; `found`: with what it waited for. The answer is how
    /// long it has taken.
    pub(crate) fn waited(&mut self, began: Instant, found: bool) -> Duration {
        let now = Instant::now();
        self.ended = Some(now);
        let time = now.saturating_duration_since(began);
        self.learn(time, found);
        time
    }

    fn learn(&mut self, time: Duration, found: bool) {
        self.waits = self.waits.wrapping_add(1);
        self.skip = self.skip.saturating_sub(1);
        if self.strategy == WaitStrategy::Adaptive {
            self.rounds = if !found || time > WORTH.max(self.span) || self.skip > 0 {
                0
            } else if time <= MOMENT {
                GLANCES
            } else if self.waits.is_multiple_of(LONG_EVERY) {
                LONG_GLANCES
            } else {
                SHORT_GLANCES
            };
        }
        #[cfg(feature = "async")]
        {
            self.turns = if self.rounds == 0 { 0 } else { TURNS };
        }
    }
}

/// Yielding keeps a spin from pushing the very peer aside that it waits for.
fn spin(until: Instant, yielding: bool, mut ready: impl FnMut() -> bool) -> bool {
    loop {
        if yielding {
            yield_now();
        }
        if looks(&mut ready) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
    }
}

/// What a spin does between two yields.
fn looks(mut ready: impl FnMut() -> bool) -> bool {
    (0..LOOKS).any(|_| {
        let found = ready();
        if !found {
            hint::spin_loop();
        }
        found
    })
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
        waiter.learn(WORTH * 2, true);
        assert_eq!(looks(waiter), (0, false), "the peer is slow");
        waiter.learn(MOMENT, true);
        assert_eq!(looks(waiter), (GLANCES, true));
        waiter.learn(WORTH, true);
        assert_eq!(looks(waiter), (SHORT_GLANCES, true));
        waiter.learn(Duration::ZERO, false);
        assert_eq!(looks(waiter), (0, false), "nothing came");
    }

    /// A spin lasts twice as long as the work since the last wait, within bounds.
    #[test]
    fn who_has_worked_spins_longer() {
        let waiter = &mut Waiter::new(WaitStrategy::Adaptive);
        let now = Instant::now();
        waiter.begin(now);
        assert_eq!(waiter.span, SPIN, "nothing is known yet");
        let mut worked = |time: Duration| {
            waiter.ended = now.checked_sub(time);
            waiter.begin(now);
            waiter.learn(LONG_SPIN, true);
            (waiter.span, waiter.rounds > 0)
        };
        assert_eq!(worked(Duration::ZERO), (SPIN, false));
        assert_eq!(worked(WORTH), (LONG_SPIN, true), "the next wait may be as long, and a spin is");
        assert_eq!(worked(WORTH / 2), (WORTH, false));
        assert_eq!(worked(Duration::from_secs(1)), (LONG_SPIN, true));
        let time = waiter.waited(now, true);
        assert_eq!(waiter.ended, now.checked_add(time), "work begins where a wait ends");
    }

    /// Of the pauses of a glance, each look but the first comes after several.
    #[test]
    fn a_rare_glance_lasts_as_long_with_fewer_looks() {
        let mut looks = 0;
        assert!(!Waiter::new(WaitStrategy::Adaptive).glance_rarely(|| {
            looks += 1;
            false
        }));
        assert_eq!(looks, GLANCES / ALONE);
        assert!(Waiter::new(WaitStrategy::Spin).glance_rarely(|| true));
        assert!(!Waiter::new(WaitStrategy::Block).glance_rarely(|| true));
    }

    #[test]
    fn one_of_many_short_glances_is_a_long_one() {
        let waiter = &mut Waiter::new(WaitStrategy::Adaptive);
        let glances = (0..LONG_EVERY).map(|_| {
            waiter.learn(WORTH, true);
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
                waiter.learn(WORTH, true);
                waiter.rounds > 0
            });
            gaps.extend(pause);
        }
        assert_eq!(gaps, [2, 4, 8, 16, 16, 16]);
        assert!(waiter.spin(Instant::now(), || true));
        waiter.learn(WORTH, true);
        assert_eq!(waiter.rounds, 0, "a yield that took longer than a spin is as good as a sleep");
        waiter.spun(true);
        waiter.learn(WORTH, true);
        assert!(waiter.rounds > 0, "one that found something is repeated at once");
    }

    /// Turns of a future's next spin, of which each finds nothing.
    #[cfg(feature = "async")]
    fn turns(waiter: &mut Waiter) -> u32 {
        let far = Instant::now() + Duration::from_secs(100);
        let looked = std::cell::Cell::new(0);
        let look = || {
            looked.set(looked.get() + 1);
            false
        };
        while waiter.spins_on(far, look) {}
        looked.get() / LOOKS
    }

    #[cfg(feature = "async")]
    #[test]
    fn a_future_spins_in_turns_after_short_waits_only() {
        let waiter = &mut Waiter::new(WaitStrategy::Adaptive);
        assert_eq!(turns(waiter), 0, "nothing is known yet");
        waiter.learn(WORTH, true);
        assert_eq!((turns(waiter), turns(waiter)), (TURNS, 0), "once for each wait");
        waiter.learn(WORTH, true);
        assert_eq!(turns(waiter), 0, "one in vain is not repeated at once");
        waiter.learn(WORTH, true);
        assert_eq!(turns(waiter), TURNS);
        let now = Instant::now();
        for _ in 0..8 {
            waiter.learn(WORTH, true);
            assert!(!waiter.spins_on(now + Duration::from_secs(100), || true), "it has found something");
        }
        waiter.learn(WORTH, true);
        assert!(!waiter.spins_on(now.checked_sub(SPIN).unwrap(), || false), "its time is over");
        for (time, found) in [(WORTH * 2, true), (WORTH, false)] {
            waiter.skip = 0;
            waiter.learn(time, found);
            assert_eq!(turns(waiter), 0, "the peer is slow");
        }
        let mut block = Waiter::new(WaitStrategy::Block);
        block.learn(Duration::ZERO, true);
        assert_eq!(turns(&mut block), 0);
    }

    #[test]
    fn strategies() {
        let soon = Instant::now() + Duration::from_millis(1);
        let mut block = Waiter::new(WaitStrategy::Block);
        block.learn(Duration::ZERO, true);
        assert!(!block.spin(soon, || true) && !block.glance(|| true));
        let mut spin = Waiter::new(WaitStrategy::Spin);
        spin.learn(Duration::MAX, false);
        assert!(spin.glance(|| true) && !spin.spin(soon, || false));
        assert!(spin.glance(|| true), "one in vain discourages nothing");
        assert!(Instant::now() >= soon);
    }
}
