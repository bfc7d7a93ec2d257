//! Which file a name stands for, and removing a name only while it still does (W6).

use crate::{
    crash,
    error::{Error, Result},
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|m| Self { device: m.dev(), inode: m.ino() })
    }

    pub(crate) fn named(path: impl AsRef<Path>) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|m| Self { device: m.dev(), inode: m.ino() })
    }
}

/// Removes a name if it still is that file's. `Ok(false)`: it was not.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn unlink_if(path: impl AsRef<Path>, id: FileId) -> Result<bool> {
    let path = path.as_ref();
    if FileId::named(path) != Some(id) {
        return Ok(false);
    }
    match crash::around(|| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::os("remove", path.display().to_string(), e)),
    }
}
