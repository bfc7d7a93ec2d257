//! The lock files by which readers of all implementations exclude each other (W12), in the user's temporary folder.
//!
//! A file that nobody else may open while it is open here, and that vanishes when it is closed, also by a kill: as C++ and
//! C# have it, each in a folder of its own.

use crate::crash;
use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    os::windows::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use windows_sys::Win32::{
    Foundation::ERROR_SHARING_VIOLATION,
    Storage::FileSystem::{FILE_FLAG_DELETE_ON_CLOSE, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE},
};

/// The folders, in the order of locking: that of C++, that of C#.
pub(super) fn folders() -> [PathBuf; 2] {
    let theirs = env::temp_dir().join("zerobuffer");
    let locks = theirs.join("locks");
    [theirs, locks]
}

/// Where the lock files of a name are.
pub(super) fn paths(name: &str) -> [PathBuf; 2] {
    folders().map(|folder| folder.join(format!("{name}.lock")))
}

/// Whether another process holds that lock file.
pub(super) fn is_locked(path: &Path) -> bool {
    let everything = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    let opened = OpenOptions::new().read(true).share_mode(everything).open(path);
    opened.is_err_and(|error| is_busy(&error))
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION.cast_signed())
}

/// The outcome of trying to lock a name in both folders.
pub(super) enum Locks {
    /// Held until dropped, which removes the files.
    Held(Vec<File>),
    /// Another process holds one of them.
    Busy,
}

/// Locks the name in each folder; a folder that cannot be used is left out.
pub(super) fn acquire(name: &str) -> Locks {
    let mut held = Vec::new();
    for (folder, path) in folders().iter().zip(paths(name)) {
        match lock(folder, &path) {
            Ok(file) => held.push(file),
            Err(error) if is_busy(&error) => return Locks::Busy,
            Err(error) => {
                log::debug!(target: "zerobuffer::reader", "no lock file {}: {error}", path.display());
            }
        }
    }
    Locks::Held(held)
}

fn lock(folder: &Path, path: &Path) -> io::Result<File> {
    crash::around(|| fs::create_dir_all(folder))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.share_mode(0).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
    crash::around(|| options.open(path))
}
