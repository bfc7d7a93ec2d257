//! What goes with a segment and shows that it is a buffer's: the name's lock files and semaphores.
//!
//! Each counts only if the segment's own user has made it. So nobody makes another one's file look
//! like a buffer.

use super::{lock_file, names, segment::Segment, semaphore};
use crate::sys::{Signal, unix::Folder};
use std::os::unix::fs::{FileExt, MetadataExt};

/// `lock_owners`: whose lock files of that name there are, apart from those that the caller has
/// made.
pub(super) fn exist(
    folder: &Folder,
    name: &str,
    uid: u32,
    mut lock_owners: impl Iterator<Item = u32>,
) -> bool {
    let is_semaphore = |signal| is_semaphore(folder, &names::semaphore(name, signal), uid);
    lock_owners.any(|owner| owner == uid) || [Signal::Data, Signal::Space].into_iter().any(is_semaphore)
}

/// Whether a file is a semaphore of that user, by its layout and by what it can contain.
pub(super) fn is_semaphore(folder: &Folder, file_name: &str, uid: u32) -> bool {
    let Ok(file) = folder.open(file_name, libc::O_RDONLY) else { return false };
    let is_one = file.metadata().is_ok_and(|meta| meta.len() == semaphore::SIZE && meta.uid() == uid);
    let mut bytes = [0; semaphore::SIZE as usize];
    is_one && file.read_exact_at(&mut bytes, 0).is_ok() && semaphore::is_plausible(&bytes)
}

impl Segment {
    /// Whether anything shows that it is a buffer's, for observers.
    pub(crate) fn has_companions(&self) -> bool {
        let owners = lock_file::owners(&self.name);
        super::shm::folder().is_ok_and(|folder| exist(&folder, &self.name, self.uid, owners.into_iter()))
    }
}
