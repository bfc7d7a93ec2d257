//! `cargo xtask docs`: builds the documentation's site, and checks links, spelling, shell lines,
//! units of systemd and what the pages list.

mod links;
mod lists;
mod shell;
mod units;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::{Project, capture, run as run_command};
use crate::{Command, install, tools};

pub(crate) const COMMAND: Command = Command {
    name: "docs",
    arguments: "[--out FOLDER] [--sbom FILE]",
    summary: "build the documentation's site, check its links, lists and spelling; list the parts",
    run,
};

/// The step of the gate.
pub(crate) fn check(project: &Project) -> Result<()> {
    build(project, None)?;
    parts(project, None, &project.cache.join("parts.json"))
}

fn run(project: &Project, mut arguments: Arguments) -> Result<()> {
    let out = arguments.opt_value_from_str("--out")?;
    let sbom: Option<PathBuf> = arguments.opt_value_from_str("--sbom")?;
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!("unknown arguments {rest:?}");
    }
    build(project, out)?;
    let Some(file) = sbom else { return Ok(()) };
    parts(project, None, &file)?;
    // They have lists of their own, as they have lock files.
    for other in ["zerobuffer-bridge", "gst-plugin-zerobuffer"] {
        let name = file.file_name().with_context(|| format!("{} is no file", file.display()))?;
        let name = format!("{other}-{}", name.to_string_lossy());
        parts(project, Some(&Path::new("crates").join(other)), &file.with_file_name(name))?;
    }
    Ok(())
}

/// What is in a workspace's crates that reach users, for those who have to know.
fn parts(project: &Project, workspace: Option<&Path>, file: &Path) -> Result<()> {
    let folder = workspace.unwrap_or(Path::new("."));
    let mut cargo = project.cargo("metadata --locked --format-version 1 --manifest-path");
    let metadata = capture(cargo.arg(folder.join("Cargo.toml")))?;
    let input = project.cache.join("metadata.json");
    fs::write(&input, metadata).with_context(|| format!("cannot write {}", input.display()))?;
    let python = install::venv(project, &tools::MKDOCS)?.join("bin/python");
    let mut command = project.command(python);
    command.arg("xtask/docs/sbom.py").arg(folder.join("Cargo.lock")).arg(std::path::absolute(file)?);
    run_command(command.stdin(fs::File::open(&input)?))
}

/// Checks the pages and builds the site; returns its folder.
pub(crate) fn build(project: &Project, out: Option<PathBuf>) -> Result<PathBuf> {
    lists::check(project)?;
    links::check(project)?;
    shell::check(project)?;
    units::check(project)?;
    spelling(project)?;
    let site = out.unwrap_or_else(|| project.cache.join("site"));
    let mkdocs = install::venv(project, &tools::MKDOCS)?.join("bin/mkdocs");
    if site.exists() {
        // It says itself what may be emptied.
        if !site.join("sitemap.xml").is_file() && fs::read_dir(&site)?.next().is_some() {
            bail!("{} is not empty and no site: name another folder", site.display());
        }
        fs::remove_dir_all(&site).with_context(|| format!("cannot empty {}", site.display()))?;
    }
    let mut command = project.command(mkdocs);
    command.args(["build", "--strict", "--quiet", "--site-dir"]).arg(&site);
    // Its theme speaks of its makers' other plans.
    run_command(command.env("NO_MKDOCS_2_WARNING", "1"))?;
    println!("site: {}", site.join("index.html").display());
    Ok(site)
}

/// Words that a list of common misspellings has, in every text.
fn spelling(project: &Project) -> Result<()> {
    let codespell = install::venv(project, &tools::MKDOCS)?.join("bin/codespell");
    run_command(project.command(codespell).args(["--config", ".codespellrc", "."]))?;
    println!("spelling: no word is known to be wrong");
    Ok(())
}
