//! Where a frame's time stamp falls in the running time of this pipeline.

/// Times farther off than this begin anew.
const DRIFT: u64 = 1_000_000_000;

/// The first frame's arrival and time stamp; later frames keep their distance to it.
#[derive(Debug, Default)]
pub(super) struct Anchor {
    first: Option<(u64, u64)>,
    last: u64,
}

impl Anchor {
    /// The running time of a frame stamped `stamp` that arrives at `now`, and whether the count
    /// began anew.
    ///
    /// It does when stamps run backwards, or when they have drifted from the clock here by more
    /// than a second. Then a source was restarted, or its counter has wrapped.
    pub(super) fn place(&mut self, stamp: u64, now: u64) -> (u64, bool) {
        if let Some((arrival, origin)) = self.first
            && stamp >= self.last
        {
            let at = u128::from(arrival) + u128::from(stamp - origin);
            if at.abs_diff(u128::from(now)) <= u128::from(DRIFT) {
                self.last = stamp;
                return (u64::try_from(at).unwrap_or(u64::MAX), false);
            }
        }
        let anew = self.first.is_some();
        self.first = Some((now, stamp));
        self.last = stamp;
        (now, anew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn distances_are_kept_whatever_the_jitter() {
        let mut anchor = Anchor::default();
        assert_eq!(anchor.place(5 * SECOND, 100), (100, false));
        assert_eq!(anchor.place(5 * SECOND + 40, 300), (140, false));
        assert_eq!(anchor.place(5 * SECOND + 80, 150), (180, false));
    }

    #[test]
    fn a_day_of_frames_and_a_counter_that_wraps() {
        let frame = SECOND / 25;
        let (mut anchor, mut restarts) = (Anchor::default(), 0);
        // A 32-bit counter of a 90 kHz clock wraps after 13 hours and 15 minutes.
        let stamp = |index: u64| (index * 3600 % (1 << 32)) * SECOND / 90_000;
        let mut last = None;
        for index in 0..25 * 86_400 {
            let (at, anew) = anchor.place(stamp(index), index * frame);
            restarts += u32::from(anew);
            assert!(last.is_none_or(|last| at > last), "frame {index}");
            assert!(at.abs_diff(index * frame) < frame);
            last = Some(at);
        }
        assert_eq!(restarts, 1);
    }

    #[test]
    fn a_restarted_source_begins_anew() {
        let mut anchor = Anchor::default();
        anchor.place(10 * SECOND, 0);
        assert_eq!(anchor.place(0, SECOND), (SECOND, true));
        assert_eq!(anchor.place(90 * SECOND, SECOND + 5), (SECOND + 5, true));
        assert_eq!(anchor.place(u64::MAX - 1, SECOND + 6), (SECOND + 6, true));
    }
}
