//! `cargo xtask torture`: endpoints in processes of their own, killed, stopped and closed at random
//! moments.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;
use pico_args::Arguments;

use crate::project::{Project, run as run_command, run_within};
use crate::{Command, install, tools};

pub(crate) const COMMAND: Command = Command {
    name: "torture",
    arguments: "[--kills N|...]",
    summary: "kill endpoints at random: --kills N, --seconds N, --hours N or --rounds N, --seed S, --lanes N, and one of --stream, --old, --switch, --full, --duplex",
    run,
};

/// What a test run spends on it.
const SHORT: [&str; 2] = ["--seconds", "45"];
/// Several times that: only a supervisor that hangs meets it.
const SHORT_LIMIT: Duration = Duration::from_mins(5);

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let mut command = prepare(project)?;
    run_command(command.args(arguments.finish()))
}

/// The step of `cargo xtask test`.
pub(crate) fn short(project: &Project) -> Result<()> {
    let mut command = prepare(project)?;
    run_within(SHORT_LIMIT, command.args(SHORT.map(OsString::from)))
}

/// Builds the binary; the old Python package stands ready for the rounds that have it at one end.
fn prepare(project: &Project) -> Result<std::process::Command> {
    let old_python = install::venv(project, &tools::OLD_PYTHON)?.join("bin/python");
    let mut command = build(project)?;
    command.env("ZEROBUFFER_TEST_OLD_PYTHON", old_python);
    Ok(command)
}

pub(crate) fn build(project: &Project) -> Result<std::process::Command> {
    run_command(&mut project.cargo("build --quiet --package zerobuffer-torture"))?;
    Ok(project.command(project.binary("zerobuffer-torture")))
}
