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
    /// A machine may be shared: a new file that only processes of others hold is theirs, and so is one that comes or
    /// changes hands after the step, when a killed test of another run is between two rounds.
    pub(super) fn check_nothing_new(&self) -> Result<()> {
        self.check(&std::process::id().to_string(), PATIENCE)
    }

    fn check(&self, mark: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut running = processes::marked(mark);
        let mut files = self.new_files(&running);
        while !running.is_empty() || !files.is_empty() {
            if Instant::now() >= deadline {
                bail!("left behind: {}", describe(&running, &files));
            }
            std::thread::sleep(Duration::from_millis(100));
            running = processes::marked(mark);
            files = still_there(files, &self.new_files(&running));
        }
        Ok(())
    }

    fn new_files(&self, running: &[Process]) -> BTreeMap<PathBuf, u64> {
        let mut fresh = Self::of(self.folders.clone()).files;
        fresh.retain(|path, inode| self.files.get(path) != Some(inode));
        let paths: Vec<PathBuf> = fresh.keys().cloned().collect();
        let held = processes::holders(&paths);
        fresh.retain(|path, _| {
            let Some(pids) = held.get(path) else { return true };
            running.iter().any(|process| pids.contains(&process.pid))
        });
        fresh
    }
}

/// Those of `files` that `now` has too, unchanged.
fn still_there(mut files: BTreeMap<PathBuf, u64>, now: &BTreeMap<PathBuf, u64>) -> BTreeMap<PathBuf, u64> {
    files.retain(|path, inode| now.get(path) == Some(inode));
    files
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

fn describe(running: &[Process], files: &BTreeMap<PathBuf, u64>) -> String {
    let processes = running.iter().map(|process| format!("process {} ({})", process.pid, process.command));
    let files = files.keys().map(|file| format!("file {}", file.display()));
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
    fn what_comes_or_is_replaced_after_the_step_is_not_blamed_on_it() {
        let files =
            |list: &[(&str, u64)]| list.iter().map(|(path, inode)| (PathBuf::from(path), *inode)).collect();
        let left = still_there(
            files(&[("left", 1), ("replaced", 2), ("gone", 3)]),
            &files(&[("left", 1), ("replaced", 9), ("came", 4)]),
        );
        assert_eq!(left, files(&[("left", 1)]));
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
