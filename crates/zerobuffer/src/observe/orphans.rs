//! Buffers that nobody owns any more.

use crate::{
    error::Result,
    sys::{self, Segment, Verdict},
};
use std::path::PathBuf;

/// What a dead reader has left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Orphan {
    /// The buffer's name.
    pub name: String,
    /// Segment, semaphores and lock files, as far as they exist; on Windows also names that are no files.
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
    let sys::Traces { buffers, companions } = sys::traces()?;
    let mut found: Vec<Orphan> = buffers.iter().filter_map(|name| dead_buffer(name)).collect();
    let lonely = companions.iter().filter(|name| buffers.binary_search(name).is_err());
    found.extend(lonely.filter_map(|name| lonely_companions(name)));
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
    sys::check_name(&orphan.name)?;
    sys::remove_dead(&orphan.name)
}

fn dead_buffer(name: &str) -> Option<Orphan> {
    let segment = Segment::open_read_only(name).ok()?;
    let Verdict::Dead { pid, reason } = sys::judge(&segment) else { return None };
    // An empty or zeroed file may be anybody's; only what looks like a buffer, or has its semaphores, is claimed.
    let sys::Objects { paths, bytes } = sys::objects(name);
    if pid == 0 && paths.len() < 2 {
        return None;
    }
    Some(Orphan { name: name.to_owned(), objects: paths, bytes, reason: format!("{reason}, process {pid}") })
}

fn lonely_companions(name: &str) -> Option<Orphan> {
    let sys::Objects { paths, bytes } = sys::objects(name);
    let reason = "its semaphores have no buffer".to_owned();
    let left = !paths.is_empty() && !sys::is_being_made(name);
    left.then(|| Orphan { name: name.to_owned(), objects: paths, bytes, reason })
}
