//! Which buffers there are in `/dev/shm`, and what they consist of.

use super::{lock_file, names, segment::Segment, semaphore, shm};
use crate::{
    error::Result,
    sys::{Objects, Signal, Traces},
};
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

/// The names of which `/dev/shm` has a file, or a folder of lock files.
pub(crate) fn traces() -> Result<Traces> {
    let mut traces = Traces::default();
    for entry in shm::entries()? {
        if let Some(name) = names::of_semaphore(&entry) {
            traces.companions.push(name.to_owned());
        } else if names::check_name(&entry).is_ok() {
            traces.buffers.push(entry);
        }
    }
    traces.companions.extend(lock_file::names());
    traces.buffers.sort_unstable();
    traces.companions.sort_unstable();
    traces.companions.dedup();
    Ok(traces)
}

/// The names that begin so, of which `/dev/shm` has a file.
pub(crate) fn names_from(prefix: &str) -> Result<Vec<String>> {
    let mut names = shm::entries()?;
    names.retain(|name| name.starts_with(prefix) && names::check_name(name).is_ok());
    Ok(names)
}

/// The existing files of a buffer that belong to that user.
pub(crate) fn objects(name: &str, uid: u32) -> Objects {
    let mut objects = Objects::default();
    for (path, meta) in files(name).filter(|(_, meta)| meta.uid() == uid) {
        objects.bytes += meta.len();
        objects.paths.push(path);
    }
    objects
}

/// Whose files of that name there are.
pub(crate) fn owners(name: &str) -> Vec<u32> {
    let mut owners: Vec<u32> = files(name).map(|(_, meta)| meta.uid()).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

fn files(name: &str) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
    let shared =
        [name.to_owned(), names::semaphore(name, Signal::Data), names::semaphore(name, Signal::Space)];
    let shared = shared.map(|file_name| PathBuf::from(shm::path(&file_name)));
    let paths = shared.into_iter().chain(lock_file::paths(name));
    paths.filter_map(|path| fs::symlink_metadata(&path).ok().map(|meta| (path, meta)))
}

/// Whether a lock file of that name is there.
pub(crate) fn has_lock_file(name: &str) -> bool {
    !lock_file::owners(name).is_empty()
}

/// Whether a reader holds a lock file of that name: one that is just being created has no segment
/// yet.
pub(crate) fn is_being_made(name: &str) -> bool {
    lock_file::is_locked(name)
}

/// The native writer that has noted itself, without opening the note for writing; `None` if that
/// cannot be read.
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
