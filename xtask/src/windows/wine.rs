//! wine, with a prefix of its own: runs what was built for Windows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::project::{Project, run_quietly};
use crate::tools;

/// Without it every Rust program exits at once, and says nothing.
const SHIM: &str = include_str!("bcryptprimitives.c");

/// A running wine, ended on drop.
pub(super) struct Wine<'a> {
    project: &'a Project,
    folder: PathBuf,
}

impl<'a> Wine<'a> {
    pub(super) fn start(project: &'a Project) -> Result<Self> {
        let folder = project.cache.join("windows");
        let wine = Self { project, folder };
        wine.build_shim()?;
        if !wine.folder.join("prefix/system.reg").is_file() {
            run_quietly(&mut wine.command("wine", &["wineboot", "-u"]))
                .context("cannot make wine's folder")?;
            run_quietly(&mut wine.command("wineserver", &["-w"]))?;
        }
        // It stays between two programs: each start of it takes a second. One that runs already is
        // as good.
        let _ = wine.command("wineserver", &["-p"]).status();
        Ok(wine)
    }

    fn build_shim(&self) -> Result<()> {
        let folder = self.folder.join("dll");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let (source, library) = (folder.join("shim.c"), folder.join("bcryptprimitives.dll"));
        let stamp = folder.join("built");
        if library.is_file() && fs::read_to_string(&stamp).is_ok_and(|built| built == SHIM) {
            return Ok(());
        }
        let write = |path: &PathBuf| {
            fs::write(path, SHIM).with_context(|| format!("cannot write {}", path.display()))
        };
        write(&source)?;
        let mut compile = self.project.command(tools::MINGW.name);
        compile.args(["-O2", "-shared", "-s", "-o"]).arg(&library).arg(&source).arg("-ladvapi32");
        run_quietly(&mut compile)?;
        // Last, so an interrupted build is repeated.
        write(&stamp)
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = self.project.command(program);
        command.args(words);
        self.prepare(&mut command);
        command
    }

    /// Lets a command run Windows programs, and cargo run its tests by wine.
    pub(super) fn prepare(&self, command: &mut Command) {
        // The prefix has the file system as its drive Z.
        let shim = self.folder.join("dll").display().to_string().replace('/', "\\");
        command.env("WINEPREFIX", self.folder.join("prefix")).env("WINEPATH", format!("Z:{shim}"));
        command.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine");
    }
}

impl Drop for Wine<'_> {
    fn drop(&mut self) {
        // What cannot be ended ends by itself once nobody uses it.
        let _ = self.command("wineserver", &["-k"]).status();
    }
}
