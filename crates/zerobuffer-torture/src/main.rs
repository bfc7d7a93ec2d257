//! Fault injection: endpoints in processes of their own are killed, stopped, closed and starved at
//! random moments. Every byte, every frame and every file is accounted for. `RELIABILITY.md` says
//! what the figures mean.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "zerobuffer-torture is for Linux: it makes namespaces and mounts, and counts files in /dev/shm"
);

mod beside;
mod child;
mod crash;
mod duplex_round;
mod ledger;
mod leftovers;
mod old_round;
mod pattern;
mod plan;
mod process;
mod round;
mod soak;
mod switch_round;
mod tally;

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;
use plan::Plan;
use std::{
    fs::{self, Permissions},
    num::NonZero,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};
use tally::Tally;

const USAGE: &str = "usage: zerobuffer-torture [--seconds N | --hours N | --kills N | --rounds N] [--seed S] [--lanes N] [--stream | --old | --switch | --full | --duplex]";

fn main() -> ExitCode {
    match dispatch() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("zerobuffer-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<bool> {
    let mut arguments = Arguments::from_env();
    match arguments.subcommand()?.as_deref() {
        None => torture(arguments),
        Some(role @ ("reader" | "writer" | "client" | "server")) => {
            let words: Vec<String> =
                arguments.finish().into_iter().map(|word| word.to_string_lossy().into()).collect();
            let (number, plan) = words.split_first().context(USAGE)?;
            let (number, plan) = (number.parse()?, Plan::parse(plan)?);
            match role {
                "reader" => child::reader(&plan, number),
                "writer" => child::writer(&plan, number),
                "client" => child::client(&plan, number),
                _ => child::server(&plan),
            }?;
            Ok(true)
        }
        Some("full") => {
            let (name, base): (String, PathBuf) = (arguments.free_from_str()?, arguments.free_from_str()?);
            round::full_inside(&name, &base, arguments.free_from_str()?).map(|()| true)
        }
        Some("steady") => {
            let name: String = arguments.free_from_str()?;
            soak::steady(&name).map(|()| true)
        }
        Some("beside") => beside::run().map(|()| true),
        Some("hand") => beside::hand(&arguments.free_from_str::<String>()?).map(|()| true),
        Some("crashpoints") => crash::run(arguments),
        Some("victim") => {
            let words: Vec<String> =
                arguments.finish().into_iter().map(|word| word.to_string_lossy().into()).collect();
            crash::victim(&words).map(|()| true)
        }
        Some(other) => bail!("no command is called {other}; {USAGE}"),
    }
}

/// When a run is over.
struct Limit {
    deadline: Option<Instant>,
    kills: u64,
    rounds: u64,
}

impl Limit {
    fn parse(arguments: &mut Arguments) -> Result<Self> {
        let hours: Option<f64> = arguments.opt_value_from_str("--hours")?;
        let seconds: Option<f64> = arguments.opt_value_from_str("--seconds")?;
        let (kills, rounds) =
            (arguments.opt_value_from_str("--kills")?, arguments.opt_value_from_str("--rounds")?);
        let seconds = seconds.or(hours.map(|hours| hours * 3600.0));
        let seconds =
            if seconds.is_none() && kills.is_none() && rounds.is_none() { Some(60.0) } else { seconds };
        let time = seconds.map(Duration::try_from_secs_f64).transpose()?;
        Ok(Self {
            deadline: time.and_then(|time| Instant::now().checked_add(time)),
            kills: kills.unwrap_or(u64::MAX),
            rounds: rounds.unwrap_or(u64::MAX),
        })
    }

    fn is_reached(&self, tally: &Tally, started: u64) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || tally.kills + tally.old.kills + tally.duplex.kills >= self.kills
            || started >= self.rounds
    }
}

struct Run {
    tally: Tally,
    /// Rounds begun.
    started: u64,
    /// The next round's seed.
    seed: u64,
    /// When the state was last printed.
    last_report: Instant,
}

fn torture(mut arguments: Arguments) -> Result<bool> {
    let limit = Limit::parse(&mut arguments)?;
    let seed: Option<String> = arguments.opt_value_from_str("--seed")?;
    let lanes: usize = arguments
        .opt_value_from_str("--lanes")?
        .unwrap_or_else(|| 2 * thread::available_parallelism().map_or(1, NonZero::get));
    let kinds = [Kind::Old, Kind::Switch, Kind::Full, Kind::Duplex, Kind::Stream];
    let only = kinds.into_iter().find(|kind| arguments.contains(kind.option()));
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!("unknown {rest:?}; {USAGE}");
    }
    let seed = seed.map_or_else(|| Ok(fastrand::u64(..)), |text| number(&text))?;
    let root = rustix::process::geteuid().is_root();
    let old_python = std::env::var_os("ZEROBUFFER_TEST_OLD_PYTHON").map(PathBuf::from);
    if let Some(kind @ (Kind::Old | Kind::Switch)) = only
        && old_python.is_none()
    {
        let option = kind.option();
        bail!("{option} needs ZEROBUFFER_TEST_OLD_PYTHON, an interpreter with the published 1.3.0");
    }
    if only == Some(Kind::Full) && !root {
        bail!("--full needs root, for a mount namespace");
    }
    if old_python.is_none() {
        println!("ZEROBUFFER_TEST_OLD_PYTHON is not set: no rounds with the published 1.3.0");
    }
    let base = std::env::temp_dir().join(format!("zerobuffer-torture-{}", std::process::id()));
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    let surroundings = Surroundings { base, root, old_python, only };
    println!("seed={seed:#x} lanes={lanes}");
    if !root {
        println!("not root: no pid namespaces, no other users, no intruders, no full tmpfs in this run");
    }
    open_to_all(&surroundings.base)?;

    let soak = soak::Soak::start()?;
    let run = Mutex::new(Run { tally: Tally::default(), started: 0, seed, last_report: Instant::now() });
    thread::scope(|scope| {
        for _ in 0..lanes.max(1) {
            scope.spawn(|| lane(&run, &limit, &surroundings));
        }
    });
    let mut tally = run.into_inner().unwrap_or_else(PoisonError::into_inner).tally;
    let (soaked, grown) = soak.finish();
    tally.violations.extend(grown);
    for violation in &tally.violations {
        println!("VIOLATION {violation}");
    }
    if tally.is_clean() {
        let _ = fs::remove_dir_all(&surroundings.base);
    } else {
        println!("ledgers of the rounds with violations: {}", surroundings.base.display());
    }
    println!("{tally} {soaked}");
    Ok(tally.is_clean())
}

