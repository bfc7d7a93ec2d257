//! How long a call may wait, and who is asked meanwhile whether it goes on.

use crate::{
    config::WAIT_SLICE,
    sync::{Instant, sleep},
};
use std::{fmt, ops::ControlFlow, time::Duration};

/// Asked about every [`WAIT_SLICE`] while a call waits.
type Hook<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// How long a call may wait, and who is asked meanwhile whether it goes on.
///
/// The time begins with the first wait and runs on over all calls that are given the same patience.
/// Calls that share one share its time, and count as one wait in the statistics.
///
/// ```
/// use std::{ops::ControlFlow, time::Duration};
/// use zerobuffer::{BufferConfig, Patience, Reader};
///
/// let name = format!("doc-patience-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::default())?;
/// let mut asked = 0;
/// let mut three_times = || {
///     asked += 1;
///     if asked < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
/// };
/// let mut patience = Patience::at_most(Duration::from_secs(60)).asking(&mut three_times);
/// assert!(reader.read_with(&mut patience)?.is_none(), "nobody writes");
/// assert!(!patience.is_over(), "the hook has ended the call, not the time");
/// # Ok::<(), zerobuffer::Error>(())
/// ```
pub struct Patience<'a> {
    limit: Limit,
    hook: Option<Hook<'a>>,
    /// When the first wait began.
    began: Option<Instant>,
    next_question: Option<Instant>,
    counted: bool,
    /// The hook has ended the call that it was asked in last.
    broken_off: bool,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Never,
    /// From the first wait on.
    After(Duration),
    At(Instant),
}

impl<'a> Patience<'a> {
    /// Waits until there is something.
    #[must_use]
    pub fn forever() -> Self {
        Self::new(Limit::Never)
    }

    /// Waits that long; 0 does not wait. A time beyond the clock's range is [`Self::forever`].
    #[must_use]
    pub fn at_most(time: Duration) -> Self {
        Self::new(Limit::After(time))
    }

    /// As configured: `None` is [`Self::forever`].
    #[must_use]
    pub fn for_timeout(timeout: Option<Duration>) -> Self {
        timeout.map_or_else(Self::forever, Self::at_most)
    }

    fn new(limit: Limit) -> Self {
        Self { limit, hook: None, began: None, next_question: None, counted: false, broken_off: false }
    }

    /// Has `go_on` called about every 50 ms of waiting, on the waiting thread. `Break` ends the
    /// call as if its time were over; the patience itself lasts.
    #[must_use]
    pub fn asking(mut self, go_on: &'a mut dyn FnMut() -> ControlFlow<()>) -> Self {
        self.hook = Some(go_on);
        self
    }

    /// The continuation of a wait that was counted: it counts no further one. For bindings that
    /// cannot hand one patience from slice to slice.
    #[doc(hidden)]
    #[must_use]
    pub fn continued(mut self, continued: bool) -> Self {
        self.counted |= continued;
        self
    }

    /// Whether the time has passed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over_at(Instant::now)
    }

    /// How long ago the first wait began; zero if there was none.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// What is left of the time; `None`: no end.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        match self.limit {
            Limit::Never => None,
            Limit::After(time) => Some(time),
            Limit::At(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
        }
    }

    fn is_over_at(&self, now: impl FnOnce() -> Instant) -> bool {
        match self.limit {
            Limit::Never => false,
            Limit::After(time) => time.is_zero(),
            Limit::At(deadline) => now() >= deadline,
        }
    }

    /// A wait begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        if let Limit::After(time) = self.limit {
            self.limit = now.checked_add(time).map_or(Limit::Never, Limit::At);
        }
        self.began.get_or_insert(now);
        self.broken_off = false;
        self.next_question = Some(now + WAIT_SLICE);
    }

    /// Whether this is the first wait that is counted.
    pub(crate) fn counts(&mut self) -> bool {
        !std::mem::replace(&mut self.counted, true)
    }

    /// Whether the wait is over: the time has passed, or the hook says so.
    pub(crate) fn ends(&mut self, now: Instant) -> bool {
        self.broken_off = false;
        self.is_over_at(|| now) || self.hook_ends(now)
    }

    /// Asks the hook, if it is its turn.
    fn hook_ends(&mut self, now: Instant) -> bool {
        self.broken_off = false;
        let Some(hook) = self.hook.as_mut() else { return false };
        let question = *self.next_question.get_or_insert(now + WAIT_SLICE);
        if now < question {
            return false;
        }
        let answer = hook();
        // From the answer on: the hook may take its time.
        self.next_question = Some(Instant::now() + WAIT_SLICE);
        self.broken_off = answer.is_break();
        self.broken_off
    }

    /// Whether it was the hook that ended the wait: nothing more is to be taken then.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.broken_off
    }

    /// A part of this patience, for one call: a wait slice of its time, without the hook.
    /// [`Self::took`] gives it back.
    pub(crate) fn slice(&mut self) -> Patience<'static> {
        if self.began.is_none() && !matches!(self.limit, Limit::Never) && !self.is_over() {
            self.begin(Instant::now());
        }
        let left = self.left().map_or(WAIT_SLICE, |left| left.min(WAIT_SLICE));
        Patience { counted: self.counted, ..Patience::at_most(left) }
    }

    /// A part of this patience, for one call: at most that long, with the same hook.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn within(&mut self, time: Duration) -> Patience<'_> {
        let left = self.left().map_or(time, |left| left.min(time));
        let hook: Option<Hook<'_>> = match &mut self.hook {
            Some(hook) => Some(&mut **hook),
            None => None,
        };
        Patience { hook, ..Patience::at_most(left) }
    }

    /// After the call: what is counted was counted.
    pub(crate) fn took(&mut self, slice: &Patience<'_>) {
        self.counted |= slice.counted;
    }

    /// When a wait that wants to look up at `look` has to.
    pub(crate) fn until(&self, look: Instant) -> Instant {
        let deadline = if let Limit::At(deadline) = self.limit { deadline.min(look) } else { look };
        match self.next_question.filter(|_| self.hook.is_some()) {
            Some(question) => deadline.min(question),
            None => deadline,
        }
    }

    /// Sleeps for a `pause` between two attempts. `Break`: the wait is over, though not before
    /// `grace` by time alone.
    pub(crate) fn pause(&mut self, pause: Duration, grace: Instant) -> ControlFlow<()> {
        let now = Instant::now();
        if now >= grace && self.is_over_at(|| now) {
            return ControlFlow::Break(());
        }
        if self.began.is_none() {
            self.begin(now);
        }
        if self.hook_ends(now) {
            return ControlFlow::Break(());
        }
        let end = now + pause;
        sleep(if now < grace { end } else { self.until(end) }.saturating_duration_since(now));
        ControlFlow::Continue(())
    }
}

