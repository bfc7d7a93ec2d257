//! `cargo xtask c-dist`: the C library as distributions take it: include/, lib/, what pkg-config
//! and `CMake` ask for, and on request a Debian package.

pub(crate) mod debian;
mod packages;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::{Project, run, run_quietly};
use crate::{Command, c_abi, install, tools};

pub(crate) const COMMAND: Command = Command {
    name: "c-dist",
    arguments: "[--deb | --bless-abi] [FOLDER]",
    summary: "build the C library, its headers and packages",
    run: command,
};

pub(crate) const VERSION: &str = "2.0.0";
/// What programs are linked to: it changes only with the interface.
const SONAME: &str = "libzerobuffer.so.2";
pub(crate) const CRATE: &str = "crates/zerobuffer-c";

fn command(project: &Project, mut arguments: Arguments) -> Result<()> {
    let (deb, bless) = (arguments.contains("--deb"), arguments.contains("--bless-abi"));
    let folder = arguments.opt_free_from_str::<PathBuf>()?;
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!("takes --deb and one folder, got {rest:?}");
    }
    if bless {
        return c_abi::bless(project);
    }
    let dist = build(project)?;
    if deb {
        debian::build(project, &dist)?;
    }
    if let Some(folder) = folder {
        copy(&dist, &folder)?;
        println!("{}", folder.display());
    } else {
        println!("{}", dist.display());
    }
    Ok(())
}

/// Makes the folder anew and returns it.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    install::program(project, &tools::C_COMPILER)?;
    run(&mut project.cargo("build --release --locked -p zerobuffer-c"))?;
    let dist = project.cache.join("c-dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("cannot empty {}", dist.display()))?;
    }
    let lib = dist.join("lib");
    fs::create_dir_all(&lib).with_context(|| format!("cannot create {}", lib.display()))?;
    copy(&project.root.join(CRATE).join("include"), &dist.join("include"))?;
    link(project, &dist)?;
    packages::write(&dist)?;
    Ok(dist)
}

/// The library with its symbols versioned, as `cdylib` cannot have them.
fn link(project: &Project, dist: &Path) -> Result<()> {
    let (lib, whole) = (dist.join("lib"), project.cache.join("c-unstripped.so"));
    let archive = project.cache.with_file_name("release").join("libzerobuffer_c.a");
    let map = project.root.join(CRATE).join("zerobuffer.map");
    let mut gcc = project.command(tools::C_COMPILER.name);
    gcc.args(["-shared", "-o"]).arg(&whole);
    gcc.arg("-Wl,--whole-archive").arg(&archive).arg("-Wl,--no-whole-archive,--gc-sections,-z,relro,-z,now");
    gcc.arg(format!("-Wl,-soname,{SONAME},--version-script={}", map.display()));
    run(gcc.args(["-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"]))?;
    let shared = lib.join(format!("libzerobuffer.so.{VERSION}"));
    run_quietly(project.command("strip").args(["--strip-unneeded", "-o"]).arg(&shared).arg(&whole))?;
    let stored = lib.join("libzerobuffer.a");
    run_quietly(project.command("strip").args(["--strip-debug", "-o"]).arg(&stored).arg(&archive))?;
    symlink(format!("libzerobuffer.so.{VERSION}"), lib.join(SONAME))?;
    symlink(SONAME, lib.join("libzerobuffer.so"))?;
    Ok(())
}

/// A folder with all that is in it, links as links.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            let _ = fs::remove_file(&target);
            symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}
