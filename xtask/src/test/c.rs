//! The step that builds the C library as distributions take it, and programs with it.

use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run, run_within};
use crate::{c_dist, install, tools};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(15);

pub(super) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::C_CONSUMERS)?;
    let dist = c_dist::build(project)?;
    run(&mut project.cargo("build -p zerobuffer-cli --bin zerobuffer"))?;
    let old_python = install::venv(project, &tools::OLD_PYTHON)?.join("bin/python");
    let mut test = project.cargo("test -p zerobuffer-c --test dist --no-fail-fast -- --nocapture");
    test.env("ZEROBUFFER_C_DIST", &dist).env("ZEROBUFFER_COMMAND", project.binary("zerobuffer"));
    run_within(LIMIT, test.env("ZEROBUFFER_TEST_OLD_PYTHON", old_python))
}
