//! Builds under `AddressSanitizer`, instrumented for coverage: the fuzz targets, and tests that
//! meet hostile memory.
//!
//! The stable compiler has both behind `RUSTC_BOOTSTRAP`; the standard library stays
//! uninstrumented. One set of flags for all, so everything is built once.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run_within};

const FLAGS: [&str; 8] = [
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "--cfg=fuzzing",
];
/// Several times what the tests take: only a hang meets it.
const LIMIT: Duration = Duration::from_mins(20);

/// The machine's own target, named: then the flags are not for build scripts and macros, which stay
/// as they are.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn target(project: &Project) -> PathBuf {
    project.cache.join("sanitizer")
}

/// `cargo` with the given words, for instrumented builds.
pub(crate) fn cargo(project: &Project, words: &str) -> Command {
    let mut command = project.cargo(words);
    command.args(["--target", &triple()]);
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS.join(" "));
    command.env("CARGO_TARGET_DIR", target(project));
    command
}

/// An instrumented program.
pub(crate) fn binary(project: &Project, name: &str) -> PathBuf {
    target(project).join(triple()).join("debug").join(name)
}

/// The step of `cargo xtask test`: the ring alone, hostile memory in every form, the oracle, the
/// fuzzer's corpus, the command under attack.
pub(crate) fn tests(project: &Project) -> Result<()> {
    let words = "test --quiet --package zerobuffer --package zerobuffer-fuzz --lib \
                 --test hostile --test by_hand --test model --test under_attack --test corpus";
    run_within(LIMIT, &mut cargo(project, words))?;
    // A call of its own: another package has a test of the same name.
    run_within(LIMIT, &mut cargo(project, "test --quiet --package zerobuffer-cli --test under_attack"))
}
