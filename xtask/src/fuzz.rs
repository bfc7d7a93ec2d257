//! `cargo xtask fuzz`: the targets of `fuzz/` around libFuzzer, coverage-guided, under
//! `AddressSanitizer`.
//!
//! Not by the program `cargo-fuzz`: it wants a nightly toolchain and would be compiled first. What
//! it does is these few flags; the folder keeps its layout, so it works there too.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::{Project, run as run_command, run_within};
use crate::{install, sanitizer, tools};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "fuzz",
    arguments: "[--seconds N] [TARGET]",
    summary: "fuzz all targets of fuzz/ or one; --merge makes the committed corpus anew from what was found",
    run,
};

/// What a run spends by default.
const SECONDS: f64 = 60.0;
/// What a test run spends.
const SHORT: f64 = 24.0;
/// Where a test run begins: every machine judges a change by the same inputs. Longer runs begin
/// anywhere, and look for new ones.
const SHORT_SEED: u32 = 1;
/// Of one execution, seconds. The slowest waits of the library are half a second long.
const HANG: u32 = 20;
/// Over the time that the fuzzer was given: only one that hangs meets it.
const PATIENCE: Duration = Duration::from_mins(3);

struct Options {
    seconds: f64,
    /// Start from the committed corpus alone, and from the same seed each time.
    fresh: bool,
    merge: bool,
    targets: Vec<String>,
}

fn run(project: &Project, mut arguments: Arguments) -> Result<()> {
    let seconds = arguments.opt_value_from_str("--seconds")?.unwrap_or(SECONDS);
    let merge = arguments.contains("--merge");
    let names: Vec<String> =
        arguments.finish().into_iter().map(|name| name.to_string_lossy().into()).collect();
    let known = targets(project)?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("no target `{unknown}`; the targets are {}", known.join(", "));
    }
    let targets = if names.is_empty() { known } else { names };
    fuzz(project, &Options { seconds, fresh: false, merge, targets })
}

/// The step of `cargo xtask test`.
pub(crate) fn short(project: &Project) -> Result<()> {
    fuzz(project, &Options { seconds: SHORT, fresh: true, merge: false, targets: targets(project)? })
}

fn targets(project: &Project) -> Result<Vec<String>> {
    let folder = project.root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let stem = |path: PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    names.sort_unstable();
    Ok(names)
}

/// What one target's fuzzer has said of itself.
#[derive(Default)]
struct Figures {
    executions: u64,
    corpus: u64,
    /// Edges of the instrumented code that were reached.
    coverage: u64,
}

fn fuzz(project: &Project, options: &Options) -> Result<()> {
    install::program(project, &tools::CXX_COMPILER)?;
    run_command(&mut sanitizer::cargo(
        project,
        "build --quiet --package zerobuffer-fuzz --features libfuzzer --bins",
    ))?;
    if options.fresh {
        // What other runs have found would be run through first, and take as long as there is of
        // it.
        let _ = fs::remove_dir_all(found_by_all(project, options));
    }
    let lanes = std::thread::available_parallelism().map_or(1, NonZero::get).min(options.targets.len());
    let rounds = u32::try_from(options.targets.len().div_ceil(lanes))?;
    let share = options.seconds / f64::from(rounds);
    let results = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = one(project, options, target, share);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((target, result));
                }
            });
        }
    });
    let (mut sum, mut crashes) = (Figures::default(), Vec::new());
    for (target, result) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match result {
            Ok(Figures { executions, corpus, coverage }) => {
                println!("{target:<9}executions={executions} corpus={corpus} coverage={coverage}");
                sum.executions += executions;
                sum.corpus += corpus;
                sum.coverage += coverage;
            }
            Err(error) => crashes.push(format!("{target}: {error:#}")),
        }
    }
    for crash in &crashes {
        println!("CRASH {crash}");
    }
    println!(
        "targets={} executions={} corpus={} coverage={} crashes={} seconds={:.1}",
        options.targets.len(),
        sum.executions,
        sum.corpus,
        sum.coverage,
        crashes.len(),
        started.elapsed().as_secs_f64()
    );
    if !crashes.is_empty() {
        bail!("{} of {} targets have failed", crashes.len(), options.targets.len());
    }
    if options.merge {
        options.targets.iter().try_for_each(|target| merge(project, options, target))
    } else {
        Ok(())
    }
}

