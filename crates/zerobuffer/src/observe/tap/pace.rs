//! How long a tap sleeps between two looks.

use std::time::{Duration, Instant};

/// The shortest pause, and the longest one.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(5);
/// Before anything is known of the stream.
const FIRST: Duration = Duration::from_millis(1);

/// The time between two frames that was seen.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When a look has last found something.
    found: Option<Instant>,
    /// Frames of the stream since then.
    frames: u64,
    interval: Option<Duration>,
}

impl Pace {
    /// So many frames of the stream have passed.
    pub(super) fn pass(&mut self, frames: u64) {
        self.frames = self.frames.saturating_add(frames);
    }

    /// A look has found frames, the one that is delivered now among them.
    pub(super) fn find(&mut self, now: Instant) {
        if let Some(before) = self.found.replace(now) {
            let frames = u32::try_from(self.frames.max(1)).unwrap_or(u32::MAX);
            let one = now.saturating_duration_since(before) / frames;
            // Half of what is new: two frames after a change of pace it is known.
            self.interval = Some(self.interval.map_or(one, |known| (known + one) / 2));
        }
        self.frames = 0;
    }

    /// A quarter of the time between two frames; more and more once the stream has stopped.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        let quiet = self.found.map_or(Duration::ZERO, |found| now.saturating_duration_since(found));
        self.interval.map_or(FIRST, |known| (known.max(quiet / 8) / 4).clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_a_quarter_of_the_interval_within_bounds() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        assert_eq!(pace.pause(now), FIRST);
        let mut run = |step: Duration, frames: u64| {
            for _ in 0..20 {
                now += step;
                pace.pass(frames);
                pace.find(now);
            }
            pace.pause(now)
        };
        assert_eq!(run(Duration::from_secs(1), 1), LONGEST);
        assert_eq!(run(Duration::from_millis(10), 1).as_micros(), 2500);
        // A look that finds a hundred frames is one of a fast stream.
        assert_eq!(run(Duration::from_millis(40), 100).as_micros(), 100);
        assert_eq!(run(Duration::from_micros(10), 1), SHORTEST);
        assert_eq!(pace.pause(now + Duration::from_micros(100)), SHORTEST);
        assert_eq!(pace.pause(now + Duration::from_millis(32)).as_millis(), 1, "it has stopped");
        assert_eq!(pace.pause(now + Duration::from_secs(1)), LONGEST);
    }
}
