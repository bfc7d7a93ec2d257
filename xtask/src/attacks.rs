//! `cargo xtask attacks`: what another user can do to root's buffers, with the guards in and taken
//! out.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use pico_args::Arguments;

use crate::project::{Project, run as run_command, run_within};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "attacks",
    arguments: "[NAME...]",
    summary: "attacks of another user: all fail, and succeed in a build without the guards",
    run,
};

/// Every guard that can be taken out.
const GUARDS: [&str; 5] = ["s1", "s3", "s4", "s5", "s6"];
/// Several times what they take: only a hang meets it.
const LIMIT: Duration = Duration::from_mins(5);

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let names = arguments.finish();
    run_command(guarded(project)?.args(&names))?;
    run_command(unguarded(project)?.args(&names))
}

/// The step of `cargo xtask test`.
pub(crate) fn all(project: &Project) -> Result<()> {
    run_within(LIMIT, &mut guarded(project)?)?;
    run_within(LIMIT, &mut unguarded(project)?)
}

fn guarded(project: &Project) -> Result<Command> {
    run_command(&mut project.cargo("build --quiet --package zerobuffer-attacks"))?;
    Ok(project.command(project.binary("zerobuffer-attacks")))
}

/// The core without its guards is another build, in a folder of its own.
fn unguarded(project: &Project) -> Result<Command> {
    let target = project.cache.join("unguarded");
    let flags: Vec<String> = GUARDS.iter().map(|guard| format!("--cfg unguarded=\"{guard}\"")).collect();
    let mut build = project.cargo("build --quiet --package zerobuffer-attacks");
    run_command(build.env("RUSTFLAGS", flags.join(" ")).env("CARGO_TARGET_DIR", &target))?;
    let mut command = project.command(target.join("debug/zerobuffer-attacks"));
    command.args(["--unguarded", "--seconds", "60"]);
    Ok(command)
}
