//! A buffer's segment as it is found under its name.

use super::{
    Semaphore, names,
    shm::{FOLDER, File, Mapping, folder, path},
};
use crate::{
    error::{Error, Result},
    sys::{
        Role, Signal,
        takeover::Facts,
        unix::{Folder, Presence, facts, is_held, level},
    },
};
use std::{
    io,
    os::unix::fs::{FileExt, MetadataExt},
    time::{Duration, SystemTime},
};

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

    /// What it is by itself.
    pub(super) fn facts(&self) -> Facts {
        facts(self.control(), self.size, self.is_marked(), self.changed)
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
        let (folder, file) = (Folder::of_system(FOLDER)?, names::semaphore(&self.name, Signal::Data));
        // An endpoint may attach while a legacy reader makes the file.
        if access == libc::O_RDWR { folder.open_new(&file, access) } else { folder.open(&file, access) }
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
