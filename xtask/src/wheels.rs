//! `cargo xtask wheels`: the Python package's wheels for Linux, Windows and macOS, and its source
//! distribution, built on this machine and looked into.
//!
//! Not a step of `cargo xtask test`, for its time. What is built for another system is not imported
//! by anybody here: that the wheels work there is for the hosted workflow to show.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use pico_args::Arguments;

use crate::debian_rust::DebianRust;
use crate::macos::{ARM, INTEL, Zig};
use crate::project::{Project, capture, run as run_command};
use crate::{Command, install, python, tools};

pub(crate) const COMMAND: Command = Command {
    name: "wheels",
    arguments: "[linux] [windows] [macos] [source]",
    summary: "build the Python wheels of these systems and the sources, or all four, and check them",
    run,
};

const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// What a wheel must say and hold.
struct Kind {
    /// How each of its tags begins: Python and ABI. Of Linux there are several wheels, one per ABI.
    abi: &'static str,
    /// How its platform tag begins and ends.
    tag: (&'static str, &'static str),
    /// The compiled module.
    module: &'static str,
    /// The first bytes of that file: format, and processor where they tell it.
    magic: &'static [u8],
}

/// The one stable ABI that serves every `CPython` from 3.11 on that has a GIL.
const STABLE: &str = "cp311-abi3-";
const LINUX_WHEEL: Kind =
    Kind { abi: "", tag: ("manylinux_", "_x86_64"), module: "_zerobuffer.", magic: b"\x7fELF\x02\x01" };
const WINDOWS_WHEEL: Kind =
    Kind { abi: STABLE, tag: ("win_", "amd64"), module: "_zerobuffer.pyd", magic: b"MZ" };
const ARM_WHEEL: Kind = Kind {
    abi: STABLE,
    tag: ("macosx_", "_arm64"),
    module: "_zerobuffer.abi3.so",
    magic: b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01",
};
const INTEL_WHEEL: Kind = Kind {
    abi: STABLE,
    tag: ("macosx_", "_x86_64"),
    module: "_zerobuffer.abi3.so",
    magic: b"\xcf\xfa\xed\xfe\x07\x00\x00\x01",
};

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let mut wanted = Vec::new();
    for word in arguments.finish() {
        match word.to_str() {
            Some(system @ ("linux" | "windows" | "macos" | "source")) => wanted.push(system.to_owned()),
            _ => bail!("no wheels for {}; the words are linux, windows, macos and source", word.display()),
        }
    }
    let wants = |system: &str| wanted.is_empty() || wanted.iter().any(|word| word == system);
    let mut wheels: Vec<(PathBuf, &Kind)> = Vec::new();
    if wants("linux") {
        let mut built: Vec<PathBuf> = python::wheels(project, &python::interpreters(project)?)?
            .into_iter()
            .map(|(_, wheel)| wheel)
            .collect();
        built.dedup();
        wheels.extend(built.into_iter().map(|wheel| (wheel, &LINUX_WHEEL)));
    }
    if wants("windows") {
        install::program(project, &tools::MINGW)?;
        wheels.push((cross(project, WINDOWS, None)?, &WINDOWS_WHEEL));
    }
    if wants("macos") {
        let zig = Zig::install(project)?;
        wheels.push((cross(project, ARM, Some(&zig))?, &ARM_WHEEL));
        wheels.push((cross(project, INTEL, Some(&zig))?, &INTEL_WHEEL));
    }
    let python = install::venv(project, &tools::MATURIN)?.join("bin/python");
    let lines: Vec<String> =
        wheels.iter().map(|(wheel, kind)| inspect(project, &python, wheel, kind)).collect::<Result<_>>()?;
    let checks = install::venv(project, &tools::WHEEL_CHECKS)?.join("bin");
    let files = || wheels.iter().map(|(wheel, _)| wheel);
    let sources = if wants("source") { Some(sources(project)?) } else { None };
    let mut twine = project.command(checks.join("twine"));
    run_command(twine.args(["check", "--strict"]).args(files()).args(&sources))?;
    if !wheels.is_empty() {
        run_command(project.command(checks.join("check-wheel-contents")).args(files()))?;
    }
    println!("\n{}", lines.join("\n"));
    Ok(())
}

/// The wheel for another system: the one with the stable ABI, which serves every `CPython` from
/// 3.11 on that has a GIL. Those of older and of free-threaded interpreters need such an
/// interpreter of that system.
fn cross(project: &Project, target: &str, zig: Option<&Zig>) -> Result<PathBuf> {
    let rust = DebianRust::install(project)?;
    let maturin = install::venv(project, &tools::MATURIN)?.join("bin/maturin");
    let folder = empty(project.cache.join("wheels").join(target))?;
    let mut build =
        rust.command(maturin, &format!("build --release --interpreter python3.11 --target {target}"));
    if let Some(zig) = zig {
        zig.prepare(&mut build)?;
        // Nothing here can strip a macOS file.
        build.args(["--zig", "--strip", "false"]);
    } else {
        // Windows links against a library of imports, which PyO3 makes where there is no Python for
        // Windows.
        build.args(["--features", "pyo3/generate-import-lib,pyo3/abi3-py311"]);
    }
    run_command(build.arg("--out").arg(&folder))?;
    python::only_file(&folder)
}

