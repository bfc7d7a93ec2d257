//! From seeds to schedules, and what is said of them.

use crate::{
    futures,
    random::{Random, RandomScheduler},
    readers, writers,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::{
    env,
    panic::{self, AssertUnwindSafe},
    process::{Command, ExitCode},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};
use zerobuffer::simulated::steps::{End, STEPS, leave_out};

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
    let word = |name: &str| arguments.iter().skip_while(|word| *word != name).nth(1).cloned();
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
    if let Some(step) = word("--without") {
        return without(&step);
    }
    let most = option("--schedules").unwrap_or(u64::MAX);
    let started = Instant::now();
    let (mut schedules, mut violations) = (0, 0);
    if option("--seed").is_none() {
        violations += STEPS.into_iter().filter(|step| !is_needed(*step)).count();
    }
    for seed in first.. {
        schedules += 1;
        if !holds(seed) {
            violations += 1;
            println!("FAIL the schedule of seed {seed}: cargo xtask loom --seed {seed} repeats it");
            break;
        }
        if schedules == most || started.elapsed() >= time {
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

/// Schedules in which a fault has to show.
const ENOUGH: u64 = 60_000;

/// Runs schedules of futures without a step, until one fails.
fn without(step: &str) -> ExitCode {
    let step = STEPS.into_iter().find(|known| format!("{known:?}") == step).expect("a step");
    for number in 1..=ENOUGH {
        leave_out(step);
        if !holds(4 * number + FUTURES) {
            println!("fails={number}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Whether a fault shows without that step; in a process of its own, which ends with the fault.
fn is_needed(step: End) -> bool {
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args(["--without", &format!("{step:?}")]).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let said = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    let fails = out.lines().find_map(|line| line.strip_prefix("fails="));
    // Somebody sleeps for ever, or the number of sleepers stays wrong for ever.
    let is_fault = said.contains("deadlock") || said.contains("exceeded max_steps");
    match fails.filter(|_| is_fault) {
        Some(number) => println!("ok   without {step:?} schedule {number} of futures fails"),
        None => println!("FAIL without {step:?} no schedule of {ENOUGH} fails as it must: {said}"),
    }
    fails.is_some() && is_fault
}

/// Seeds of this remainder have futures.
const FUTURES: u64 = 3;

/// Runs the one schedule of a seed. What is wrong has been printed when this is `false`.
fn holds(seed: u64) -> bool {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.silence_warnings = true;
    let scenario = move || {
        let random = Random::new(seed);
        match seed % 4 {
            0 => readers::run(random),
            FUTURES => futures::run(random, seed % 16 == FUTURES),
            _ => writers::run(random),
        }
    };
    let runner = Runner::new(RandomScheduler::new(seed), config);
    panic::catch_unwind(AssertUnwindSafe(|| runner.run(scenario))).is_ok()
}
