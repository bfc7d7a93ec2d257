//! The Python package: the interpreters of this machine and the wheels for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::project::{Project, capture, run};
use crate::{install, tools};

/// The minor versions of CPython 3 that the package supports.
const SUPPORTED: std::ops::RangeInclusive<u32> = 9..=14;
/// From this one on, one wheel with the stable ABI serves every interpreter that has a GIL
/// (`features` in pyproject.toml).
const ABI3_FROM: u32 = 11;

/// A CPython that starts and can make virtual environments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interpreter {
    pub(crate) minor: u32,
    pub(crate) free_threaded: bool,
    pub(crate) path: PathBuf,
}

impl Interpreter {
    /// `3.12`, `3.14t`.
    pub(crate) fn version(&self) -> String {
        format!("3.{}{}", self.minor, if self.free_threaded { "t" } else { "" })
    }

    pub(crate) fn uses_abi3(&self) -> bool {
        self.minor >= ABI3_FROM && !self.free_threaded
    }

    /// Which wheel the interpreter takes.
    fn wheel(&self) -> String {
        if self.uses_abi3() { "abi3".to_owned() } else { format!("cp{}", self.version().replace('.', "")) }
    }
}

/// One interpreter per supported version, from PATH and from pyenv's folder; the missing versions
/// are printed.
pub(crate) fn interpreters(project: &Project) -> Result<Vec<Interpreter>> {
    let folders = folders();
    let mut found: BTreeMap<(u32, bool), Interpreter> = BTreeMap::new();
    let names = SUPPORTED.flat_map(|minor| [format!("python3.{minor}"), format!("python3.{minor}t")]);
    for name in names.chain(["python3".to_owned()]) {
        for program in folders.iter().map(|folder| folder.join(&name)).filter(|program| program.is_file()) {
            if let Some(interpreter) = probe(project, &program) {
                found.entry((interpreter.minor, interpreter.free_threaded)).or_insert(interpreter);
            }
        }
    }
    for minor in SUPPORTED.filter(|minor| !found.contains_key(&(*minor, false))) {
        println!("skipped: CPython 3.{minor} is not on this machine");
    }
    if found.is_empty() {
        bail!(
            "no CPython from 3.{} to 3.{} with venv and ensurepip found",
            SUPPORTED.start(),
            SUPPORTED.end()
        );
    }
    Ok(found.into_values().collect())
}

fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home);
    let versions = pyenv.and_then(|pyenv| fs::read_dir(pyenv.join("versions")).ok());
    let mut versions: Vec<PathBuf> =
        versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    folders.append(&mut versions);
    folders
}

/// `None` for what does not start (a shim of a version that is not there), is another Python or
/// cannot make environments.
fn probe(project: &Project, program: &Path) -> Option<Interpreter> {
    const SCRIPT: &str = "import ensurepip, platform, sys, sysconfig, venv
assert platform.python_implementation() == 'CPython' and sys.version_info[0] == 3
print(sys.version_info[1], int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))), sys._base_executable)";
    parse_probe(&capture(project.command(program).args(["-c", SCRIPT])).ok()?)
}

fn parse_probe(line: &str) -> Option<Interpreter> {
    let mut parts = line.splitn(3, ' ');
    let minor = parts.next()?.parse().ok()?;
    let free_threaded = parts.next()? == "1";
    let path = PathBuf::from(parts.next()?);
    SUPPORTED.contains(&minor).then_some(Interpreter { minor, free_threaded, path })
}

/// The interpreter that a program starts.
pub(crate) fn interpreter(project: &Project, program: &Path) -> Result<Interpreter> {
    probe(project, program)
        .with_context(|| format!("{} is no CPython that the package supports", program.display()))
}

/// Builds the wheel of each interpreter; several may share one.
pub(crate) fn wheels(project: &Project, interpreters: &[Interpreter]) -> Result<Vec<(Interpreter, PathBuf)>> {
    let maturin = install::venv(project, &tools::MATURIN)?.join("bin/maturin");
    let mut built: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut pairs = Vec::new();
    for interpreter in interpreters {
        let name = interpreter.wheel();
        let wheel = match built.get(&name) {
            Some(wheel) => wheel.clone(),
            None => build(project, &maturin, interpreter)?,
        };
        built.insert(name, wheel.clone());
        pairs.push((interpreter.clone(), wheel));
    }
    Ok(pairs)
}

fn build(project: &Project, maturin: &Path, interpreter: &Interpreter) -> Result<PathBuf> {
    let folder = project.cache.join("wheels").join(interpreter.wheel());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let mut command = project.command(maturin);
    command.args(["build", "--release", "--interpreter"]).arg(&interpreter.path).arg("--out").arg(&folder);
    run(&mut command)?;
    only_file(&folder)
}

/// The wheel that maturin has just put into an empty folder.
pub(crate) fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    match (files.pop(), files.len()) {
        (Some(wheel), 0) => Ok(wheel),
        _ => bail!("maturin did not leave exactly one wheel in {}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_read_with_spaces_in_the_path() {
        let read = parse_probe("13 1 /opt/my python/bin/python3.13t").unwrap();
        assert_eq!((read.minor, read.free_threaded), (13, true));
        assert_eq!(read.path, PathBuf::from("/opt/my python/bin/python3.13t"));
        assert_eq!(read.version(), "3.13t");
        assert_eq!(parse_probe("8 0 /usr/bin/python3.8"), None);
        assert_eq!(parse_probe("nonsense"), None);
    }

    #[test]
    fn interpreters_with_a_gil_share_one_wheel_from_3_11_on() {
        let wheel = |minor, free_threaded| Interpreter { minor, free_threaded, path: PathBuf::new() }.wheel();
        assert_eq!(wheel(11, false), wheel(14, false));
        assert_eq!(wheel(10, false), "cp310");
        assert_eq!(wheel(14, true), "cp314t");
    }
}
