//! What a closed buffer may not leave on the machine.

use std::{fs, path::PathBuf};

/// Files of that name: segment, semaphores, lock files of both folders.
pub(crate) fn of(name: &str) -> Vec<PathBuf> {
    let [memory, locks @ ..] = folders();
    let shared = [name.to_owned(), format!("sem.sem-w-{name}"), format!("sem.sem-r-{name}")];
    let shared = shared.iter().map(|file| memory.join(file));
    let locks = locks.iter().map(|folder| folder.join(format!("{name}.lock")));
    shared.chain(locks).filter(|path| fs::symlink_metadata(path).is_ok()).collect()
}

/// Where buffers have their files.
pub(crate) fn folders() -> [PathBuf; 3] {
    ["/dev/shm".into(), "/tmp/zerobuffer".into(), std::env::temp_dir().join("zerobuffer/locks")]
}

/// Files of all buffers whose names have that in them.
pub(crate) fn with(part: &str) -> Vec<PathBuf> {
    let files = folders().into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    files.map(|file| file.path()).filter(|path| path.to_string_lossy().contains(part)).collect()
}

/// Removes them, so one failure does not spoil what comes after it.
pub(crate) fn sweep(name: &str) -> Vec<PathBuf> {
    let left = of(name);
    remove(&left);
    left
}

pub(crate) fn remove(files: &[PathBuf]) {
    for path in files {
        let _ = fs::remove_file(path);
    }
}

/// Descriptors, threads and resident KiB of this process: flat in a long run.
pub(crate) fn own_footprint() -> String {
    crate::child::footprint()
}
