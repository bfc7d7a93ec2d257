//! What a round is like: geometry, sizes, habits of both ends. Drawn from the round's seed, passed
//! on as arguments.

use crate::{pattern::Pattern, process::OTHER_USER};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use zerobuffer::{BufferConfig, FullRingPolicy, Owner, WaitStrategy};

/// Everything that a round's processes have to agree on.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// Where the ledgers go.
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    pub(crate) metadata: u64,
    pub(crate) payload: u64,
    pub(crate) pattern: Pattern,
    pub(crate) mode: u32,
    /// How many frames the reader holds at most.
    pub(crate) hold: u64,
    /// Percent of writes that are preceded by a loan which is dropped.
    pub(crate) abandon: u64,
    /// Microseconds that the ends pause at most between two frames; 0: never.
    pub(crate) pause: u64,
}

impl Plan {
    pub(crate) fn draw(name: String, folder: &Path, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let base = 64_u64 << rng.u32(0..14);
        let payload = base + 64 * rng.u64(0..=base / 64);
        let largest = payload - 16;
        let max = match rng.u32(0..10) {
            0..3 => largest,
            3..6 => (payload / 2).min(largest),
            6..9 => (payload / 8).clamp(1, largest),
            _ => rng.u64(1..=largest),
        };
        Self {
            name,
            folder: folder.to_owned(),
            seed,
            metadata: pick(&mut rng, &[0, 64, 1024, 4096]),
            payload,
            pattern: Pattern { key: seed, max },
            mode: 0o600,
            hold: pick(&mut rng, &[0, 0, 1, 3, 20]),
            abandon: pick(&mut rng, &[0, 5, 30]),
            pause: pick(&mut rng, &[0, 0, 0, 50, 2000]),
        }
    }

    /// Whose buffers the round's writers attach to: the ends of other users are trusted, as in an
    /// application.
    pub(crate) fn owner(&self) -> Owner {
        if self.mode == 0o600 { Owner::Trusted } else { Owner::User(OTHER_USER) }
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let numbers = [
            self.seed,
            self.metadata,
            self.payload,
            self.pattern.key,
            self.pattern.max,
            self.mode.into(),
            self.hold,
            self.abandon,
            self.pause,
        ];
        let words = [self.name.clone(), self.folder.display().to_string()];
        words.into_iter().chain(numbers.iter().map(ToString::to_string)).collect()
    }

    /// The inverse of [`Self::arguments`].
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let [name, folder, numbers @ ..] = words else { anyhow::bail!("too few arguments") };
        let number = |at: usize| -> Result<u64> {
            numbers.get(at).context("too few arguments")?.parse().context("not a number")
        };
        Ok(Self {
            name: name.clone(),
            folder: PathBuf::from(folder),
            seed: number(0)?,
            metadata: number(1)?,
            payload: number(2)?,
            pattern: Pattern { key: number(3)?, max: number(4)? },
            mode: u32::try_from(number(5)?)?,
            hold: number(6)?,
            abandon: number(7)?,
            pause: number(8)?,
        })
    }

    /// What the reader creates; `rng` is the reader's own.
    pub(crate) fn buffer(&self, rng: &mut fastrand::Rng) -> BufferConfig {
        let config = BufferConfig::ring(self.payload).metadata(self.metadata).mode(self.mode);
        config.wait(wait(rng)).prefault(rng.bool())
    }
}

/// One of the given values.
fn pick<T: Copy + Default>(rng: &mut fastrand::Rng, values: &[T]) -> T {
    rng.choice(values).copied().unwrap_or_default()
}

pub(crate) fn wait(rng: &mut fastrand::Rng) -> WaitStrategy {
    pick(rng, &[WaitStrategy::Block, WaitStrategy::Adaptive, WaitStrategy::Adaptive, WaitStrategy::Spin])
}

/// `DropNewest` would make the number of a dropped frame the next one's: as good as `Refuse` here.
pub(crate) fn full_ring(rng: &mut fastrand::Rng) -> FullRingPolicy {
    if rng.u32(0..8) == 0 { FullRingPolicy::Refuse } else { FullRingPolicy::Block }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_the_command_line_and_follows_from_its_seed() {
        for seed in 0..200 {
            let plan = Plan::draw("n".to_owned(), Path::new("/tmp"), seed);
            let again = Plan::parse(&plan.arguments()).unwrap();
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
            assert!(plan.payload.is_multiple_of(64) && (1..=plan.payload - 16).contains(&plan.pattern.max));
        }
    }
}
