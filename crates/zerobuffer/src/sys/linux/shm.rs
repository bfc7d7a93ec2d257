//! The shared-memory folder: opening, making, naming and listing its files.

use super::{Semaphore, names};
pub(super) use crate::sys::unix::Mapping;
use crate::{
    crash,
    error::{Error, Result},
    sys::{
        Role, Signal,
        unix::{Presence, is_held, level},
    },
};
pub(super) use std::fs::File;
use std::{
    ffi::CString,
    fs::{self, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    time::{Duration, SystemTime},
};

pub(crate) const FOLDER: &str = "/dev/shm";

pub(crate) fn path(file_name: &str) -> String {
    format!("{FOLDER}/{file_name}")
}

/// Opens an existing object for reading and writing; a symbolic link is not one.
pub(crate) fn open(path: &str) -> Result<File> {
    open_with(path, true)
}

fn open_with(path: &str, write: bool) -> Result<File> {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path);
    let file = file.map_err(|e| Error::os("open", path, e))?;
    let regular = file.metadata().is_ok_and(|m| m.is_file());
    if !regular {
        return Err(Error::os("open", path, io::Error::other("it is not a regular file")));
    }
    Ok(file)
}

/// A new file without a name: nobody sees it before it is complete, and it vanishes with its maker.
pub(crate) fn unnamed() -> Result<File> {
    let flags = libc::O_TMPFILE | libc::O_CLOEXEC;
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(FOLDER)
        .map_err(|e| Error::os("make a file in", FOLDER, e))
}

/// Gives an unnamed file its name. `Ok(false)`: the name is taken.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn link(file: &File, path: &str) -> Result<bool> {
    let c_string = |text: String| CString::new(text).map_err(|e| Error::os("name", path, e.into()));
    let from = c_string(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = c_string(path.to_owned())?;
    // SAFETY: both strings outlive the call.
    let result = crash::around(|| unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    });
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        e if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        e => Err(Error::os("name", path, e)),
    }
}

/// Reserves `size` bytes, so that no page can be missing later: a full folder is an error here, never a SIGBUS (W12).
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
    let Ok(path) = CString::new(FOLDER) else { return 0 };
    // SAFETY: a zeroed `statvfs` is a valid out-parameter, and the path outlives the call.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &raw mut stat) == 0 { stat.f_bavail * stat.f_frsize } else { 0 }
    }
}

/// The file names in the folder.
pub(crate) fn entries() -> Result<Vec<String>> {
    let entries = fs::read_dir(FOLDER).map_err(|e| Error::os("list", FOLDER, e))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// A segment that exists under a name, read through the descriptor: no mapping, so no SIGBUS when it shrinks.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// When its contents, links or mode last changed.
    pub(crate) changed: SystemTime,
}

impl Segment {
    pub(crate) fn open(name: &str) -> Result<Self> {
        Self::inspect(&path(name), true)
    }

    pub(crate) fn open_read_only(name: &str) -> Result<Self> {
        Self::inspect(&path(name), false)
    }

    fn inspect(path: &str, write: bool) -> Result<Self> {
        let file = open_with(path, write)?;
        let meta = file.metadata().map_err(|e| Error::os("inspect", path, e))?;
        let changed =
            Duration::new(meta.ctime().unsigned_abs(), u32::try_from(meta.ctime_nsec()).unwrap_or(0));
        let changed = SystemTime::UNIX_EPOCH + changed;
        Ok(Self { size: meta.len(), mode: meta.mode() & 0o7777, uid: meta.uid(), changed, file })
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
        Presence::of(&self.file)
    }

    /// Whether anybody holds the role's byte.
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        is_held(&self.file, role)
    }

    /// The capability level that the role's endpoint has announced; 0 if it has not.
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        level(&self.file, role)
    }

    /// One of the two semaphores of the buffer that this is the segment of.
    #[allow(clippy::unused_self, reason = "on other systems the segment knows where they are")]
    pub(crate) fn semaphore(&self, name: &str, signal: Signal) -> Result<Semaphore> {
        Semaphore::open(&names::semaphore(name, signal))
    }

    /// The sticky bit: made by a reader of this implementation, which holds a presence lock while it lives (W8).
    pub(crate) fn is_marked(&self) -> bool {
        self.mode & 0o1000 != 0
    }
}
