//! The check that a step leaves no file of a buffer and no process behind.
//!
//! Only names with this run's mark are looked for: other programs of the machine may make and
//! remove buffers meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::processes::{self, Process};
use crate::project;

/// How long something may outlive its step: a killed test's peer needs a moment to notice and to
/// clean.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fails, naming each, if there are files with this run's mark in their names, or processes of this
/// run.
pub(super) fn check() -> Result<()> {
    check_in(&folders(), project::name_mark(), &std::process::id().to_string(), PATIENCE)
}

/// Where segments, semaphores and lock files lie.
fn folders() -> Vec<PathBuf> {
    vec!["/dev/shm".into(), "/tmp/zerobuffer".into(), std::env::temp_dir().join("zerobuffer/locks")]
}

fn check_in(folders: &[PathBuf], name_mark: &str, process_mark: &str, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let (running, files) = (processes::marked(process_mark), files_in(folders, name_mark));
        if running.is_empty() && files.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("left behind: {}", describe(&running, &files));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The files in and below `folders` whose names have the mark.
fn files_in(folders: &[PathBuf], mark: &str) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for folder in folders {
        add_files(folder, mark, &mut files);
    }
    files
}

fn add_files(folder: &Path, mark: &str, files: &mut BTreeSet<PathBuf>) {
    // A folder that is missing or may not be read holds nothing that this run made.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_files(&entry.path(), mark, files),
            Ok(_) if entry.file_name().to_string_lossy().contains(mark) => drop(files.insert(entry.path())),
            _ => {} // another program's, or gone in between
        }
    }
}

fn describe(running: &[Process], files: &BTreeSet<PathBuf>) -> String {
    let processes = running.iter().map(|process| format!("process {} ({})", process.pid, process.command));
    let files = files.iter().map(|file| format!("file {}", file.display()));
    processes.chain(files).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs::File;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-leftovers-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("sub")).unwrap();
        folder.canonicalize().unwrap()
    }

    fn check(folder: &Path, process_mark: &str) -> Result<()> {
        check_in(&[folder.to_owned()], "xmark-", process_mark, Duration::ZERO)
    }

    #[test]
    fn every_file_with_the_mark_is_named_and_no_other_one() {
        let folder = folder("named");
        for stranger in ["old", "sub/cam.lock", "sem.sem-w-cam"] {
            File::create(folder.join(stranger)).unwrap();
        }
        assert!(check(&folder, "none").is_ok());
        for own in ["xmark-a", "sem.sem-w-xmark-b", "sub/xmark-c.lock"] {
            File::create(folder.join(own)).unwrap();
        }
        let error = check(&folder, "none").unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(error.matches("file ").count(), 3, "{error}");
        for own in ["xmark-a", "sem.sem-w-xmark-b", "sub/xmark-c.lock"] {
            assert!(error.contains(own), "{own}: {error}");
        }
    }

    #[test]
    fn a_program_that_makes_and_removes_files_all_the_time_is_none_of_our_business() {
        let folder = folder("busy");
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0.. {
                    if ends.load(Ordering::Relaxed) {
                        break;
                    }
                    // Every other one stays.
                    let path = folder.join(format!("sub/camera-{number}"));
                    File::create(&path).unwrap();
                    if number % 2 == 0 {
                        fs::remove_file(path).unwrap();
                    }
                }
            });
            let checks = (0..200).map(|_| check(&folder, "none")).collect::<Result<Vec<()>>>();
            ends.store(true, Ordering::Relaxed);
            checks.unwrap();
        });
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Again and again, since a program that just starts has no environment yet.
    #[test]
    fn a_process_of_the_run_is_named_from_its_start() {
        let folder = folder("process");
        let mark = format!("leftovers-test-{}", std::process::id());
        for _ in 0..200 {
            let mut child =
                std::process::Command::new("sleep").arg("1000").env(project::MARK, &mark).spawn().unwrap();
            let found = check(&folder, &mark);
            child.kill().unwrap();
            child.wait().unwrap();
            let error = found.unwrap_err().to_string();
            assert!(error.contains("sleep 1000"), "{error}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    /// The commands of a step get the mark, and the test helpers put it before the names that they
    /// make.
    #[test]
    fn the_mark_is_handed_on() {
        let print = "test \"$ZEROBUFFER_TEST_MARK\" = \"$0\"";
        let mut command = std::process::Command::new("sh");
        project::run_within(Duration::from_mins(1), command.args(["-c", print, project::name_mark()]))
            .unwrap();
        assert!(project::name_mark().len() == 7, "names end at 30 bytes on macOS");
    }
}
