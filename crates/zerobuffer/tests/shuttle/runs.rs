//! From seeds to schedules, and what is said of them.

use crate::{
    random::{Random, RandomScheduler},
    readers, writers,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::{
    env,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

/// What the schedules have done, over all of them.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) frames: AtomicU64,
    pub(crate) kills: AtomicU64,
    pub(crate) closes: AtomicU64,
    /// Numbers that were used up by a frame which was never published.
    pub(crate) gaps: AtomicU64,
    /// Frames that taps have delivered.
    pub(crate) tapped: AtomicU64,
}

pub(crate) static FIGURES: Figures = Figures {
    frames: AtomicU64::new(0),
    kills: AtomicU64::new(0),
    closes: AtomicU64::new(0),
    gaps: AtomicU64::new(0),
    tapped: AtomicU64::new(0),
};

impl Figures {
    pub(crate) fn count(what: &AtomicU64) {
        what.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a schedule is repeated, and says what it does.
static TELLS: AtomicBool = AtomicBool::new(false);

pub(crate) fn tell(what: impl FnOnce() -> String) {
    if TELLS.load(Ordering::Relaxed) {
        println!("{}", what());
    }
}

/// Far more than a schedule takes that comes to its end.
const MAX_STEPS: usize = 400_000;

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let option = |name: &str| {
        let value = arguments.iter().skip_while(|word| *word != name).nth(1)?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("{name} takes a number")))
    };
    let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64;
    let (first, time) = match option("--seed") {
        Some(seed) => {
            TELLS.store(true, Ordering::Relaxed);
            (seed, Duration::ZERO)
        }
        None => (
            option("--from").unwrap_or(clock % 1_000_000_000),
            Duration::from_secs(option("--seconds").unwrap_or(10)),
        ),
    };
    let started = Instant::now();
    let (mut schedules, mut violations) = (0, 0);
    for seed in first.. {
        schedules += 1;
        if !holds(seed) {
            violations += 1;
            println!("FAIL the schedule of seed {seed}: cargo xtask loom --seed {seed} repeats it");
            break;
        }
        if started.elapsed() >= time {
            break;
        }
    }
    let count = |what: &AtomicU64| what.load(Ordering::Relaxed);
    println!(
        "schedules={schedules} seed={first} frames={} kills={} closes={} gaps={} tapped={} violations={violations} seconds={:.1}",
        count(&FIGURES.frames),
        count(&FIGURES.kills),
        count(&FIGURES.closes),
        count(&FIGURES.gaps),
        count(&FIGURES.tapped),
        started.elapsed().as_secs_f64()
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the one schedule of a seed. What is wrong has been printed when this is `false`.
fn holds(seed: u64) -> bool {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.silence_warnings = true;
    let scenario = move || {
        let random = Random::new(seed);
        if seed.is_multiple_of(3) { readers::run(random) } else { writers::run(random) }
    };
    let runner = Runner::new(RandomScheduler::new(seed), config);
    panic::catch_unwind(AssertUnwindSafe(|| runner.run(scenario))).is_ok()
}
