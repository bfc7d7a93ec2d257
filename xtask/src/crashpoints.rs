//! `cargo xtask crashpoints`: an endpoint's process is ended before and after every change that
//! others see.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use pico_args::Arguments;

use crate::project::{Project, run as run_command, run_within};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "crashpoints",
    arguments: "[--quick]",
    summary: "end endpoints at every crash point; --case SCRIPT:PASSAGE:hasty|calm repeats one",
    run,
};

/// Several times what it takes: only a hang meets it.
const LIMIT: Duration = Duration::from_mins(10);

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let mut command = prepare(project)?;
    run_command(command.args(arguments.finish()))
}

/// The step of `cargo xtask test`: each point once instead of twice.
pub(crate) fn quick(project: &Project) -> Result<()> {
    run_within(LIMIT, prepare(project)?.arg("--quick"))
}

/// The core with its crash points is another build, in a folder of its own.
fn prepare(project: &Project) -> Result<Command> {
    let target = project.cache.join("crash-points");
    let mut build = project.cargo("build --quiet --package zerobuffer-torture");
    run_command(build.env("RUSTFLAGS", "--cfg crash_points").env("CARGO_TARGET_DIR", &target))?;
    let mut command = project.command(target.join("debug/zerobuffer-torture"));
    command.arg("crashpoints");
    Ok(command)
}
