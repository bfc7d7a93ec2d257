//! The lock file of a name: what excludes other readers, and what bears the presence locks (W8, W12).
//!
//! Shared memory cannot be locked on macOS and has no inode, so that the lock file stands for both: its byte 0, locked,
//! is a live reader, and each reader makes a file of its own, which tells its buffer from a predecessor's. On this kernel
//! a range lock and `flock` of the whole file exclude each other: a reader of another implementation is kept out.

use super::names;
use crate::crash;
use crate::error::{Error, Result};
use crate::sys::{
    Role,
    unix::{FileId, Presence, fork::PrivateFd, is_held, unlink_if},
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

const FLAGS: libc::c_int = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Whether another process holds the lock file of a name.
pub(crate) fn is_locked(name: &str) -> bool {
    open(name, false).is_ok_and(|file| is_held(&file, Role::Reader).unwrap_or(false))
}

/// A real folder that everybody may use: made so if it is missing, whatever the umask.
pub(crate) fn ensure_folder() -> Result<()> {
    let failed = |e| Error::os("make the folder", names::FOLDER, e);
    match crash::around(|| DirBuilder::new().mode(0o1777).create(names::FOLDER)) {
        Ok(()) => crash::around(|| fs::set_permissions(names::FOLDER, Permissions::from_mode(0o1777)))
            .map_err(failed)?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(failed(e)),
    }
    match fs::symlink_metadata(names::FOLDER) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(failed(io::Error::other("it is not a folder"))),
        Err(e) => Err(failed(e)),
    }
}

/// A lock file that is held.
#[derive(Debug)]
pub(crate) struct LockFile {
    presence: Presence,
    pub(crate) id: FileId,
    /// It was not there before.
    pub(crate) is_new: bool,
}

impl LockFile {
    /// Takes the lock file of a name, making it with that mode if it is missing: who may use the buffer takes locks of
    /// its own on the file. `Ok(None)`: another process holds it.
    pub(crate) fn acquire(name: &str, mode: u32) -> Result<Option<Self>> {
        let path = names::lock_file(name);
        let failed = |e| Error::os("lock", path.to_string_lossy(), e);
        loop {
            let (mut found, mut is_new) = (None, false);
            let open = || {
                let (file, fresh) = open_or_make(&path, mode)?;
                (found, is_new) = (Some(FileId::of(&file)?), fresh);
                Ok(OwnedFd::from(file))
            };
            let presence = Presence::on(PrivateFd::open(open).map_err(failed)?);
            if !presence.try_lock(Role::Reader).map_err(failed)? {
                return Ok(None);
            }
            // A cleaner may have removed the file between opening and locking it: then the lock is worth nothing.
            match found {
                Some(id) if FileId::named(&path) == Some(id) => {
                    return Ok(Some(Self { presence, id, is_new }));
                }
                _ => {}
            }
        }
    }

    /// Puts a fresh file in the place of a predecessor's, on which a writer of its buffer may still hold locks.
    pub(crate) fn renew(self, name: &str, mode: u32) -> Result<Option<Self>> {
        if self.is_new {
            return Ok(Some(self));
        }
        self.remove(name)?;
        Self::acquire(name, mode)
    }

    /// Removes the file while it is still locked, then lets go. `Ok(false)`: it was gone.
    pub(crate) fn remove(self, name: &str) -> Result<bool> {
        unlink_if(names::lock_file(name), self.id)
    }

    pub(crate) fn into_presence(self) -> Presence {
        self.presence
    }

    pub(crate) fn presence(&self) -> &Presence {
        &self.presence
    }
}

/// The lock file that has a buffer's name now, for looking at its locks, and for taking some if `write`.
pub(crate) fn open(name: &str, write: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(write).custom_flags(FLAGS).open(names::lock_file(name));
    file.and_then(regular)
}

/// `true`: it was made.
fn open_or_make(path: &Path, mode: u32) -> io::Result<(File, bool)> {
    let options = || OpenOptions::new().read(true).write(true).custom_flags(FLAGS).clone();
    loop {
        match options().open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other.and_then(regular).map(|file| (file, false)),
        }
        match crash::around(|| options().create_new(true).mode(0o600).open(path)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
            Ok(file) => {
                // The umask has no say in it.
                crash::around(|| file.set_permissions(Permissions::from_mode(mode)))?;
                return Ok((file, true));
            }
        }
    }
}

fn regular(file: File) -> io::Result<File> {
    let meta = file.metadata()?;
    if meta.is_file() && meta.nlink() <= 1 {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

impl Presence {
    /// Whether the buffer was replaced. A lock file that somebody removed under a living reader means nothing.
    pub(crate) fn is_unlinked(&self) -> bool {
        self.is_nameless() && !self.is_held(Role::Reader).unwrap_or(false)
    }
}
