//! The lock files by which readers of all implementations exclude each other (W12), in the user's
//! temporary folder.
//!
//! Nobody else may open the file while it is open here, and it vanishes when it is closed, also by
//! a kill. C++ and C# have it so, each in a folder of its own.

use super::object;
use crate::crash;
use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    os::windows::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use windows_sys::Win32::{
    Foundation::ERROR_SHARING_VIOLATION,
    Storage::FileSystem::{
        FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS,
        FILE_FLAG_DELETE_ON_CLOSE, FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_DELETE, FILE_SHARE_READ,
        FILE_SHARE_WRITE,
    },
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

/// Whether another process holds that lock file. What may not be looked at is not free.
pub(super) fn is_locked(path: &Path) -> bool {
    let everything = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    let mut look = OpenOptions::new();
    look.read(true).share_mode(everything).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    look.open(path).is_err_and(|error| is_busy(&error) || object::is_denied(&error))
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
    /// One may not be opened: perhaps it is held, or is just vanishing.
    Unknown { path: PathBuf, error: io::Error },
}

/// Locks the name in each folder; a folder that cannot be used is left out.
pub(super) fn acquire(name: &str) -> Locks {
    let mut held = Vec::new();
    for (at, path) in paths(name).into_iter().enumerate() {
        // The second folder lies in the first.
        let Some(way) = folders().get(..=at).map(<[PathBuf]>::to_vec) else { continue };
        let pinned: io::Result<Vec<File>> = way.iter().map(|folder| pin(folder)).collect();
        match pinned.map(|_pins| lock(&path)) {
            Ok(Ok(file)) => held.push(file),
            Ok(Err(error)) if is_busy(&error) => return Locks::Busy,
            Ok(Err(error)) if object::is_denied(&error) => return Locks::Unknown { path, error },
            Ok(Err(error)) | Err(error) => {
                log::debug!(target: "zerobuffer::reader", "no lock file {}: {error}", path.display());
            }
        }
    }
    Locks::Held(held)
}

/// A real folder, made if it is missing. While it is open without the right to delete it, nobody
/// exchanges it for a link.
fn pin(folder: &Path) -> io::Result<File> {
    match crash::around(|| fs::create_dir(folder)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE);
    let pinned =
        options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT).open(folder)?;
    let attributes = pinned.metadata()?.file_attributes();
    if attributes & FILE_ATTRIBUTE_DIRECTORY == 0 || attributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Err(io::Error::other("it is not a folder, or it is a link"));
    }
    Ok(pinned)
}

fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.share_mode(0).custom_flags(FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT);
    crash::around(|| options.open(path))
}
