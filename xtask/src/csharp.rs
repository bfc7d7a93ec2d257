//! The C# binding, compiled and run with mono: no .NET SDK can be had from the registries that this
//! project uses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::project::{Project, run_within};
use crate::{install, tools};

const FOLDER: &str = "bindings/csharp";
const LIBRARY: &str = "lib/libzerobuffer.so.2.0.0";
const LIMIT: Duration = Duration::from_mins(3);

/// What mono has and no other runtime: see Fast.cs.
const FAST: &[&str] = &["-define:ZEROBUFFER_MONO"];

/// Builds the binding and its programs; returns the folder.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    build_in(project, "csharp", FAST)
}

fn build_in(project: &Project, folder: &str, defines: &[&str]) -> Result<PathBuf> {
    install::programs(project, tools::MONO)?;
    let folder = project.cache.join(folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let library = folder.join("ZeroBuffer.dll");
    compile(project, "library", &library, defines, &sources(project, "ZeroBuffer")?)?;
    let config = project.root.join(FOLDER).join("ZeroBuffer/ZeroBuffer.dll.config");
    fs::copy(&config, folder.join("ZeroBuffer.dll.config"))?;
    for source in sources(project, "tests")?.into_iter().chain(sources(project, "examples")?) {
        let name = source.file_stem().context("a source has a name")?;
        let program = folder.join(name).with_added_extension("exe");
        compile(project, "exe", &program, &[&reference(&library)], &[source])?;
    }
    Ok(folder)
}

/// The end of measurements in C#: a program that starts it with mono.
pub(crate) fn end(project: &Project, dist: &Path) -> Result<PathBuf> {
    let folder = build(project)?;
    let source = project.root.join("benchmarks/compare/native/End.cs");
    let library = reference(&folder.join("ZeroBuffer.dll"));
    compile(project, "exe", &folder.join("End.exe"), &[&library], &[source])?;
    let (script, library) = (folder.join("end"), dist.join(LIBRARY));
    let [library, program] = [&library, &folder.join("End.exe")].map(|path| path.display().to_string());
    let text = format!("#!/bin/sh\nZEROBUFFER_NATIVE_LIBRARY='{library}' exec mono '{program}' \"$@\"\n");
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// Runs the binding's own checks and its examples, with the library given by its path.
pub(crate) fn check(project: &Project, dist: &Path) -> Result<()> {
    let folder = build(project)?;
    let mark = crate::project::name_mark();
    run(project, &folder, dist, &["Checks.exe", &format!("{mark}checks")])?;
    run(project, &folder, dist, &["Checks.exe", "speed", &format!("{mark}speed")])?;
    run(project, &folder, dist, &["Pair.exe", &format!("{mark}pair")])?;
    // As other runtimes have it.
    let plain = build_in(project, "csharp-plain", &[])?;
    run(project, &plain, dist, &["Checks.exe", &format!("{mark}plain")])?;
    run(project, &plain, dist, &["Checks.exe", "speed", &format!("{mark}speed")])
}

fn reference(library: &Path) -> String {
    format!("-r:{}", library.display())
}

fn run(project: &Project, folder: &Path, dist: &Path, words: &[&str]) -> Result<()> {
    let mut mono = project.command("mono");
    mono.current_dir(folder).args(words);
    mono.env("ZEROBUFFER_NATIVE_LIBRARY", dist.join(LIBRARY));
    run_within(LIMIT, &mut mono)
}

fn sources(project: &Project, folder: &str) -> Result<Vec<PathBuf>> {
    let folder = project.root.join(FOLDER).join(folder);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sources: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cs"));
    sources.sort();
    Ok(sources)
}

fn compile(
    project: &Project,
    kind: &str,
    output: &Path,
    options: &[&str],
    sources: &[PathBuf],
) -> Result<()> {
    let mut mcs: Command = project.command("mcs");
    mcs.args(["-langversion:7", "-unsafe", "-warnaserror", "-optimize"]);
    mcs.arg(format!("-target:{kind}")).arg(format!("-out:{}", output.display()));
    run_within(LIMIT, mcs.args(options).args(sources))
}