/// The source distribution, which `pip` builds where no wheel fits.
fn sources(project: &Project) -> Result<PathBuf> {
    // What it has to hold besides the sources of the module.
    const PAPERS: [&str; 4] = ["/PKG-INFO", "/LICENSE", "/Cargo.lock", "/python/README.md"];
    let maturin = install::venv(project, &tools::MATURIN)?.join("bin/maturin");
    let folder = empty(project.cache.join("wheels/source"))?;
    run_command(project.command(maturin).args(["sdist", "--out"]).arg(&folder))?;
    let file = python::only_file(&folder)?;
    let list = capture(project.command("tar").arg("-tzf").arg(&file))?;
    let has = |end: &str| list.lines().any(|line| line.ends_with(end));
    if let Some(missing) = PAPERS.iter().find(|paper| !has(paper)) {
        bail!("the source distribution has no {missing}");
    }
    println!("{}: {} files", file.display(), list.lines().count());
    Ok(file)
}

fn empty(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    Ok(folder)
}

/// Fails unless the wheel is what it should be; describes it in one line.
fn inspect(project: &Project, python: &Path, wheel: &Path, kind: &Kind) -> Result<String> {
    const READ: &str = "import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
for name in wheel.namelist():
    head = wheel.open(name).read(8).hex() if '/_zerobuffer.' in name else '-'
    print('file', head, name)
    if name.endswith('.dist-info/WHEEL'):
        for line in wheel.read(name).decode().splitlines():
            if line.startswith('Tag: '):
                print('tag', line[5:], '-')";
    let read = capture(project.command(python).args(["-c", READ]).arg(wheel))?;
    let bytes = fs::metadata(wheel)?.len();
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let tags = check(&read, kind).with_context(|| format!("{name} is not what it should be"))?;
    Ok(format!("{bytes:>9} bytes  {name}  ({tags})"))
}

/// Checks what `inspect` has read of a wheel and returns its tags.
fn check(read: &str, kind: &Kind) -> Result<String> {
    let mut tags = Vec::new();
    let mut files = Vec::new();
    for line in read.lines() {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("tag"), Some(tag), _) => tags.push(tag),
            (Some("file"), Some(head), Some(name)) => files.push((name, head)),
            _ => bail!("cannot read `{line}`"),
        }
    }
    let (start, end) = kind.tag;
    let fits = |tag: &&str| {
        let platform = tag.rsplit('-').next().unwrap_or_default();
        tag.starts_with(kind.abi) && platform.starts_with(start) && platform.ends_with(end)
    };
    let expected = format!("{}…{start}…{end}", kind.abi);
    ensure!(!tags.is_empty() && tags.iter().all(fits), "its tags are {tags:?}, expected {expected}");
    for wanted in ["zerobuffer/py.typed", "zerobuffer/_zerobuffer.pyi", "zerobuffer_serve/__init__.py"] {
        ensure!(files.iter().any(|(name, _)| *name == wanted), "it lacks {wanted}");
    }
    let is_module = |name: &str| {
        name.strip_prefix("zerobuffer/").is_some_and(|file| file.starts_with(kind.module))
            && Path::new(name).extension().is_none_or(|extension| extension != "pyi")
    };
    let Some((module, head)) = files.iter().find(|(name, _)| is_module(name)) else {
        bail!("it has no compiled module {}", kind.module);
    };
    let magic = kind.magic.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    ensure!(head.starts_with(&magic), "{module} begins with {head}, expected {magic}");
    Ok(tags.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "file - zerobuffer/py.typed\nfile 2222 zerobuffer/_zerobuffer.pyi\nfile - zerobuffer_serve/__init__.py\n\
                        file 4d5a90 zerobuffer/_zerobuffer.pyd\ntag cp311-abi3-win_amd64 -";

    #[test]
    fn a_wheel_is_refused_for_its_tag_its_files_and_its_module() {
        assert_eq!(check(GOOD, &WINDOWS_WHEEL).unwrap(), "cp311-abi3-win_amd64");
        for (change, to, why) in [
            ("win_amd64", "win_arm64", "tags"),
            ("cp311-abi3", "cp311-cp311", "tags"),
            ("zerobuffer/py.typed", "zerobuffer/other", "py.typed"),
            ("_zerobuffer.pyi", "other.pyi", "_zerobuffer.pyi"),
            ("_zerobuffer.pyd", "_zerobuffer.abi3.so", "no compiled module"),
            ("4d5a90", "7f454c", "begins with"),
        ] {
            let error = check(&GOOD.replace(change, to), &WINDOWS_WHEEL).unwrap_err().to_string();
            assert!(error.contains(why), "{change}: {error}");
        }
        assert!(check(GOOD, &ARM_WHEEL).is_err());
    }
}
