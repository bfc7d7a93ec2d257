//! The steps that read the sources without running anything.

use anyhow::Result;

use crate::project::{Project, run};

pub(super) fn fmt(project: &Project) -> Result<()> {
    run(&mut project.cargo("fmt --all --check"))
}

pub(super) fn clippy(project: &Project) -> Result<()> {
    run(&mut project.cargo("clippy --workspace --all-targets -- -D warnings"))
}

pub(super) fn rustdoc(project: &Project) -> Result<()> {
    run(project.cargo("doc --no-deps --workspace").env("RUSTDOCFLAGS", "-D warnings"))
}
