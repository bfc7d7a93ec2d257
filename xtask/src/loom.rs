//! `cargo xtask loom`: the endpoints as they ship on a simulated machine, under loom and under
//! shuttle.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::Command;
use crate::project::Project;

pub(crate) const COMMAND: Command = Command {
    name: "loom",
    arguments: "[--seconds N]",
    summary: "every memory edge under loom, weakened too, and N seconds of shuttle's schedules; --seed S repeats one",
    run,
};

/// The schedules of a test run, and several times the seconds that they take.
const SHORT: (u64, u64) = (20_000, 300);

fn run(project: &Project, mut arguments: Arguments) -> Result<()> {
    let seconds: Option<u64> = arguments.opt_value_from_str("--seconds")?;
    let seed: Option<u64> = arguments.opt_value_from_str("--seed")?;
    if let Some(word) = arguments.finish().first() {
        bail!("unknown argument `{}`", word.to_string_lossy());
    }
    match seed {
        Some(seed) => engine(project, "shuttle", &["--seed".to_owned(), seed.to_string()])?.check(),
        None => both(project, seconds.unwrap_or(60), &[]),
    }
}

/// The step of `cargo xtask test`.
pub(crate) fn short(project: &Project) -> Result<()> {
    // The same schedules each time: a rare fault of long ago does not turn up beside a change that
    // has nothing to do with it.
    let (schedules, seconds) = SHORT;
    both(project, seconds, &["--from", "1", "--schedules", &schedules.to_string()].map(str::to_owned))
}

fn both(project: &Project, seconds: u64, from: &[String]) -> Result<()> {
    let started = Instant::now();
    let loom = engine(project, "loom", &[])?;
    let time = ["--seconds".to_owned(), seconds.to_string()];
    let shuttle = engine(project, "shuttle", &[&time, from].concat())?;
    let figures: Vec<&str> = [&loom, &shuttle].into_iter().flat_map(Ended::figures).collect();
    let violations = loom.number("violations")? + shuttle.number("violations")?;
    println!("{} violations={violations} seconds={:.1}", figures.join(" "), started.elapsed().as_secs_f64());
    loom.check()?;
    shuttle.check()
}

/// How a test binary has ended.
struct Ended {
    name: &'static str,
    success: bool,
    /// Its last line: `name=value` figures.
    last: String,
}

impl Ended {
    /// Its figures but those that are added up.
    fn figures(&self) -> impl Iterator<Item = &str> {
        let added = |figure: &&str| !figure.starts_with("violations=") && !figure.starts_with("seconds=");
        self.last.split(' ').filter(added)
    }

    fn number(&self, name: &str) -> Result<u64> {
        let value = self.last.split(' ').find_map(|figure| figure.strip_prefix(name)?.strip_prefix('='));
        let value = value.with_context(|| format!("{} says no {name}: {}", self.name, self.last))?;
        value.parse().with_context(|| format!("{name} of {}", self.name))
    }

    fn check(&self) -> Result<()> {
        if !self.success || self.number("violations")? > 0 {
            bail!("{} has found a violation", self.name);
        }
        Ok(())
    }
}

/// Builds the test of that name with the cfg of that name, in a folder of its own, and runs it.
fn engine(project: &Project, name: &'static str, arguments: &[String]) -> Result<Ended> {
    let mut command = project.cargo("test --quiet --package zerobuffer --features async --test");
    command.args([name, "--"]).args(arguments);
    command.env("RUSTFLAGS", format!("--cfg {name}"));
    command.env("CARGO_TARGET_DIR", project.cache.with_file_name("loom").join(name));
    command.env("RUST_BACKTRACE", "0");
    println!(
        "$ RUSTFLAGS='--cfg {name}' cargo test --package zerobuffer --features async --test {name} -- {}",
        arguments.join(" ")
    );
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let out = child.stdout.take().context("no output")?;
    let mut last = String::new();
    for line in BufReader::new(out).lines() {
        last = line?;
        println!("{last}");
    }
    Ok(Ended { name, success: child.wait()?.success(), last })
}
