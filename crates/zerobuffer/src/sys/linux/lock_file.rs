//! The lock files by which readers of all implementations exclude each other (W12, peers' two folders).

use crate::crash;
use crate::sys::unix::{FileId, fork::PrivateFd, is_shortage, try_flock, try_shared_flock, unlink_if};
use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

/// How often a lock file that was removed meanwhile is made again.
const ATTEMPTS: u32 = 100;

/// The folders, in the order of locking: that of C++ and Python, that of C#.
fn folders() -> [Vec<PathBuf>; 2] {
    let temp =
        env::var_os("TMPDIR").filter(|t| !t.is_empty()).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let theirs = temp.join("zerobuffer");
    let locks = theirs.join("locks");
    [vec![PathBuf::from("/tmp/zerobuffer")], vec![theirs, locks]]
}

/// Where the lock files of a name are.
pub(crate) fn paths(name: &str) -> Vec<PathBuf> {
    folders()
        .iter()
        .filter_map(|chain| chain.last())
        .map(|folder| folder.join(format!("{name}.lock")))
        .collect()
}

/// Whether another process holds that lock file.
pub(crate) fn is_locked(path: &Path) -> bool {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let open = || OpenOptions::new().read(true).custom_flags(flags).open(path).map(OwnedFd::from);
    // The test lock ends with the descriptor. What cannot be told counts as locked: nobody removes it then.
    match PrivateFd::open(open) {
        Ok(fd) => matches!(try_shared_flock(&fd), Ok(false)),
        Err(error) => is_shortage(&error),
    }
}

/// One held lock file.
#[derive(Debug)]
pub(crate) struct LockFile {
    _fd: PrivateFd,
    path: PathBuf,
    id: FileId,
}

/// The outcome of trying to lock a name in all folders.
pub(crate) enum Locks {
    Held(Vec<LockFile>),
    /// Another process holds one of them.
    Busy,
    /// Something has run out: whether another process holds it cannot be told.
    Short {
        path: PathBuf,
        error: io::Error,
    },
}

/// Locks the name in each folder; a folder that cannot be used (another user's, a link) is left out.
pub(crate) fn acquire(name: &str) -> Locks {
    let mut held = Vec::new();
    for chain in folders() {
        let Some(folder) = chain.last() else { continue };
        if let Err(error) = chain.iter().try_for_each(|folder| ensure_folder(folder)) {
            log::debug!(target: "zerobuffer::reader", "no lock file in {}: {error}", folder.display());
            continue;
        }
        let path = folder.join(format!("{name}.lock"));
        let refused = match LockFile::acquire(&path) {
            Ok(Some(lock)) => {
                held.push(lock);
                continue;
            }
            Ok(None) => Locks::Busy,
            Err(error) if is_shortage(&error) => Locks::Short { path, error },
            Err(error) => {
                log::debug!(target: "zerobuffer::reader", "no lock file {}: {error}", path.display());
                continue;
            }
        };
        // A failed attempt leaves nothing, not even in the folder that was locked first.
        held.into_iter().for_each(LockFile::remove);
        return refused;
    }
    Locks::Held(held)
}

/// A real folder that everybody may use: made so if it is missing, whatever the umask.
fn ensure_folder(folder: &Path) -> io::Result<()> {
    match crash::around(|| DirBuilder::new().mode(0o1777).create(folder)) {
        Ok(()) => crash::around(|| fs::set_permissions(folder, Permissions::from_mode(0o1777)))?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    if fs::symlink_metadata(folder)?.is_dir() { Ok(()) } else { Err(io::Error::other("it is not a folder")) }
}

impl LockFile {
    /// `Ok(None)`: another process holds it.
    fn acquire(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let mut id = None;
            let open = || {
                let file = open_or_make(path)?;
                id = Some(FileId::of(&file)?);
                Ok(OwnedFd::from(file))
            };
            let fd = PrivateFd::open(open)?;
            if !try_flock(&fd)? {
                return Ok(None);
            }
            // A cleaner may have removed the file between opening and locking it: then the lock is worth nothing.
            match id {
                Some(id) if FileId::named(path) == Some(id) => {
                    return Ok(Some(Self { _fd: fd, path: path.to_owned(), id }));
                }
                _ => {}
            }
        }
        Err(io::Error::other(format!("its name had another file each of {ATTEMPTS} times")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file while it is still locked, then lets go.
    pub(crate) fn remove(self) {
        // Nothing can be done about a failure, and the file is harmless without its lock.
        let _ = unlink_if(&self.path, self.id);
    }
}

/// Never `O_CREAT` on a file that exists: `fs.protected_regular` refuses that on another user's file.
fn open_or_make(path: &Path) -> io::Result<File> {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    loop {
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other.and_then(regular),
        }
        let make =
            || OpenOptions::new().write(true).create_new(true).mode(0o644).custom_flags(flags).open(path);
        match crash::around(make) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
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
