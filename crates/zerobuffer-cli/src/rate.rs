//! The schedule of a paced stream.
use std::time::{Duration, Instant};

pub(crate) use zerobuffer_video::Rate;

/// Tells when the next frame of a paced stream is due.
///
/// The schedule is absolute, so small delays do not add up. A stream that falls more than a second
/// behind starts a new schedule instead of sending a burst.
#[derive(Debug)]
pub(crate) struct Pacer {
    rate: Rate,
    start: Instant,
    index: u64,
}

impl Pacer {
    const LATEST: Duration = Duration::from_secs(1);

    pub(crate) fn new(rate: Rate, now: Instant) -> Pacer {
        Pacer { rate, start: now, index: 0 }
    }

    /// How long to wait from `now` before the next frame, which this call counts as sent.
    pub(crate) fn next_delay(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.start);
        let due = self.rate.due(self.index);
        if elapsed > due + Self::LATEST {
            self.start = now;
            self.index = 1;
            return Duration::ZERO;
        }
        self.index += 1;
        due.saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_does_not_drift() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Rate::new(30000, 1001).unwrap(), start);
        assert_eq!(pacer.next_delay(start), Duration::ZERO);
        // Called 5 ms late: the next frame is still due at 33.366 ms, not at 38.
        let late = start + Duration::from_millis(5);
        assert_eq!(pacer.next_delay(late), Duration::from_nanos(33_366_666 - 5_000_000));
        for _ in 2..30_000 {
            pacer.next_delay(start);
        }
        assert_eq!(pacer.next_delay(start), Duration::from_secs(1001));
    }

    #[test]
    fn a_long_stall_starts_afresh() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Rate::new(10, 1).unwrap(), start);
        pacer.next_delay(start);
        let stalled = start + Duration::from_secs(60);
        assert_eq!(pacer.next_delay(stalled), Duration::ZERO);
        assert_eq!(pacer.next_delay(stalled), Duration::from_millis(100));
    }
}
