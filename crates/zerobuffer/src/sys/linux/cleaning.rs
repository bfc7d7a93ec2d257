//! Removing what dead processes have left (W16): nothing that is not proven to be theirs.

use super::{
    companions,
    creation::{Place, lock_name},
    lock_file::{self, LockFile},
    names,
    segment::Segment,
    shm,
};
use crate::{
    error::{Error, Result},
    sys::{
        Objects, Removal, Signal,
        blocked::{Blocked, retried},
        takeover::take_over,
        unix::{Folder, directory::DirectoryLock},
    },
};
use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::PathBuf,
};

/// `F_SETSIG`, which the `libc` crate does not have: which signal tells the holder of a lease that
/// another process wants in.
const SET_SIGNAL: libc::c_int = 10;
const SIGNALS: [Signal; 2] = [Signal::Data, Signal::Space];

/// Removes everything of a dead buffer that belongs to that user, judged again under the locks;
/// returns what was removed.
///
/// Another observer may just be asking whether a lock file is free: that is waited for.
pub(crate) fn remove_dead(name: &str, removal: Removal) -> Result<Vec<PathBuf>> {
    let folder = shm::folder()?;
    let before = super::objects(name, removal.uid).paths;
    retried(|| remove_once(&folder, name, removal))?;
    let left = super::objects(name, removal.uid).paths;
    Ok(before.into_iter().filter(|path| !left.contains(path)).collect())
}

fn remove_once(folder: &Folder, name: &str, removal: Removal) -> Result<(), Blocked> {
    let _directory = DirectoryLock::acquire(folder)?;
    let locks = lock_name(name)?;
    let place = Place { folder, name, locks: &locks, removal: Some(removal) };
    let mut result = take_over(&place).map(drop);
    if result.is_ok() {
        let mut signals = SIGNALS.into_iter();
        let removed = signals.try_for_each(|signal| remove_stray(folder, name, signal, removal.uid));
        result = removed.map_err(Blocked::from);
    }
    for lock in locks {
        // What was made for this goes in any case; what was found, and others', only with the
        // buffer.
        if lock.found_of.is_none() || (result.is_ok() && lock.found_of == Some(removal.uid)) {
            lock.remove();
        }
    }
    result
}

fn remove_stray(folder: &Folder, name: &str, signal: Signal, uid: u32) -> Result<()> {
    let file = names::semaphore(name, signal);
    match folder.id(&file) {
        Some(id) if is_stray(folder, &file, uid) => folder.unlink_if(&file, id).map(drop),
        _ => Ok(()),
    }
}

/// Whether a file is a semaphore of that user which no process has open.
fn is_stray(folder: &Folder, file: &str, uid: u32) -> bool {
    companions::is_semaphore(folder, file, uid)
        && folder.open(file, libc::O_RDONLY).is_ok_and(|file| !may_be_in_use(&file))
}

/// Whether a process may have the file open for writing, or mapped: also one of another pid
/// namespace.
///
/// The kernel grants a read lease on a file that nobody has open for writing. It is for the file's
/// owner and for root.
fn may_be_in_use(file: &File) -> bool {
    // SAFETY: the descriptor is open, and the calls take plain numbers. If a process opens the file
    // while the lease is there, the kernel sends a signal. It is ignored unless the process handles
    // it.
    unsafe {
        libc::fcntl(file.as_raw_fd(), SET_SIGNAL, libc::SIGURG) != 0
            || libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) != 0
            || libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) != 0
    }
}

/// Semaphores and lock files of that user, of a name without a segment, that nobody uses.
pub(crate) fn stray(name: &str, uid: u32) -> Objects {
    let mut objects = Objects::default();
    let Ok(folder) = shm::folder() else { return objects };
    let files = SIGNALS.map(|signal| names::semaphore(name, signal));
    let semaphores = files.iter().filter(|file| is_stray(&folder, file, uid));
    let semaphores = semaphores.map(|file| PathBuf::from(shm::path(file)));
    // The lock files of every implementation are empty.
    let belongs = |path: &PathBuf| {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == 0 && meta.uid() == uid)
    };
    let locks = lock_file::paths(name).into_iter().filter(belongs);
    for path in semaphores.chain(locks) {
        objects.bytes += fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
        objects.paths.push(path);
    }
    objects
}

impl Place<'_> {
    /// Whether what was found may be removed. It must belong to the user that was named. A legacy
    /// reader's death must be proven by its lock file, which was found and is held here.
    pub(super) fn check(&self, segment: &Segment) -> Result<()> {
        let Some(removal) = self.removal else { return Ok(()) };
        if segment.uid != removal.uid {
            let object = shm::path(self.name);
            return Err(Error::PermissionDenied { object, operation: "remove another user's" });
        }
        let is_proven =
            segment.is_marked() || self.locks.iter().any(|lock: &LockFile| lock.found_of.is_some());
        if is_proven || removal.forced {
            return Ok(());
        }
        Err(Error::NotReady { name: self.name.to_owned(), reason: Removal::UNPROVEN })
    }
}
