//! A clock that stands still unless somebody sleeps.

use super::machine;
use crate::sync::yield_now;
use std::{ops, time::Duration};

/// Time since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(machine::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now() - self
    }

    pub(crate) fn checked_add(self, time: Duration) -> Option<Self> {
        self.0.checked_add(time).map(Self)
    }

    pub(crate) fn checked_sub(self, time: Duration) -> Option<Self> {
        self.0.checked_sub(time).map(Self)
    }

    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

impl ops::Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A short sleep takes as long as it likes: long ones keep the number of a waiter's rounds, and of
/// executions, small.
const OVERSLEEPS: u32 = if cfg!(loom) { 100 } else { 1 };

/// Lets the time pass, and the others work.
pub(crate) fn sleep(time: Duration) {
    machine::pass(time * OVERSLEEPS);
    // To loom a yield says that what was seen before it is not seen again: it would hide stale
    // values.
    if cfg!(not(loom)) {
        yield_now();
    }
}
