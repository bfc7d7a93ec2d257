//! The step that runs the Rust tests.

use std::time::Duration;

use anyhow::Result;

use crate::install;
use crate::project::{Project, run_within};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(40);

pub(super) fn run(project: &Project) -> Result<()> {
    let environment = install::test_environment(project)?;
    // The summary of every test binary is worth more than an early end.
    run_within(LIMIT, project.cargo("test --workspace --no-fail-fast").envs(environment))
}