/// What was found by the runs so far, apart from the committed corpus.
fn found_by_all(project: &Project, options: &Options) -> PathBuf {
    project.cache.join(if options.fresh { "fuzz-short" } else { "fuzz" })
}

fn found(project: &Project, options: &Options, target: &str) -> Result<PathBuf> {
    let folder = found_by_all(project, options).join(target);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn committed(project: &Project, target: &str) -> PathBuf {
    project.root.join("fuzz/corpus").join(target)
}

fn one(project: &Project, options: &Options, target: &str, seconds: f64) -> Result<Figures> {
    let found = found(project, options, target)?;
    let log = found.with_added_extension("log");
    let reproducer = found.with_added_extension("crash");
    let _ = fs::remove_file(&reproducer);
    let mut command = project.command(sanitizer::binary(project, target));
    command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
    command.args([
        &format!("-max_total_time={}", seconds.max(1.0).round()),
        &format!("-timeout={HANG}"),
        // An allocation that a field of shared memory sizes is larger than that.
        "-malloc_limit_mb=128",
        "-rss_limit_mb=2048",
        "-max_len=400",
        "-len_control=10",
        "-print_final_stats=1",
        &format!("-exact_artifact_path={}", reproducer.display()),
    ]);
    if options.fresh {
        command.arg(format!("-seed={SHORT_SEED}"));
    }
    command.arg(&found).arg(committed(project, target));
    let limit = Duration::from_secs_f64(seconds) + PATIENCE;
    if let Err(error) = run_within(limit, &mut command) {
        let where_to = if reproducer.exists() {
            format!(
                "; what did it is in {0}: put it into fuzz/corpus/{target} and run `cargo test -p zerobuffer-fuzz`",
                reproducer.display()
            )
        } else {
            String::new()
        };
        bail!("{error:#}{where_to}; log: {}\n{}", log.display(), reason(&log));
    }
    let text = fs::read_to_string(&log)?;
    let number = |line: &str, label: &str| -> u64 {
        let rest = line.split_once(label).map_or("", |(_, rest)| rest.trim_start());
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
    };
    let state = text.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
    let runs = text.lines().find(|line| line.contains("number_of_executed_units:")).unwrap_or_default();
    let figures = Figures {
        executions: number(runs, "units:"),
        corpus: number(state, "corp:"),
        coverage: number(state, "cov:"),
    };
    if figures.executions == 0 || figures.coverage == 0 {
        bail!("the fuzzer has run nothing, or sees no coverage; log: {}", log.display());
    }
    Ok(figures)
}

/// The line of a log that says what went wrong, and the next ones.
fn reason(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let is_reason = |line: &&str| ["panicked at", "ERROR:"].iter().any(|word| line.contains(word));
    let at = text.lines().position(|line| is_reason(&line)).unwrap_or(0);
    text.lines().skip(at).take(12).collect::<Vec<_>>().join("\n")
}

/// Makes the committed corpus anew: few files that reach together what all files reach.
fn merge(project: &Project, options: &Options, target: &str) -> Result<()> {
    let (found, committed) = (found(project, options, target)?, committed(project, target));
    let fresh = found.with_added_extension("merged");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh)?;
    let mut command: Command = project.command(sanitizer::binary(project, target));
    // By edges alone: files that differ in how often they pass an edge would be hundreds.
    command.args(["-set_cover_merge=1", "-use_counters=0", "-max_len=400", "-verbosity=0"]);
    run_command(command.arg(&fresh).arg(&found).arg(&committed))?;
    fs::create_dir_all(&committed)?;
    for entry in fs::read_dir(&committed)?.flatten() {
        fs::remove_file(entry.path())?;
    }
    for entry in fs::read_dir(&fresh)?.flatten() {
        fs::copy(entry.path(), committed.join(entry.file_name()))?;
    }
    Ok(())
}
