//! The check that a step leaves no file of a buffer and no process behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::processes::{self, Process};

/// How long something may outlive its step: a killed test's peer needs a moment to notice and to clean.
const PATIENCE: Duration = Duration::from_secs(5);

/// The files that lie where buffers lie, with their inodes.
pub(super) struct Snapshot {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, u64>,
}

impl Snapshot {
    /// Segments and semaphores, and both folders of lock files.
    pub(super) fn take() -> Self {
        let folders =
            ["/dev/shm".into(), "/tmp/zerobuffer".into(), std::env::temp_dir().join("zerobuffer/locks")];
        Self::of(folders.into())
    }

    fn of(folders: Vec<PathBuf>) -> Self {
        let mut files = BTreeMap::new();
        for folder in &folders {
            add_files(folder, &mut files);
        }
        Self { folders, files }
    }

    /// Fails, naming each, if there are files that were not there before or processes of this run.
    ///
    /// A new file that only processes of others hold is theirs: a machine may be shared.
    pub(super) fn check_nothing_new(&self) -> Result<()> {
        self.check(&std::process::id().to_string(), PATIENCE)
    }

    fn check(&self, mark: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let running = processes::marked(mark);
            let files = self.new_files(&running);
            if running.is_empty() && files.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("left behind: {}", describe(&running, &files));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn new_files(&self, running: &[Process]) -> Vec<PathBuf> {
        let now = Self::of(self.folders.clone());
        let fresh = now.files.into_iter().filter(|(path, inode)| self.files.get(path) != Some(inode));
        let fresh: Vec<PathBuf> = fresh.map(|(path, _)| path).collect();
        let held = processes::holders(&fresh);
        let is_ours = |path: &PathBuf| {
            let Some(pids) = held.get(path) else { return true };
            running.iter().any(|process| pids.contains(&process.pid))
        };
        fresh.into_iter().filter(is_ours).collect()
    }
}

fn add_files(folder: &Path, files: &mut BTreeMap<PathBuf, u64>) {
    // A folder that is missing or not ours to read holds nothing that this run made.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => add_files(&entry.path(), files),
            Ok(metadata) => drop(files.insert(entry.path(), metadata.ino())),
            Err(_) => {} // gone in between
        }
    }
}

fn describe(running: &[Process], files: &[PathBuf]) -> String {
    let processes = running.iter().map(|process| format!("process {} ({})", process.pid, process.command));
    let files = files.iter().map(|file| format!("file {}", file.display()));
    processes.chain(files).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs::File;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-leftovers-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("sub")).unwrap();
        folder.canonicalize().unwrap()
    }

    #[test]
    fn a_new_file_and_a_replaced_one_are_named_and_an_old_one_is_not() {
        let folder = folder("new");
        File::create(folder.join("old")).unwrap();
        File::create(folder.join("replaced")).unwrap();
        let before = Snapshot::of(vec![folder.clone()]);
        assert!(before.check("none", Duration::ZERO).is_ok());
        File::create(folder.join("sub/new")).unwrap();
        // Made while the old one still exists, so that the inode is another.
        File::create(folder.join("other")).unwrap();
        fs::rename(folder.join("other"), folder.join("replaced")).unwrap();
        let error = before.check("none", Duration::ZERO).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("sub/new") && error.contains("replaced") && !error.contains("old"), "{error}");
    }

    #[test]
    fn a_file_held_by_a_stranger_is_the_strangers() {
        let folder = folder("held");
        let before = Snapshot::of(vec![folder.clone()]);
        let file = File::create(folder.join("live")).unwrap();
        assert!(before.check("none", Duration::ZERO).is_ok());
        drop(file);
        let error = before.check("none", Duration::ZERO).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("live"), "{error}");
    }

    #[test]
    fn a_process_of_the_run_is_named_and_what_it_holds_too() {
        let folder = folder("process");
        let before = Snapshot::of(vec![folder.clone()]);
        let mark = format!("leftovers-test-{}", std::process::id());
        let file = File::create(folder.join("live")).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .env(crate::project::MARK, &mark)
            .stdin(file)
            .spawn()
            .unwrap();
        let error = before.check(&mark, Duration::ZERO).unwrap_err().to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("sleep 1000") && error.contains("live"), "{error}");
    }
}
