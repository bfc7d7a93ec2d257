//! Which buffers there are, by their lock files, and what they consist of. Memory and semaphores
//! cannot be listed.

use super::{lock_file, names, semaphore::Semaphore, shm};
use crate::{
    error::{Error, Result},
    sys::{Objects, Signal, Traces},
};
use std::{fs, io, path::PathBuf};

/// The names that have a lock file.
pub(crate) fn traces() -> Result<Traces> {
    let companions = names_from("")?;
    let buffers = companions.iter().filter(|name| shm::size(name).is_some()).cloned().collect();
    Ok(Traces { buffers, companions })
}

/// The names that begin so and have a lock file.
pub(crate) fn names_from(prefix: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(names::FOLDER) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| Error::os("list", names::FOLDER, e))?,
    };
    let files = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> = files
        .filter_map(|file| file.strip_suffix(".lock").map(str::to_owned))
        .filter(|name| name.starts_with(prefix) && names::check_name(name).is_ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// What exists of a buffer. Memory and semaphores have no path: they are reported by kind and name.
pub(crate) fn objects(name: &str, uid: u32) -> Objects {
    let mut objects = Objects::default();
    // Semaphores do not say whose they are: a buffer's objects belong to whom its memory or lock
    // file does.
    if !owners(name).contains(&uid) {
        return objects;
    }
    if let Some(size) = shm::size(name) {
        objects.paths.push(segment(name));
        objects.bytes = size;
    }
    for signal in [Signal::Data, Signal::Space] {
        if Semaphore::open(name, signal).is_ok() {
            objects.paths.push(semaphore(name, signal));
        }
    }
    let lock = names::lock_file(name);
    if lock.symlink_metadata().is_ok() {
        objects.paths.push(lock);
    }
    objects
}

/// The owner of the objects of that name, if it can be known.
pub(crate) fn owners(name: &str) -> Vec<u32> {
    let segment = shm::Segment::open_read_only(name).ok().map(|segment| segment.uid);
    let mut owners: Vec<u32> = segment.into_iter().chain(lock_file::owner(name)).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// What is left of a name that has no memory.
pub(crate) fn stray(name: &str, uid: u32) -> Objects {
    objects(name, uid)
}

/// Whether a lock file of that name is there.
pub(crate) fn has_lock_file(name: &str) -> bool {
    lock_file::owner(name).is_some()
}

/// How lists of what was found or removed name the memory.
pub(crate) fn segment(name: &str) -> PathBuf {
    PathBuf::from(format!("shm:{}", names::segment(name)))
}

/// As [`segment`], for a semaphore.
pub(crate) fn semaphore(name: &str, signal: Signal) -> PathBuf {
    PathBuf::from(format!("sem:{}", names::semaphore(name, signal)))
}

/// Whether a reader holds the lock file of that name: one that is just being created has no memory
/// yet.
pub(crate) fn is_being_made(name: &str) -> bool {
    lock_file::is_locked(name)
}

/// Writers leave no note here.
pub(crate) fn noted_writer(_: &str, _: &shm::Segment) -> Option<u64> {
    None
}

/// The value of a semaphore: nobody but who may take a token can tell anything about it.
pub(crate) fn tokens(_: &str, _: Signal) -> Option<u32> {
    None
}
