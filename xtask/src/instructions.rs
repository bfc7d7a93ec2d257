//! `cargo xtask instructions`: what a frame costs in instructions of our own, compared with a
//! committed table.
//!
//! Wall time on a shared machine is noise; instructions are the same on every run. Callgrind counts
//! them, driven from here. gungraun would do the same, but its runner is compiled for minutes on
//! two cores. It counts what the C library does as well, which differs from processor to processor.
//! Only code of our own object file counts.

mod callgrind;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::{Project, run as run_command};
use crate::{Command, install, python, test, tools};
use callgrind::Callgrind;
use table::Table;

pub(crate) const COMMAND: Command = Command {
    name: "instructions",
    arguments: "[--update]",
    summary: "count instructions per frame and compare with benchmarks/instructions.toml; --update writes it",
    run,
};

/// What is counted, and the function of `benchmarks/instructions` in which it happens; one frame at
/// a time.
const RUST: [(&str, &str); 3] = [
    ("write", "zerobuffer_count_write"),
    ("loan-commit", "zerobuffer_count_loan"),
    ("read-release", "zerobuffer_count_read"),
];
/// Rounds of the Rust program: a burst written, one read, one loaned, one read.
const ROUNDS: u32 = 1000;
const BURST: u32 = 8;
/// Bursts of the Python program.
const FEW: u32 = 50;
const MANY: u32 = 550;
/// Several times what one run takes.
const LIMIT: Duration = Duration::from_mins(2);

fn run(project: &Project, mut arguments: Arguments) -> Result<()> {
    let update = arguments.contains("--update");
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!("unknown arguments {rest:?}");
    }
    let counted = count(project)?;
    let path = Table::path(project);
    if update {
        counted.write(&path)?;
        println!("wrote {}", path.display());
        return Ok(());
    }
    compare(&counted, &path)
}

/// The step of `cargo xtask test`.
pub(crate) fn check(project: &Project) -> Result<()> {
    compare(&count(project)?, &Table::path(project))
}

fn compare(counted: &Table, path: &Path) -> Result<()> {
    let (text, met) = Table::read(path)?.compare(counted);
    print!("{text}");
    if !met {
        bail!("the hot paths take other numbers of instructions than {} says (above)", path.display());
    }
    Ok(())
}

fn count(project: &Project) -> Result<Table> {
    install::program(project, &tools::VALGRIND)?;
    let mut table = Table::default();
    rust(project, &mut table)?;
    packaged(project, &mut table)?;
    Ok(table)
}

fn rust(project: &Project, table: &mut Table) -> Result<()> {
    run_command(&mut project.cargo("build --quiet --release --package zerobuffer-instructions"))?;
    let program = project.cache.with_file_name("release").join("zerobuffer-instructions");
    for (name, function) in RUST {
        let callgrind = Callgrind { only_in: Some(function), limit: LIMIT };
        let count = callgrind.count(project, "zerobuffer-instructions", &program, &[ROUNDS.to_string()])?;
        // Each round reads twice.
        let bursts = if name == "read-release" { 2 * ROUNDS } else { ROUNDS };
        table.put(name, f64::from(count) / f64::from(bursts * BURST));
    }
    Ok(())
}

/// The Python package as it is installed: what is counted is the compiled module, not the
/// interpreter.
fn packaged(project: &Project, table: &mut Table) -> Result<()> {
    let found = python::interpreters(project)?.into_iter().find(python::Interpreter::uses_abi3);
    let interpreter = found.context("no CPython from 3.11 on, whose wheel is the one that is counted")?;
    let (_, wheel) =
        python::wheels(project, std::slice::from_ref(&interpreter))?.pop().context("no wheel")?;
    let venv = test::python_environment(project, &interpreter, &wheel)?;
    let python = venv.join("bin/python");
    let script = project.root.join("benchmarks/instructions/frames.py");
    let bursts = |out: u32, back: u32| {
        let words = [script.display().to_string(), out.to_string(), back.to_string()];
        Callgrind { only_in: None, limit: LIMIT }.count(project, "_zerobuffer", &python, &words)
    };
    let [neither, out, back] = [bursts(FEW, FEW)?, bursts(MANY, FEW)?, bursts(FEW, MANY)?];
    let frames = f64::from((MANY - FEW) * BURST);
    let per_frame = |more: u32| f64::from(more.saturating_sub(neither)) / frames;
    table.put("python-write", per_frame(out));
    table.put("python-write-read-release", per_frame(back));
    Ok(())
}
