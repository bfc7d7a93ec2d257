//! The shared-memory folder: opening, making, naming and listing its files.

use super::{Semaphore, names};
pub(super) use crate::sys::unix::Mapping;
use crate::{
    crash,
    error::{Error, Result},
    sys::{
        Role, Signal,
        unix::{Folder, Presence, is_held, level},
    },
};
pub(super) use std::fs::File;
use std::{
    fs, io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    time::{Duration, SystemTime},
};

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
    folder()?.open(file_name, libc::O_RDWR).map_err(|e| Error::os("open", path(file_name), e))
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

/// A segment that exists under a name, read through the descriptor: no mapping, so no SIGBUS when
/// it shrinks.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) name: String,
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// When its contents, links or mode last changed.
    pub(crate) changed: SystemTime,
}

/// A segment that is looked into for longer.
pub(crate) type Watch = Segment;

impl Segment {
    pub(crate) fn open(name: &str) -> Result<Self> {
        Self::open_in(&folder()?, name, libc::O_RDWR)
    }

    pub(crate) fn open_read_only(name: &str) -> Result<Self> {
        Self::open_in(&folder()?, name, libc::O_RDONLY)
    }

    pub(super) fn open_in(folder: &Folder, name: &str, access: libc::c_int) -> Result<Self> {
        let path = path(name);
        let file = folder.open(name, access).map_err(|e| Error::os("open", &path, e))?;
        let meta = file.metadata().map_err(|e| Error::os("inspect", &path, e))?;
        let changed =
            Duration::new(meta.ctime().unsigned_abs(), u32::try_from(meta.ctime_nsec()).unwrap_or(0));
        let changed = SystemTime::UNIX_EPOCH + changed;
        let (size, mode, uid) = (meta.len(), meta.mode() & 0o7777, meta.uid());
        Ok(Self { name: name.to_owned(), size, mode, uid, changed, file })
    }

    /// A copy of the control block; `None` if the segment is too short to have one.
    pub(crate) fn control(&self) -> Option<[u8; 128]> {
        let mut bytes = [0; 128];
        self.file.read_exact_at(&mut bytes, 0).is_ok().then_some(bytes)
    }

    /// A copy of the bytes at `offset`.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Maps the first `len` bytes; the caller has seen that there are as many.
    pub(crate) fn map(&self, len: u64) -> io::Result<Mapping> {
        Mapping::new(&self.file, len)
    }

    /// The locks of an endpoint on this segment, none of which is taken yet.
    pub(crate) fn presence(&self) -> io::Result<Presence> {
        let presence = Presence::of(&self.file)?;
        match self.guard(libc::O_RDWR) {
            Ok(guard) => presence.with_guard(&guard),
            // Without it nobody can attach, which is found out later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(presence),
            Err(error) => Err(error),
        }
    }

    /// The file that bears the locks too, where a process that may only read the segment cannot
    /// take any.
    fn guard(&self, access: libc::c_int) -> io::Result<File> {
        Folder::of_system(FOLDER)?.open(&names::semaphore(&self.name, Signal::Data), access)
    }

    /// Whether anybody holds the role's byte. The guard is asked where it may be opened.
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        Ok(is_held(&self.file, role)?
            || self.guard(libc::O_RDONLY).is_ok_and(|guard| is_held(&guard, role).unwrap_or(false)))
    }

    /// The capability level that the role's endpoint has announced; 0 if it has not.
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        let guarded = self.guard(libc::O_RDONLY).and_then(|guard| level(&guard, role)).unwrap_or(0);
        Ok(level(&self.file, role)?.max(guarded))
    }

    /// One of the two semaphores of the buffer that this is the segment of.
    #[allow(clippy::unused_self, reason = "on other systems the segment knows where they are")]
    pub(crate) fn semaphore(&self, name: &str, signal: Signal) -> Result<Semaphore> {
        let file_name = names::semaphore(name, signal);
        let semaphore = Semaphore::open(&file_name)?;
        match folder()?.entry(&file_name) {
            // Its maker could take its memory away from under this process.
            Ok(entry) if entry.uid != self.uid && entry.uid != 0 => {
                let source = io::Error::other(format!(
                    "it belongs to user {}, and the buffer to user {}",
                    entry.uid, self.uid
                ));
                Err(Error::os("open", path(&file_name), source))
            }
            _ => Ok(semaphore),
        }
    }

    /// To look into it for longer.
    #[allow(clippy::unnecessary_wraps, reason = "other systems map it for that")]
    pub(crate) fn watch(self) -> io::Result<Watch> {
        Ok(self)
    }

    /// Whether its name was removed, or given to another segment.
    pub(crate) fn is_unlinked(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    /// The sticky bit: made by a reader of this implementation, which holds a presence lock while
    /// it lives (W8).
    pub(crate) fn is_marked(&self) -> bool {
        self.mode & 0o1000 != 0
    }
}
