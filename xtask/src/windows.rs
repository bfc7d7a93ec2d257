//! `cargo xtask windows`: the library and the command, linted and checked for Windows, and run
//! under wine.

mod c_library;
mod wine;

pub(crate) use c_library::check as c_library;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::debian_rust::DebianRust;
use crate::macos::FUTURES;
use crate::project::{Project, run as run_command, run_within};
use crate::{Command, install, tools};
use wine::Wine;

pub(crate) const COMMAND: Command = Command {
    name: "windows",
    arguments: "[--soak]",
    summary: "check, lint and run the tests for Windows, under wine",
    run,
};

const GNU: &str = "x86_64-pc-windows-gnu";
const MSVC: &str = "x86_64-pc-windows-msvc";
/// What Windows users get: see `macos.rs`.
const PACKAGES: &str = "--locked -p zerobuffer -p zerobuffer-cli";
/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(15);
/// Random scripts of the model test, each step of which goes through wine's server.
const CASES: &str = "40";

fn run(project: &Project, mut arguments: Arguments) -> Result<()> {
    let soak = arguments.contains("--soak");
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!("takes no arguments but --soak, got {rest:?}");
    }
    all(project, soak)
}

/// The part that every test run has time for.
pub(crate) fn quick(project: &Project) -> Result<()> {
    all(project, false)
}

/// `soak`: a check for the other compiler's target, the documentation's examples and the command's
/// unit tests too, and the tests ten times.
fn all(project: &Project, soak: bool) -> Result<()> {
    // One call of apt for everything.
    install::programs(project, &[tools::DEBIAN_RUST, &[tools::MINGW], tools::WINE].concat())?;
    let rust = DebianRust::install(project)?;
    // With the futures, which the other builds leave out.
    let words = format!("{PACKAGES} {FUTURES} --all-targets --target {GNU} -- -D warnings");
    run_command(&mut rust.clippy(&words))?;
    if soak {
        let mut check = rust.cargo(&format!("check {PACKAGES} --target {MSVC}"));
        run_command(check.env("RUSTFLAGS", "-D warnings"))?;
    }

    let wine = Wine::start(project)?;
    for _ in 0..if soak { 10 } else { 1 } {
        test(&rust, &wine, "-p zerobuffer --lib --tests")?;
    }
    test(&rust, &wine, "-p zerobuffer-cli --test global")?;
    if soak {
        test(&rust, &wine, "-p zerobuffer --doc")?;
        test(&rust, &wine, "-p zerobuffer-cli --lib")?;
    }
    demo(&rust, &wine)
}

/// Some of the tests.
fn test(rust: &DebianRust<'_>, wine: &Wine<'_>, which: &str) -> Result<()> {
    let mut test = rust.cargo(&format!("test --locked {which} --no-fail-fast --target {GNU}"));
    wine.prepare(&mut test);
    run_within(LIMIT, test.env("PROPTEST_CASES", CASES))
}

/// The command: its main job, in two processes, every byte checked.
fn demo(rust: &DebianRust<'_>, wine: &Wine<'_>) -> Result<()> {
    let mut demo =
        rust.cargo(&format!("run --quiet --locked -p zerobuffer-cli --target {GNU} -- demo --seconds 1"));
    wine.prepare(&mut demo);
    run_within(LIMIT, &mut demo).context("the command's demo")
}
