//! Which buffers there are in `/dev/shm`, and what they consist of.

use super::{lock_file, names, semaphore, shm, shm::Segment};
use crate::{
    error::Result,
    sys::{Objects, Signal, Traces},
};
use std::{fs, path::PathBuf};

/// The names of which `/dev/shm` has a file.
pub(crate) fn traces() -> Result<Traces> {
    let mut traces = Traces::default();
    for entry in shm::entries()? {
        if let Some(name) = names::of_semaphore(&entry) {
            traces.companions.push(name.to_owned());
        } else if names::check_name(&entry).is_ok() {
            traces.buffers.push(entry);
        }
    }
    traces.buffers.sort_unstable();
    traces.companions.sort_unstable();
    traces.companions.dedup();
    Ok(traces)
}

/// The files of a buffer, as far as they exist.
pub(crate) fn objects(name: &str) -> Objects {
    let shared =
        [name.to_owned(), names::semaphore(name, Signal::Data), names::semaphore(name, Signal::Space)];
    let shared = shared.iter().map(|file_name| PathBuf::from(shm::path(file_name)));
    let mut objects = Objects::default();
    for path in shared.chain(lock_file::paths(name)) {
        if let Ok(meta) = fs::symlink_metadata(&path) {
            objects.bytes += meta.len();
            objects.paths.push(path);
        }
    }
    objects
}

/// Whether a reader holds a lock file of that name: one that is just being created has no segment yet.
pub(crate) fn is_being_made(name: &str) -> bool {
    lock_file::is_locked(name)
}

/// The native writer that has noted itself, without opening the note for writing; `None` if that cannot be read.
pub(crate) fn noted_writer(name: &str, _: &Segment) -> Option<u64> {
    let file = Segment::open_read_only(&names::semaphore(name, Signal::Data)).ok()?;
    let mut note = [0; 8];
    file.read_at(&mut note, semaphore::NOTE).ok()?;
    Some(u64::from_le_bytes(note))
}

/// The value of a semaphore, without opening it for posting.
pub(crate) fn tokens(name: &str, signal: Signal) -> Option<u32> {
    let file = Segment::open_read_only(&names::semaphore(name, signal)).ok()?;
    let mut value = [0; 4];
    file.read_at(&mut value, 0).ok()?;
    Some(u32::from_le_bytes(value))
}
