//! The command as another user.
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

/// A user who owns nothing.
pub(crate) const NOBODY: u32 = 65534;

/// The command as another user, who may not reach the folder that it was built in.
pub(crate) struct Elsewhere(tempfile::TempDir);

impl Elsewhere {
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can run the command as another user");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        super::copy_to(&folder.path().join("zerobuffer"));
        Some(Self(folder))
    }

    /// The copy that every user may run.
    pub(crate) fn program(&self) -> std::path::PathBuf {
        self.0.path().join("zerobuffer")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(words).uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }
}
