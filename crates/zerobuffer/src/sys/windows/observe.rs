//! Which buffers there are, by their readers' lock files in the user's temporary folder, and what
//! they consist of.

use super::{
    Segment, Semaphore, lock_file,
    names::{Namespace, check_name},
    own_uid,
    segment::is_not_found,
};
use crate::{
    error::Result,
    sys::{Objects, Signal, Traces},
};
use std::{fs, path::PathBuf};

/// The names of which there is a lock file.
pub(crate) fn traces() -> Result<Traces> {
    let companions = names_from("")?;
    let exists =
        |name: &&String| !matches!(Segment::open_read_only(name), Err(error) if is_not_found(&error));
    let buffers = companions.iter().filter(exists).cloned().collect();
    Ok(Traces { buffers, companions })
}

/// The names that begin so, of which there is a lock file.
#[allow(clippy::unnecessary_wraps, reason = "on other systems the shared-memory folder must be there")]
pub(crate) fn names_from(prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let fits = |name: &&str| name.starts_with(prefix) && check_name(name).is_ok();
    for folder in lock_file::folders() {
        // A folder that is not there has no lock file in it.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".lock"));
            found.extend(name.filter(fits).map(str::to_owned));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The existing objects of a buffer: kernel objects by name, lock files by path.
pub(crate) fn objects(name: &str, _: u32) -> Objects {
    let mut objects = Objects::default();
    for space in Namespace::ALL {
        if let Ok(segment) = Segment::open_in(space, name, false) {
            objects.bytes += segment.size;
            objects.paths.push(PathBuf::from(space.segment(name)));
        }
        for signal in [Signal::Data, Signal::Space] {
            if Semaphore::value_of(space, name, signal).is_ok() {
                objects.paths.push(PathBuf::from(space.semaphore(name, signal)));
            }
        }
    }
    objects.paths.extend(lock_file::paths(name).into_iter().filter(|path| path.symlink_metadata().is_ok()));
    objects
}

/// A list is of the lock files in this user's own folder.
pub(crate) fn owners(_: &str) -> Vec<u32> {
    vec![own_uid()]
}

/// What is left of a name that has no segment.
pub(crate) fn stray(name: &str, uid: u32) -> Objects {
    objects(name, uid)
}

/// Whether a lock file proves what a legacy reader's number says. Numbers are the machine's here,
/// and need no proof.
pub(crate) fn has_lock_file(_: &str) -> bool {
    true
}

/// Whether a reader holds a lock file of that name: one that is just being created has no segment
/// yet.
pub(crate) fn is_being_made(name: &str) -> bool {
    lock_file::paths(name).iter().any(|path| lock_file::is_locked(path))
}

/// The native writer that has noted itself; `None` beside a legacy reader, which has no notes.
pub(crate) fn noted_writer(_: &str, segment: &Segment) -> Option<u64> {
    segment.noted_writer()
}

/// The value of a semaphore, without opening it for posting.
pub(crate) fn tokens(name: &str, signal: Signal) -> Option<u32> {
    let space = Segment::open_read_only(name).ok()?.space();
    Semaphore::value_of(space, name, signal).ok()
}
