//! The step that builds the C library as distributions take it, and programs with it.

use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run, run_within};
use crate::{c_abi, c_dist, csharp, install, tools, windows};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(15);

pub(super) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::C_CONSUMERS)?;
    let dist = c_dist::build(project)?;
    c_abi::check(project)?;
    run(&mut project.cargo("build -p zerobuffer-cli --bin zerobuffer"))?;
    run(&mut project.cargo("build --release --locked -p zerobuffer-c --example speed"))?;
    let speed = project.cache.with_file_name("release").join("examples/speed");
    let old_python = install::venv(project, &tools::OLD_PYTHON)?.join("bin/python");
    let mut test = project.cargo("test -p zerobuffer-c --test dist --no-fail-fast -- --nocapture");
    test.env("ZEROBUFFER_C_DIST", &dist).env("ZEROBUFFER_COMMAND", project.binary("zerobuffer"));
    test.env("ZEROBUFFER_TEST_OLD_PYTHON", old_python).env("ZEROBUFFER_CSHARP", csharp::build(project)?);
    run_within(LIMIT, test.env("ZEROBUFFER_RUST_SPEED", speed))?;
    csharp::check(project, &dist)?;
    windows::c_library(project)
}
