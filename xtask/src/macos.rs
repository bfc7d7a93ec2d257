//! `cargo xtask macos`: the library and the command, checked and linked for macOS. Nothing of it
//! can be run here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::debian_rust::DebianRust;
use crate::project::{Project, capture, run as run_command};
use crate::{Command, install, tools};

pub(crate) const COMMAND: Command = Command {
    name: "macos",
    arguments: "",
    summary: "check and link the library, its tests and the command for macOS, both processors",
    run,
};

pub(crate) const ARM: &str = "aarch64-apple-darwin";
pub(crate) const INTEL: &str = "x86_64-apple-darwin";

/// What macOS users get. Not `zerobuffer-torture`, which makes Linux namespaces and mounts, nor
/// `xtask`, which installs with apt; the Python module is linked by `cargo xtask wheels`.
const PACKAGES: &str = "--locked -p zerobuffer -p zerobuffer-cli";
/// Two programs that call all of the library, for the quick step.
pub(crate) const CALLERS: &str = "--locked -p zerobuffer --test endpoints --test duplex";
/// The library's features.
pub(crate) const FUTURES: &str = "--features zerobuffer/stream";

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let surplus = arguments.finish();
    if !surplus.is_empty() {
        bail!("takes no arguments, got {surplus:?}");
    }
    let rust = DebianRust::install(project)?;
    for target in [ARM, INTEL] {
        check(&rust, target)?;
        lint(&rust, target)?;
        link(project, &rust, target, &format!("{PACKAGES} --tests --bins"))?;
    }
    println!("macOS: checked, linted and linked for {ARM} and {INTEL}; nothing was run");
    Ok(())
}

fn check(rust: &DebianRust<'_>, target: &str) -> Result<()> {
    let mut check = rust.cargo(&format!("check {PACKAGES} --all-targets --target {target}"));
    run_command(check.env("RUSTFLAGS", "-D warnings"))
}

/// Clippy, which is a check too: with the futures, which the builds leave out.
pub(crate) fn lint(rust: &DebianRust<'_>, target: &str) -> Result<()> {
    let words = format!("{PACKAGES} {FUTURES} --all-targets --target {target} -- -D warnings");
    run_command(&mut rust.clippy(&words))
}

/// Links programs against the stubs of the system library that zig brings.
pub(crate) fn link(project: &Project, rust: &DebianRust<'_>, target: &str, programs: &str) -> Result<()> {
    let zig = Zig::install(project)?;
    let mut build =
        rust.command(zig.bin.join("cargo-zigbuild"), &format!("zigbuild {programs} --target {target}"));
    zig.prepare(&mut build)?;
    run_command(&mut build)
}

/// The linker for macOS.
pub(crate) struct Zig {
    bin: PathBuf,
    /// What stands for Apple's SDK: the stubs alone, no frameworks.
    stubs: PathBuf,
}

impl Zig {
    pub(crate) fn install(project: &Project) -> Result<Self> {
        const FIND: &str = "import ziglang, os; print(os.path.dirname(ziglang.__file__))";
        let bin = install::venv(project, &tools::ZIG)?.join("bin");
        let package = capture(project.command(bin.join("python")).args(["-c", FIND]))?;
        Ok(Self { bin, stubs: Path::new(&package).join("lib/libc/darwin") })
    }

    /// Lets a command that builds find the linker.
    pub(crate) fn prepare(&self, command: &mut std::process::Command) -> Result<()> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.bin.clone(), PathBuf::from("/usr/bin")];
        let folders = folders.into_iter().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).context("PATH has an impossible entry")?);
        command.env("SDKROOT", &self.stubs);
        // Nothing here can strip a macOS file, which cargo does by itself where there is no debug
        // information.
        command.env("CARGO_PROFILE_RELEASE_STRIP", "false").env("CARGO_PROFILE_DEV_STRIP", "false");
        Ok(())
    }
}
