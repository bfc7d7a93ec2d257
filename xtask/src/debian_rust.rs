//! Debian's Rust, for targets that the machine's own Rust does not have: it builds their standard
//! library itself.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::{install, tools};

/// Where Debian has the compiler and its tools; the machine's own come first in PATH, and the two
/// do not mix.
const FOLDER: &str = "/usr/bin";

/// The toolchain, with a target folder of its own.
pub(crate) struct DebianRust<'a> {
    project: &'a Project,
    target: PathBuf,
}

impl<'a> DebianRust<'a> {
    pub(crate) fn install(project: &'a Project) -> Result<Self> {
        install::programs(project, tools::DEBIAN_RUST)?;
        Ok(Self { project, target: project.cache.join("cross") })
    }

    /// `cargo` with the given words.
    pub(crate) fn cargo(&self, words: &str) -> Command {
        self.command(format!("{FOLDER}/cargo"), words)
    }

    /// `cargo clippy` with the given words.
    pub(crate) fn clippy(&self, words: &str) -> Command {
        self.command(format!("{FOLDER}/cargo-clippy"), &format!("clippy {words}"))
    }

    /// A program that calls cargo, with the given words.
    pub(crate) fn command(&self, program: impl Into<PathBuf>, words: &str) -> Command {
        let mut command = self.project.command(program.into());
        command.args(words.split_whitespace()).env_remove("RUSTUP_TOOLCHAIN");
        for (name, tool) in [("CARGO", "cargo"), ("RUSTC", "rustc"), ("RUSTDOC", "rustdoc")] {
            command.env(name, format!("{FOLDER}/{tool}"));
        }
        // No standard library for these targets can be had ready-made: it is built from Debian's
        // sources, which is an unstable feature of cargo.
        command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_BUILD_STD", "std,panic_unwind");
        // Nothing of it is run or debugged here, apart from what a caller says otherwise.
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "false");
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }
}