/// What all rounds of a run share.
struct Surroundings {
    /// Where the ledgers go.
    base: PathBuf,
    root: bool,
    /// An interpreter that has the published 1.3.0.
    old_python: Option<PathBuf>,
    /// What all rounds are, if they are not mixed.
    only: Option<Kind>,
}

/// What a round is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stream,
    /// With the published 1.3.0 at one end.
    Old,
    /// The same with native writers before, behind and under those of 1.3.0.
    Switch,
    /// With a full `/dev/shm`.
    Full,
    Duplex,
}

impl Kind {
    /// What makes all rounds such ones.
    fn option(self) -> &'static str {
        match self {
            Self::Stream => "--stream",
            Self::Old => "--old",
            Self::Switch => "--switch",
            Self::Full => "--full",
            Self::Duplex => "--duplex",
        }
    }
}

/// Two rounds in so many are with the published 1.3.0; they take several times as long as others.
const OLD_ROUNDS: u64 = 50;
const FULL_ROUNDS: u64 = 20;
const DUPLEX_ROUNDS: u64 = 8;

impl Surroundings {
    fn kind(&self, number: u64) -> Kind {
        let every = |rounds| number.is_multiple_of(rounds);
        match self.only {
            Some(kind) => kind,
            None if every(OLD_ROUNDS) && self.old_python.is_some() => Kind::Old,
            None if number % OLD_ROUNDS == 1 && self.old_python.is_some() => Kind::Switch,
            None if every(FULL_ROUNDS) && self.root => Kind::Full,
            None if every(DUPLEX_ROUNDS) => Kind::Duplex,
            None => Kind::Stream,
        }
    }
}

/// Held by each round, by those with 1.3.0 alone. A reader of 1.3.0 that is made removes dead
/// buffers. It looks, and then removes by name: what comes to life in between loses its name.
static SWEEPS: RwLock<()> = RwLock::new(());

fn lane(run: &Mutex<Run>, limit: &Limit, surroundings: &Surroundings) {
    let lock = || run.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (seed, number) = {
            let mut run = lock();
            if limit.is_reached(&run.tally, run.started) {
                return;
            }
            let seed = run.seed;
            run.seed = pattern::mix(seed);
            run.started += 1;
            (seed, run.started)
        };
        let name = name_of(&format!("{}-{number}", std::process::id()));
        let Surroundings { base, root, old_python, .. } = surroundings;
        let kind = surroundings.kind(number);
        let sweeps = surroundings.only.is_none() && matches!(kind, Kind::Old | Kind::Switch);
        let alone = sweeps.then(|| SWEEPS.write().unwrap_or_else(PoisonError::into_inner));
        let beside = (!sweeps).then(|| SWEEPS.read().unwrap_or_else(PoisonError::into_inner));
        let mut tally = match (kind, old_python) {
            (Kind::Old, Some(python)) => old_round::run(&name, base, seed, python),
            (Kind::Switch, Some(python)) => switch_round::run(&name, base, seed, python, *root),
            (Kind::Full, _) => round::run_full(&name, base, seed),
            (Kind::Duplex, _) => duplex_round::run(&name, base, seed, *root),
            (Kind::Stream | Kind::Old | Kind::Switch, _) => round::run(&name, base, seed, *root),
        };
        drop((alone, beside));
        let mut run = lock();
        for violation in &mut tally.violations {
            let option = kind.option();
            *violation =
                format!("{violation}; repeat: cargo xtask torture --rounds 1 {option} --seed {seed:#x}");
            println!("violation: {violation}");
        }
        run.tally.add(tally);
        if run.last_report.elapsed() > Duration::from_secs(10) {
            run.last_report = Instant::now();
            println!("{} [descriptors, threads, KiB: {}]", run.tally, leftovers::own_footprint());
        }
    }
}

/// A buffer's name, with the mark of the run of `cargo xtask test` that this belongs to, if any.
fn name_of(tag: &str) -> String {
    format!("{}torture-{tag}", std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default())
}

/// A decimal or 0x number.
fn number(text: &str) -> Result<u64> {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    parsed.with_context(|| format!("`{text}` is no number"))
}

/// Processes of another user write their ledgers there.
pub(crate) fn open_to_all(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o777))
        .with_context(|| format!("cannot open {} to all", folder.display()))
}
