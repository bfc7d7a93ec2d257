//! The lock files by which readers of all implementations exclude each other (W12, peers' two
//! folders).

use super::check_name;
use crate::sys::unix::{
    Entry, FileId, Folder, Holder, fork::PrivateFd, holder_of, is_shortage, try_flock, try_shared_flock,
};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// How often a lock file that was removed meanwhile is made again.
const ATTEMPTS: u32 = 100;
/// Everybody may open a lock file, and lock it.
const MODE: u32 = 0o644;

/// Where one implementation has its lock files: a folder that is there, and the ones that are made
/// below it.
struct Place {
    base: PathBuf,
    below: &'static [&'static str],
}

impl Place {
    /// In the order of locking: that of C++ and Python, that of C#.
    fn all() -> [Self; 2] {
        let named = env::var_os("TMPDIR").filter(|name| !name.is_empty());
        let temp = PathBuf::from(named.unwrap_or_else(|| OsString::from("/tmp")));
        [
            Self { base: "/tmp".into(), below: &["zerobuffer"] },
            Self { base: std::path::absolute(&temp).unwrap_or(temp), below: &["zerobuffer", "locks"] },
        ]
    }

    fn path(&self) -> PathBuf {
        self.below.iter().fold(self.base.clone(), |path, name| path.join(name))
    }

    fn open(&self) -> io::Result<Folder> {
        self.below.iter().try_fold(Folder::walk(&self.base)?, |folder, name| folder.enter(name))
    }

    fn ensure(&self) -> io::Result<Folder> {
        self.below.iter().try_fold(Folder::walk(&self.base)?, |folder, name| folder.ensure(name))
    }
}

fn file_name(name: &str) -> String {
    format!("{name}.lock")
}

/// Where the lock files of a name are.
pub(crate) fn paths(name: &str) -> Vec<PathBuf> {
    Place::all().iter().map(|place| place.path().join(file_name(name))).collect()
}

/// The names that have a lock file.
pub(super) fn names() -> Vec<String> {
    let entries = Place::all().into_iter().filter_map(|place| fs::read_dir(place.path()).ok());
    let files = entries.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let names = files.filter_map(|file| file.strip_suffix(".lock").map(str::to_owned));
    names.filter(|name| check_name(name).is_ok()).collect()
}

/// Whose lock files of that name there are.
pub(super) fn owners(name: &str) -> Vec<u32> {
    let file = file_name(name);
    let entries = Place::all().map(|place| place.open().and_then(|folder| folder.entry(&file)));
    entries.into_iter().flatten().filter(Entry::is_plain_file).map(|entry| entry.uid).collect()
}

/// Whether another process holds a lock file of that name. What cannot be looked at is not free.
pub(crate) fn is_locked(name: &str) -> bool {
    Place::all().iter().any(|place| match place.open() {
        Ok(folder) => is_locked_in(&folder, &file_name(name)),
        Err(error) => is_shortage(&error),
    })
}

fn is_locked_in(folder: &Folder, file: &str) -> bool {
    // The test lock ends with the descriptor.
    match PrivateFd::open(|| folder.open(file, libc::O_RDONLY).map(OwnedFd::from)) {
        Ok(fd) => matches!(try_shared_flock(&fd), Ok(false)),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied || is_shortage(&error),
    }
}

/// One held lock file, and the folder that it lies in.
#[derive(Debug)]
pub(crate) struct LockFile {
    _fd: PrivateFd,
    folder: Arc<Folder>,
    file: String,
    id: FileId,
    /// Whose file it is, if it was there before: somebody has used the name.
    pub(crate) found_of: Option<u32>,
}

/// The outcome of trying to lock a name in all folders.
pub(crate) enum Locks {
    Held(Vec<LockFile>),
    /// Another process holds one of them: which one, where that can be known.
    Busy(Option<Holder>),
    /// Whether another process holds it is unknown: something has run out, or it must not be
    /// opened.
    Unknown {
        path: PathBuf,
        error: io::Error,
    },
}

