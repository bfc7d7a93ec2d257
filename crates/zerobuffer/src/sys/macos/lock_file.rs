//! The lock file of a name: what excludes other readers, and what bears the presence locks (W8,
//! W12).
//!
//! Shared memory cannot be locked on macOS and has no inode, so the lock file stands for both. Its
//! byte 0, locked, is a live reader. Each reader makes a file of its own, which distinguishes its
//! buffer from a predecessor's. On this kernel a range lock and `flock` of the whole file exclude
//! each other, so a reader of another implementation is kept out.

use super::names;
use crate::error::{Error, Result};
use crate::sys::{
    Role,
    unix::{Entry, FileId, Folder, Presence, fork::PrivateFd, is_held, is_shortage, writers_only},
};
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    sync::Arc,
};

/// Whether another process holds the lock file of a name. What cannot be looked at is not free.
pub(crate) fn is_locked(name: &str) -> bool {
    match open(name, false) {
        Ok(file) => is_held(&file, Role::Reader).unwrap_or(true),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied || is_shortage(&error),
    }
}

/// The folder, made for everybody if it is missing. It belongs to root or to this user: its owner
/// could exchange the lock files, which show the living readers.
pub(crate) fn ensure_folder() -> Result<Arc<Folder>> {
    let folder = Folder::walk(Path::new(names::BASE)).and_then(|base| base.ensure(names::SUBFOLDER));
    folder.map(Arc::new).map_err(|error| {
        let hint = "let root make it: sudo install -d -m 1777";
        let error = match error.kind() {
            io::ErrorKind::Other => io::Error::other(format!("{error}; {hint} {}", names::FOLDER)),
            _ => error,
        };
        Error::os("use the folder", names::FOLDER, error)
    })
}

/// The folder as it is.
pub(crate) fn folder() -> io::Result<Folder> {
    Folder::walk(Path::new(names::BASE))?.enter(names::SUBFOLDER)
}

/// Whose lock file a name has; `None` if there is none.
pub(crate) fn owner(name: &str) -> Option<u32> {
    let entry = folder().and_then(|folder| folder.entry(names::lock_file_name(name)));
    entry.ok().filter(Entry::is_plain_file).map(|entry| entry.uid)
}

/// Which file is a name's lock file now; `None` if there is none.
pub(crate) fn id(name: &str) -> Option<FileId> {
    folder().ok()?.id(&names::lock_file_name(name))
}

/// A lock file that is held.
#[derive(Debug)]
pub(crate) struct LockFile {
    presence: Presence,
    folder: Arc<Folder>,
    pub(crate) id: FileId,
    /// Whose file it is, if it was there before: somebody has used the name.
    pub(crate) found_of: Option<u32>,
}

impl LockFile {
    /// Takes the lock file of a name, making it with that mode if it is missing. A process that may
    /// use the buffer takes locks of its own on the file. `Ok(None)`: another process holds it.
    pub(crate) fn acquire(folder: &Arc<Folder>, name: &str, mode: u32) -> Result<Option<Self>> {
        let (path, file_name) = (names::lock_file(name), names::lock_file_name(name));
        let failed = |e| Error::os("lock", path.to_string_lossy(), e);
        loop {
            let (mut id, mut found_of) = (None, None);
            let open = || {
                let (file, is_new) = open_or_make(folder, &file_name, mode)?;
                let entry = Entry::of(file.as_raw_fd())?;
                (id, found_of) = (Some(entry.id), (!is_new).then_some(entry.uid));
                Ok(OwnedFd::from(file))
            };
            let presence = Presence::on(PrivateFd::open(open).map_err(failed)?);
            if !presence.try_lock(Role::Reader).map_err(failed)? {
                return Ok(None);
            }
            // A cleaner may have removed the file between opening and locking it: then the lock is
            // worth nothing.
            if let Some(id) = id.filter(|id| folder.id(&file_name) == Some(*id)) {
                return Ok(Some(Self { presence, folder: Arc::clone(folder), id, found_of }));
            }
        }
    }

    /// Puts a fresh file in the place of a predecessor's, on which a writer of its buffer may still
    /// hold locks.
    pub(crate) fn renew(self, name: &str, mode: u32) -> Result<Option<Self>> {
        if self.found_of.is_none() {
            return Ok(Some(self));
        }
        let folder = Arc::clone(&self.folder);
        self.remove(name)?;
        Self::acquire(&folder, name, mode)
    }

    /// Removes the file while it is still locked, then lets go. `Ok(false)`: it was gone.
    pub(crate) fn remove(self, name: &str) -> Result<bool> {
        self.folder.unlink_if(&names::lock_file_name(name), self.id)
    }

    pub(crate) fn into_presence(self) -> Presence {
        self.presence
    }

    pub(crate) fn presence(&self) -> &Presence {
        &self.presence
    }
}

/// The lock file that has a buffer's name now, for looking at its locks, and for taking some if
/// `write`.
pub(crate) fn open(name: &str, write: bool) -> io::Result<File> {
    folder()?.open(&names::lock_file_name(name), if write { libc::O_RDWR } else { libc::O_RDONLY })
}

/// `true`: it was made.
fn open_or_make(folder: &Folder, file_name: &str, mode: u32) -> io::Result<(File, bool)> {
    loop {
        match folder.open(file_name, libc::O_RDWR) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(|file| (file, false)),
        }
        match folder.create(file_name, libc::O_RDWR, writers_only(mode)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (file, true)),
        }
    }
}

impl Presence {
    /// Whether the buffer was replaced. A lock file that somebody removed under a living reader
    /// means nothing.
    pub(crate) fn is_unlinked(&self) -> bool {
        self.is_nameless() && !self.is_held(Role::Reader).unwrap_or(false)
    }
}
