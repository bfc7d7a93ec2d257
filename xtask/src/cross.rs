//! `cargo xtask cross`: does the workspace still compile for the Unix systems that are not this
//! machine's?

use anyhow::{Result, bail};
use pico_args::Arguments;

use crate::debian_rust::DebianRust;
use crate::project::{Project, run as run_command};
use crate::{Command, macos};

pub(crate) const COMMAND: Command = Command {
    name: "cross",
    arguments: "",
    summary: "check all of it for Linux on aarch64 and with musl",
    run,
};

/// The Linux targets that are checked: another processor, and another C library.
const LINUX: [&str; 2] = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-musl"];

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let surplus = arguments.finish();
    if !surplus.is_empty() {
        bail!("takes no arguments, got {surplus:?}");
    }
    let rust = DebianRust::install(project)?;
    for target in LINUX {
        // Not the Python module: its build asks the interpreter of that system.
        let words =
            format!("--locked --workspace --exclude zerobuffer-python --all-targets --target {target}");
        run_command(&mut rust.clippy(&format!("{words} -- -D warnings")))?;
    }
    println!("checked for {}; nothing was run", LINUX.join(" and "));
    Ok(())
}

/// Both differences at once, for the quick step: each further target takes a standard library.
const BOTH: &str = "aarch64-unknown-linux-musl";

/// The step of `cargo xtask test`: the command is linted for macOS, and two test programs are
/// linked. `cargo xtask macos` and `cargo xtask cross` do the rest.
pub(crate) fn quick(project: &Project) -> Result<()> {
    let rust = DebianRust::install(project)?;
    macos::lint(&rust, macos::ARM)?;
    macos::link(project, &rust, macos::ARM, macos::CALLERS)?;
    run_command(&mut rust.cargo(&format!("check --locked -p zerobuffer --target {BOTH}")))
}
