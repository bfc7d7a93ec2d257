//! The steps that read the sources without running anything.

use anyhow::Result;

use crate::imports;
use crate::project::{Project, run};

/// The comparison with other systems, a workspace of its own.
const COMPARE: &str = "--manifest-path benchmarks/compare/Cargo.toml";

pub(super) fn fmt(project: &Project) -> Result<()> {
    run(&mut project.cargo("fmt --all --check"))?;
    run(&mut project.cargo(&format!("fmt {COMPARE} --check")))
}

pub(super) fn clippy(project: &Project) -> Result<()> {
    imports::check(project)?;
    run(&mut project.cargo("clippy --workspace --all-targets -- -D warnings"))?;
    let compare = project.cache.join("compare");
    let words = format!("clippy --locked {COMPARE} --all-targets -- -D warnings");
    run(project.cargo(&words).env("CARGO_TARGET_DIR", compare))
}

pub(super) fn rustdoc(project: &Project) -> Result<()> {
    run(project.cargo("doc --no-deps --workspace").env("RUSTDOCFLAGS", "-D warnings"))
}
