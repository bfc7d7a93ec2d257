//! Frame rates: parsing (`25`, `29.97`, `30000/1001`) and the schedule of a paced stream.
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Frames per second as a fraction; neither part is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) num: u32,
    pub(crate) den: u32,
}

impl Rate {
    /// `None` when either part is 0: the rate is unknown.
    pub(crate) fn new(num: u32, den: u32) -> Option<Rate> {
        (num != 0 && den != 0).then_some(Rate { num, den })
    }

    /// When frame `index` is due, counted from frame 0.
    pub(crate) fn due(self, index: u64) -> Duration {
        let nanos = u128::from(index) * u128::from(self.den) * 1_000_000_000 / u128::from(self.num);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With its denominator even if that is 1: GStreamer's fractions need it, and it reads back.
        write!(f, "{}/{}", self.num, self.den)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong =
            || format!("'{text}' is not a frame rate above 0: write for instance 25, 29.97 or 30000/1001");
        let (num, den) = if let Some((num, den)) = text.split_once(['/', ':']) {
            (num.parse().map_err(|_| wrong())?, den.parse().map_err(|_| wrong())?)
        } else if let Some((whole, fraction)) = text.split_once('.') {
            if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            let digits = u32::try_from(fraction.len()).map_err(|_| wrong())?;
            let den = 10u32.checked_pow(digits).ok_or_else(wrong)?;
            let whole: u32 = whole.parse().map_err(|_| wrong())?;
            let fraction: u32 = fraction.parse().map_err(|_| wrong())?;
            let num = whole.checked_mul(den).and_then(|n| n.checked_add(fraction)).ok_or_else(wrong)?;
            (num, den)
        } else {
            (text.parse().map_err(|_| wrong())?, 1)
        };
        Rate::new(num, den).ok_or_else(wrong)
    }
}

/// Tells when the next frame of a paced stream is due.
///
/// The schedule is absolute, so that small delays do not add up; a stream that falls more than a second behind starts a
/// new schedule instead of sending a burst.
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
    fn parsing() {
        for (text, num, den) in
            [("25", 25, 1), ("30000/1001", 30000, 1001), ("30000:1001", 30000, 1001), ("29.97", 2997, 100)]
        {
            assert_eq!(text.parse(), Ok(Rate { num, den }), "{text}");
        }
        for text in
            ["", "0", "0/1", "1/0", "-1", "x", "25.", "1e3", "1/2/3", "99999999999", "1.00000000000001"]
        {
            let message = text.parse::<Rate>().unwrap_err();
            assert!(message.contains("is not a frame rate"), "{text}: {message}");
        }
    }

    #[test]
    fn a_schedule_does_not_drift() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Rate { num: 30000, den: 1001 }, start);
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
        let mut pacer = Pacer::new(Rate { num: 10, den: 1 }, start);
        pacer.next_delay(start);
        let stalled = start + Duration::from_mins(1);
        assert_eq!(pacer.next_delay(stalled), Duration::ZERO);
        assert_eq!(pacer.next_delay(stalled), Duration::from_millis(100));
    }
}
