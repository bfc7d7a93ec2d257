//! `cargo xtask model`: every formal model and known-bad variant of `models/README.md`, against its
//! expected verdict.

mod spin;
mod table;

use std::fs;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::Project;
use crate::{Command, install, tools};
use spin::Verdict;
use table::{Expected, Row};

pub(crate) const COMMAND: Command = Command {
    name: "model",
    arguments: "[RUN...]",
    summary: "check the formal models, or the named runs of models/README.md",
    run,
};

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let names: Vec<String> =
        arguments.finish().into_iter().map(|name| name.to_string_lossy().into()).collect();
    check(project, &names, &[])
}

/// What a change does not wait for: half a minute each and more on a busy machine. The same models
/// run with fewer crashes, or with subscribers that stay.
const LONG: [&str; 4] = ["native-crash-twice", "form-crash", "crash-wrap", "broadcast-leaves"];

/// The step of `cargo xtask test`.
pub(crate) fn quick(project: &Project) -> Result<()> {
    println!("only `cargo xtask model` runs {}", LONG.join(", "));
    check(project, &[], &LONG)
}

/// The named rows, or all but those that are left out.
fn check(project: &Project, names: &[String], left_out: &[&str]) -> Result<()> {
    let path = project.root.join("models/README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = table::choose(table::parse(&text)?, names)?;
    rows.retain(|row| !left_out.contains(&row.name.as_str()));
    install::program(project, &tools::SPIN)?;
    install::program(project, &tools::C_COMPILER)?;

    let started = Instant::now();
    let counts = Mutex::new(Counts::default());
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_WORKERS);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let verdict = spin::check(project, row);
                    // A worker that panicked held no half-made count: each is a sum.
                    let mut counts = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    counts.add(row, verdict, begun.elapsed());
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!(
        "models={} states={} rejected={} unexpected={} seconds={:.1}",
        counts.held,
        counts.states,
        counts.rejected,
        counts.unexpected,
        started.elapsed().as_secs_f64()
    );
    if counts.unexpected > 0 {
        bail!("{} of {} runs ended otherwise than models/README.md says", counts.unexpected, rows.len());
    }
    Ok(())
}

/// Each run may take 700 MB: more at once would not fit into small machines.
const MAX_WORKERS: usize = 4;

#[derive(Default)]
struct Counts {
    held: usize,
    states: u64,
    rejected: usize,
    unexpected: usize,
}

impl Counts {
    fn add(&mut self, row: &Row, verdict: Result<Verdict>, time: Duration) {
        let seconds = time.as_secs_f64();
        match (&row.expected, verdict) {
            (Expected::Holds, Ok(Verdict::Holds { states })) => {
                self.held += 1;
                self.states += states;
                println!("ok   {:<26}holds, {states} states, {seconds:.1} s", row.name);
            }
            (Expected::Rejected(part), Ok(Verdict::Rejected { message })) if message.contains(part) => {
                self.rejected += 1;
                println!("ok   {:<26}rejected: {message}, {seconds:.1} s", row.name);
            }
            (expected, Ok(verdict)) => {
                self.unexpected += 1;
                println!(
                    "FAIL {:<26}expected: {expected}; found: {verdict}\n     {}",
                    row.name,
                    row.replay()
                );
            }
            (_, Err(error)) => {
                self.unexpected += 1;
                println!("FAIL {:<26}{error:#}", row.name);
            }
        }
    }
}
