//! The table of cases, and one process per run: what a failed execution leaves in loom ends with
//! its process.

use crate::{edges, futures, large, legacy, streams};
use std::{
    cell::Cell,
    env,
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};
use zerobuffer::simulated::{
    boot,
    edges::{ENDS, End, weaken},
};

/// What two threads do, as one closure that loom runs again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) scenario: fn(),
    /// The ends of its edge, each with a part of the message with which the case fails when that
    /// one is weak.
    pub(crate) weak: &'static [(End, &'static str)],
    /// Ends that are weak in all its runs, since they would hide its own. A sequentially consistent
    /// load of loom's sees the newest store, whatever orders it.
    pub(crate) without: &'static [End],
    /// How often a thread may be interrupted where it need not be; `None`: any number of times.
    pub(crate) preemptions: Option<usize>,
}

/// What loom says when the last thread falls asleep: a wake-up was lost.
pub(crate) const ASLEEP: &str = "deadlock";
/// What it says of an access to a byte that nothing orders after an earlier one.
pub(crate) const RACE: &str = "Causality violation";

fn cases() -> impl Iterator<Item = &'static Case> {
    [edges::CASES, legacy::CASES, large::CASES, streams::CASES, futures::CASES].into_iter().flatten()
}

/// One run: a case as it ships, or with a weak end.
struct Run {
    case: &'static Case,
    weak: Option<(End, &'static str)>,
}

impl Run {
    fn name(&self) -> String {
        match self.weak {
            None => self.case.name.to_owned(),
            Some((end, _)) => format!("{} weaken {end:?}", self.case.name),
        }
    }
}

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    match &arguments[..] {
        [] => all(),
        [name] => here(name, None),
        [name, _, end] => here(name, Some(end)),
        _ => panic!("arguments: [CASE [weaken END]]"),
    }
}

/// Explores one case in this process.
fn here(name: &str, end: Option<&String>) -> ExitCode {
    static EXECUTIONS: AtomicU64 = AtomicU64::new(0);
    let case = cases().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    let named = |end: &String| {
        let found = case.weak.iter().find(|(weak, _)| format!("{weak:?}") == *end);
        found.unwrap_or_else(|| panic!("{name} has no end {end}")).0
    };
    let weak: Vec<End> = end.map(named).into_iter().chain(case.without.iter().copied()).collect();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = case.preemptions;
    builder.max_branches = 20_000;
    let scenario = case.scenario;
    for swapped in [false, true] {
        let weak = weak.clone();
        builder.check(move || {
            EXECUTIONS.fetch_add(1, Ordering::Relaxed);
            boot();
            weaken(&weak);
            SWAPPED.set(swapped);
            scenario();
        });
    }
    println!("executions={}", EXECUTIONS.load(Ordering::Relaxed));
    ExitCode::SUCCESS
}

std::thread_local!(static SWAPPED: Cell<bool> = const { Cell::new(false) });

/// Does both at the same time. Each is the first thread in one of two explorations. Loom remembers
/// one access per word when it looks for another order, and from one side alone it misses some.
/// What they return lives until both are done.
pub(crate) fn together<A: 'static, B: 'static>(
    one: impl FnOnce() -> A + 'static,
    other: impl FnOnce() -> B + 'static,
) -> (A, B) {
    if SWAPPED.get() {
        let one = loom::thread::spawn(one);
        let other = other();
        (one.join().unwrap(), other)
    } else {
        let other = loom::thread::spawn(other);
        let one = one();
        (one, other.join().unwrap())
    }
}

#[derive(Default)]
struct Figures {
    executions: u64,
    edges: usize,
    held: usize,
    weakened: usize,
    rejected: usize,
    violations: usize,
    /// Which end was weakened in which case, and whether that was rejected.
    list: Vec<(End, &'static str, bool)>,
}

/// Every run in a process of its own, as many at once as there are processors.
fn all() -> ExitCode {
    let runs: Vec<Run> = cases()
        .flat_map(|case| {
            let weak = case.weak.iter().map(move |&weak| Run { case, weak: Some(weak) });
            std::iter::once(Run { case, weak: None }).chain(weak)
        })
        .collect();
    let started = Instant::now();
    let (next, figures) = (AtomicUsize::new(0), Mutex::new(Figures::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let (held, executions, said) = elsewhere(run);
                    figures.lock().unwrap().add(run, held, executions, &said, begun.elapsed().as_secs_f64());
                }
            });
        }
    });
    let Figures { executions, edges, held, weakened, rejected, mut violations, list } =
        figures.into_inner().unwrap();
    for end in ENDS {
        let cases: Vec<_> = list.iter().filter(|(of, _, _)| *of == end).collect();
        for (_, case, rejected) in &cases {
            println!(
                "weakened {:<11}rejected {:<5}{case}",
                format!("{end:?}"),
                if *rejected { "yes" } else { "NO" }
            );
        }
        if cases.is_empty() {
            violations += 1;
            println!("FAIL {end:?} is weakened in no case");
        }
    }
    println!(
        "edges={edges} held={held} executions={executions} weakened={weakened} rejected={rejected} violations={violations} seconds={:.1}",
        started.elapsed().as_secs_f64()
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a run in another process held, its executions, and all that it said.
fn elsewhere(run: &Run) -> (bool, u64, String) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg(run.case.name);
    if let Some((end, _)) = run.weak {
        command.args(["weaken", &format!("{end:?}")]);
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let out = text(&output.stdout);
    let executions = out.lines().find_map(|line| line.strip_prefix("executions=")?.parse().ok());
    // A run that says no number has not come to its end, whatever its exit code.
    (output.status.success() && executions.is_some(), executions.unwrap_or(0), out + &text(&output.stderr))
}

impl Figures {
    fn add(&mut self, run: &Run, held: bool, executions: u64, said: &str, seconds: f64) {
        self.executions += executions;
        let name = run.name();
        if let Some((end, message)) = run.weak {
            self.list.push((end, run.case.name, !held && said.contains(message)));
        }
        let first =
            said.lines().find(|line| !line.is_empty() && !line.starts_with("thread ")).unwrap_or("nothing");
        match run.weak {
            None if held => {
                self.held += 1;
                self.edges += usize::from(!run.case.weak.is_empty());
                println!("ok   {name:<64}holds in {executions} executions, {seconds:.1} s");
            }
            Some((_, message)) if !held && said.contains(message) => {
                self.weakened += 1;
                self.rejected += 1;
                println!("ok   {name:<64}rejected: {message}, {seconds:.1} s");
            }
            weak => {
                self.violations += 1;
                self.weakened += usize::from(weak.is_some());
                println!("FAIL {name:<64}{} ({seconds:.1} s)", if held { "holds" } else { first });
                if !held {
                    println!("{said}");
                }
            }
        }
    }
}
