//! The shared-memory folder: opening, making, naming and listing its files.

pub(super) use crate::sys::unix::Mapping;
use crate::{
    crash,
    error::{Error, Result},
    sys::unix::Folder,
};
pub(super) use std::fs::File;
use std::{fs, io, os::fd::AsRawFd};

pub(crate) const FOLDER: &str = "/dev/shm";

pub(crate) fn path(file_name: &str) -> String {
    format!("{FOLDER}/{file_name}")
}

/// The folder, held by a descriptor: whatever is done with several of its files is done in the same
/// one.
pub(crate) fn folder() -> Result<Folder> {
    Folder::of_system(FOLDER).map_err(|e| Error::os("open", FOLDER, e))
}

/// Opens an existing object for reading and writing; a symbolic link is not one.
pub(crate) fn open(file_name: &str) -> Result<File> {
    folder()?.open_new(file_name, libc::O_RDWR).map_err(|e| Error::os("open", path(file_name), e))
}

/// Reserves `size` bytes, so no page can be missing later: a full folder is an error here, never a
/// SIGBUS (W12).
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn reserve(file: &File, name: &str, size: u64) -> Result<()> {
    let length = libc::off_t::try_from(size).map_err(|_| Error::NoSpace {
        name: name.to_owned(),
        needed: size,
        available: available(),
    })?;
    loop {
        // SAFETY: the descriptor is open.
        if crash::around(|| unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) }) == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ENOSPC | libc::ENOMEM | libc::EFBIG) => {
                return Err(Error::NoSpace { name: name.to_owned(), needed: size, available: available() });
            }
            _ => return Err(Error::os("reserve memory in", FOLDER, error)),
        }
    }
}

/// Bytes left in the folder.
fn available() -> u64 {
    folder().map_or(0, |folder| folder.available())
}

/// The file names in the folder.
pub(crate) fn entries() -> Result<Vec<String>> {
    let entries = fs::read_dir(FOLDER).map_err(|e| Error::os("list", FOLDER, e))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}
