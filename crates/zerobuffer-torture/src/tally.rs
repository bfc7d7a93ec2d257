//! The figures of a run.

use std::fmt;

/// Sums over all rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    pub(crate) faults: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) lost: u64,
    pub(crate) torn: u64,
    pub(crate) leftovers: u64,
    /// Creations and attaches that were refused for want of a descriptor.
    pub(crate) starved: u64,
    /// Milliseconds; of a peer whose number exists nowhere, or only in another namespace.
    pub(crate) detections: Vec<f64>,
    /// Milliseconds; of a peer whose number means another, living process to the observer.
    pub(crate) detections_pid_exists: Vec<f64>,
    /// Rounds with the published 1.3.0 at one end, apart from all of the above.
    pub(crate) old: Old,
    /// Rounds with a full `/dev/shm`, and creations that were refused there.
    pub(crate) full_rounds: u64,
    pub(crate) refused: u64,
    /// Rounds on a duplex channel, apart from the figures of streams.
    pub(crate) duplex: Duplex,
    /// Everything that should not be, in words, with the seed that repeats it.
    pub(crate) violations: Vec<String>,
}

/// What happened with the published 1.3.0 at one end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Old {
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    pub(crate) frames: u64,
    pub(crate) lost: u64,
    pub(crate) torn: u64,
    /// How often a ring went from one form to the other.
    pub(crate) switches: u64,
    /// How often 1.3.0 took the place of a live native writer.
    pub(crate) intrusions: u64,
}

/// What happened on duplex channels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Duplex {
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    /// Answers that were right; a wrong one is a violation.
    pub(crate) answers: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        self.faults += other.faults;
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.torn += other.torn;
        self.leftovers += other.leftovers;
        self.starved += other.starved;
        self.detections.extend(other.detections);
        self.detections_pid_exists.extend(other.detections_pid_exists);
        self.old.rounds += other.old.rounds;
        self.old.kills += other.old.kills;
        self.old.frames += other.old.frames;
        self.old.lost += other.old.lost;
        self.old.torn += other.old.torn;
        self.old.switches += other.old.switches;
        self.old.intrusions += other.old.intrusions;
        self.full_rounds += other.full_rounds;
        self.refused += other.refused;
        self.duplex.rounds += other.duplex.rounds;
        self.duplex.kills += other.duplex.kills;
        self.duplex.answers += other.duplex.answers;
        self.violations.extend(other.violations);
    }

    /// Whether everything that is promised held. What is lost with a legacy peer is reported, not
    /// promised.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.torn + self.leftovers + self.old.torn == 0 && self.violations.is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, kills, faults, frames, bytes, lost, torn, leftovers, old, .. } = self;
        let (worst, median) = summary(&self.detections);
        write!(f, "rounds={rounds} kills={kills} faults={faults} frames={frames} bytes={bytes}")?;
        write!(f, " lost={lost} torn={torn} leftovers={leftovers} worst_detection_ms={worst:.1}")?;
        write!(f, " median_detection_ms={median:.1} detections={}", self.detections.len())?;
        write!(f, " starved={}", self.starved)?;
        let (worst, _) = summary(&self.detections_pid_exists);
        write!(f, " worst_detection_pid_exists_ms={worst:.1}")?;
        let Old { rounds, kills, frames, lost, torn, switches, intrusions } = old;
        write!(
            f,
            " old_rounds={rounds} old_kills={kills} old_frames={frames} old_lost={lost} old_torn={torn}"
        )?;
        write!(f, " old_switches={switches} old_intrusions={intrusions}")?;
        let Self { full_rounds, refused, duplex: Duplex { rounds, kills, answers }, .. } = self;
        write!(f, " full_rounds={full_rounds} refused={refused}")?;
        write!(f, " duplex_rounds={rounds} duplex_kills={kills} duplex_answers={answers}")?;
        write!(f, " violations={}", self.violations.len())
    }
}

/// Largest and median.
fn summary(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted.last().copied().unwrap_or(0.0), sorted.get(sorted.len() / 2).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_figures() {
        let mut sum = Tally::default();
        sum.add(Tally { rounds: 1, kills: 3, detections: vec![1.0, 9.0, 2.0], ..Tally::default() });
        sum.add(Tally { rounds: 1, lost: 1, ..Tally::default() });
        let line = sum.to_string();
        assert!(
            line.starts_with("rounds=2 kills=3 faults=0 frames=0 bytes=0 lost=1 torn=0 leftovers=0"),
            "{line}"
        );
        assert!(line.contains("worst_detection_ms=9.0 median_detection_ms=2.0"), "{line}");
        assert!(!sum.is_clean() && Tally::default().is_clean());
    }
}
