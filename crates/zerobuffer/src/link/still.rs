//! For how long something has not moved.

use crate::sync::Instant;
use std::time::Duration;

/// A value, and since when it stands still.
#[derive(Debug)]
pub(crate) struct Still<T> {
    since: Option<(Instant, T)>,
}

impl<T: PartialEq> Still<T> {
    pub(crate) fn new() -> Self {
        Self { since: None }
    }

    /// For how long the value was seen to be what it is now.
    pub(crate) fn observe(&mut self, value: T, now: Instant) -> Duration {
        match &self.since {
            Some((since, known)) if *known == value => now.saturating_duration_since(*since),
            _ => {
                self.since = Some((now, value));
                Duration::ZERO
            }
        }
    }

    /// It has moved, even if it has come back to where it was.
    pub(crate) fn forget(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_the_same_is_still() {
        let (mut still, start) = (Still::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(still.observe(7, at(0)), Duration::ZERO);
        assert_eq!(still.observe(7, at(3)), Duration::from_secs(3));
        assert_eq!(still.observe(8, at(4)), Duration::ZERO);
        assert_eq!(still.observe(8, at(6)), Duration::from_secs(2));
        still.forget();
        assert_eq!(still.observe(8, at(9)), Duration::ZERO);
        assert_eq!(still.observe(8, at(8)), Duration::ZERO, "a clock of another thread may be behind");
    }
}