/// Locks the name in each folder. A folder that cannot be used is left out: another user's, or a
/// link.
pub(crate) fn acquire(name: &str) -> Locks {
    let file = file_name(name);
    let mut held = Vec::new();
    for place in Place::all() {
        let path = place.path();
        let refused = match place.ensure().map(Arc::new) {
            Ok(folder) => match LockFile::acquire(&folder, &file) {
                Ok(Ok(lock)) => {
                    held.push(lock);
                    continue;
                }
                Ok(Err(holder)) => Locks::Busy(holder),
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied && folder.id(&file).is_none() =>
                {
                    // It is not there and cannot be made: nobody holds it.
                    left_out(&path, &error);
                    continue;
                }
                Err(error) if is_shortage(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
                    Locks::Unknown { path: path.join(&file), error }
                }
                Err(error) => {
                    left_out(&path.join(&file), &error);
                    continue;
                }
            },
            Err(error) if is_shortage(&error) => Locks::Unknown { path, error },
            Err(error) => {
                left_out(&path, &error);
                continue;
            }
        };
        // A failed attempt leaves all as it was. A file that was there proves that the name was
        // used: a later attempt may need that.
        held.into_iter().filter(|lock| lock.found_of.is_none()).for_each(LockFile::remove);
        return refused;
    }
    Locks::Held(held)
}

/// Exclusion between readers of this implementation does not depend on lock files.
fn left_out(path: &Path, error: &io::Error) {
    warn_once(path, || {
        format!(
            "no lock file in {}: {error}; readers of other implementations are not kept out there",
            path.display()
        )
    });
}

/// Says once per process what is left out at a path.
fn warn_once(path: &Path, message: impl FnOnce() -> String) {
    static SAID: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    // No more is remembered than a program can name.
    const MANY: usize = 64;
    // Only tried: a fork may have left it locked for ever.
    let is_new = SAID.try_lock().is_ok_and(|mut said| {
        let is_new = said.len() < MANY && !said.iter().any(|known| known == path);
        if is_new {
            said.push(path.to_owned());
        }
        is_new
    });
    let message = message();
    if is_new {
        log::warn!(target: "zerobuffer::reader", "{message}");
    } else {
        log::debug!(target: "zerobuffer::reader", "{message}");
    }
}

impl LockFile {
    /// `Ok(Err(..))`: another process holds it.
    fn acquire(folder: &Arc<Folder>, file: &str) -> io::Result<Result<Self, Option<Holder>>> {
        for _ in 0..ATTEMPTS {
            let (mut id, mut found_of) = (None, None);
            let open = || {
                let (opened, is_new) = open_or_make(folder, file)?;
                let entry = Entry::of(opened.as_raw_fd())?;
                (id, found_of) = (Some(entry.id), (!is_new).then_some(entry.uid));
                Ok(OwnedFd::from(opened))
            };
            let fd = PrivateFd::open(open)?;
            if !try_flock(&fd)? {
                return Ok(Err(holder_of(&fd)));
            }
            // A cleaner may have removed the file between opening and locking it: then the lock is
            // worth nothing.
            if let Some(id) = id.filter(|id| folder.id(file) == Some(*id)) {
                let (folder, file) = (Arc::clone(folder), file.to_owned());
                return Ok(Ok(Self { _fd: fd, folder, file, id, found_of }));
            }
        }
        Err(io::Error::other(format!("its name had another file each of {ATTEMPTS} times")))
    }

    /// Whether the name still is this file's: cleaners of other implementations remove what they
    /// find unlocked.
    pub(crate) fn has_its_name(&self) -> bool {
        self.folder.id(&self.file) == Some(self.id)
    }

    /// Removes the file while it is still locked, then lets go.
    pub(crate) fn remove(self) {
        // Nothing can be done about a failure, and the file is harmless without its lock.
        let _ = self.folder.unlink_if(&self.file, self.id);
    }
}

/// Never `O_CREAT` on a file that exists: `fs.protected_regular` refuses that on another user's
/// file. `true`: made.
fn open_or_make(folder: &Folder, file: &str) -> io::Result<(File, bool)> {
    loop {
        match folder.open(file, libc::O_RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(|file| (file, false)),
        }
        match folder.create(file, libc::O_WRONLY, MODE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (file, true)),
        }
    }
}