impl fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_begins_with_the_first_wait() {
        let mut patience = Patience::at_most(Duration::from_millis(200));
        assert_eq!((patience.waited(), patience.is_over()), (Duration::ZERO, false));
        let now = Instant::now();
        patience.begin(now);
        patience.begin(now + Duration::from_millis(100));
        assert_eq!(patience.until(now + Duration::from_secs(1)), now + Duration::from_millis(200));
        assert!(!patience.ends(now + Duration::from_millis(199)));
        assert!(patience.ends(now + Duration::from_millis(200)));
        assert!(Patience::at_most(Duration::ZERO).is_over());
    }

    #[test]
    fn without_time_there_is_no_wait_but_for_a_grace() {
        let mut patience = Patience::at_most(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(patience.pause(Duration::from_millis(1), now), ControlFlow::Break(()));
        assert_eq!(patience.waited(), Duration::ZERO);
        assert!(patience.pause(Duration::from_millis(1), now + WAIT_SLICE).is_continue());
        assert!(patience.waited() >= Duration::from_millis(1));
    }

    #[test]
    fn slices_share_time_and_count() {
        let mut patience = Patience::at_most(WAIT_SLICE + WAIT_SLICE / 2);
        let mut slice = patience.slice();
        assert_eq!(slice.left(), Some(WAIT_SLICE));
        assert!(slice.counts());
        patience.took(&slice);
        assert!(!patience.slice().counts(), "it was counted");
        assert!(patience.left() <= Some(WAIT_SLICE + WAIT_SLICE / 2));
        assert_eq!(Patience::at_most(Duration::ZERO).slice().left(), Some(Duration::ZERO));
    }

    #[test]
    fn a_part_is_bounded_by_the_whole_and_asks_the_same_hook() {
        let mut asked = 0;
        let mut hook = || {
            asked += 1;
            ControlFlow::Break(())
        };
        let mut patience = Patience::at_most(WAIT_SLICE * 2).asking(&mut hook);
        assert_eq!(patience.within(WAIT_SLICE).left(), Some(WAIT_SLICE));
        assert_eq!(patience.within(WAIT_SLICE * 3).left(), Some(WAIT_SLICE * 2));
        let now = Instant::now();
        let mut part = patience.within(WAIT_SLICE * 3);
        part.begin(now);
        assert!(part.ends(now + WAIT_SLICE));
        assert_eq!(asked, 1);
    }

    #[test]
    fn a_time_beyond_the_clock_is_no_limit() {
        let mut patience = Patience::at_most(Duration::MAX);
        let now = Instant::now();
        patience.begin(now);
        assert_eq!((patience.ends(now), patience.left()), (false, None));
    }

    #[test]
    fn the_hook_is_asked_once_a_slice_and_ends_one_call() {
        let mut asked = 0;
        let mut hook = || {
            asked += 1;
            if asked == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut patience = Patience::forever().asking(&mut hook);
        let now = Instant::now();
        patience.begin(now);
        assert_eq!(patience.until(now + Duration::from_secs(1)), now + WAIT_SLICE);
        assert!(!patience.ends(now + WAIT_SLICE / 2), "not asked yet");
        assert!(!patience.ends(now + WAIT_SLICE));
        assert!(!patience.ends(now + WAIT_SLICE), "it was just asked");
        assert!(patience.ends(now + WAIT_SLICE * 3));
        assert!(!patience.is_over());
        assert_eq!((patience.counts(), patience.counts()), (true, false));
        assert_eq!(asked, 2);
    }
}
