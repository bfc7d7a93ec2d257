//! Buffers that nobody owns any more.

use crate::{
    error::Result,
    layout::name as names,
    sys::{self, Segment, Verdict},
};
use std::{fs, path::PathBuf};

/// What a dead reader has left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Orphan {
    /// The buffer's name.
    pub name: String,
    /// Segment, semaphores and lock files, as far as they exist.
    pub objects: Vec<PathBuf>,
    /// Memory that removing them sets free, bytes.
    pub bytes: u64,
    /// Why it is known to be dead.
    pub reason: String,
}

/// Everything that is provably dead: buffers whose reader is gone, and semaphores without a buffer.
///
/// # Errors
///
/// [`Error::Os`](crate::Error::Os) if the shared-memory folder cannot be listed. What may not be looked at is left out.
pub fn orphans() -> Result<Vec<Orphan>> {
    let entries = sys::entries()?;
    let mut found = Vec::new();
    for entry in &entries {
        if names::check(entry).is_ok() {
            found.extend(dead_buffer(entry));
        } else if let Some(name) = names::of_semaphore(entry) {
            let seen = found.iter().any(|orphan: &Orphan| orphan.name == name);
            if !seen && !entries.iter().any(|other| other == name) {
                found.extend(lonely_semaphores(name));
            }
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes an orphan's objects, judged once more under the locks of creation, and says what was removed.
///
/// # Errors
///
/// [`Error::ReaderAlreadyConnected`](crate::Error::ReaderAlreadyConnected) if the name has come to life meanwhile; [`Error::PermissionDenied`](crate::Error::PermissionDenied);
/// [`Error::NotReady`](crate::Error::NotReady); [`Error::Os`](crate::Error::Os).
pub fn remove(orphan: &Orphan) -> Result<Vec<PathBuf>> {
    names::check(&orphan.name)?;
    sys::remove_dead(&orphan.name)
}

fn dead_buffer(name: &str) -> Option<Orphan> {
    let segment = Segment::open_read_only(name).ok()?;
    let Verdict::Dead { pid, reason } = sys::judge(&segment) else { return None };
    // An empty or zeroed file may be anybody's; only what looks like a buffer, or has its semaphores, is claimed.
    let objects = objects(name);
    if pid == 0 && objects.len() < 2 {
        return None;
    }
    Some(Orphan {
        name: name.to_owned(),
        bytes: size(&objects),
        objects,
        reason: format!("{reason}, process {pid}"),
    })
}

fn lonely_semaphores(name: &str) -> Option<Orphan> {
    let objects = objects(name);
    // A reader that is just being created holds the lock file, and has no segment yet.
    let locked = sys::lock_paths(name).iter().any(|path| sys::is_locked(path));
    let reason = "its semaphores have no buffer".to_owned();
    (!locked && !objects.is_empty()).then(|| Orphan {
        name: name.to_owned(),
        bytes: size(&objects),
        objects,
        reason,
    })
}

fn objects(name: &str) -> Vec<PathBuf> {
    let shared = [name.to_owned(), names::data_semaphore(name), names::space_semaphore(name)];
    let shared = shared.iter().map(|file_name| PathBuf::from(sys::shm_path(file_name)));
    shared.chain(sys::lock_paths(name)).filter(|path| path.symlink_metadata().is_ok()).collect()
}

fn size(objects: &[PathBuf]) -> u64 {
    let len = |path: &PathBuf| fs::symlink_metadata(path).map_or(0, |meta| meta.len());
    objects.iter().map(len).sum()
}
