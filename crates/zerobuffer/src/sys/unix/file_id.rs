//! What a name or a descriptor stands for.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::ffi::OsStrExt,
    },
};

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: i128,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Entry::of(file.as_raw_fd()).map(|entry| entry.id)
    }

    /// Major and minor number, as lists of the kernel name it.
    #[cfg(target_os = "linux")]
    #[cfg_attr(macos_sys, allow(dead_code, reason = "has no such lists"))]
    pub(in crate::sys) fn device(self) -> (u32, u32) {
        let device = libc::dev_t::try_from(self.device).unwrap_or_default();
        (libc::major(device), libc::minor(device))
    }

    /// As lists of the kernel name it.
    #[cfg_attr(any(target_os = "macos", macos_sys), allow(dead_code, reason = "has no such lists"))]
    pub(in crate::sys) fn inode(self) -> u64 {
        self.inode
    }
}

/// What the system says of a file.
#[derive(Clone, Copy, Debug)]
pub(in crate::sys) struct Entry {
    pub(in crate::sys) id: FileId,
    pub(in crate::sys) uid: u32,
    /// Type and permission bits.
    pub(in crate::sys) mode: u32,
    /// How many names it has.
    pub(in crate::sys) links: u64,
}

impl Entry {
    pub(in crate::sys) fn of(fd: RawFd) -> io::Result<Self> {
        // SAFETY: a zeroed `stat` is a valid out-parameter.
        let (result, stat) = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            (libc::fstat(fd, &raw mut stat), stat)
        };
        if result == 0 { Ok(Self::from(&stat)) } else { Err(io::Error::last_os_error()) }
    }

    /// What has a name in a folder; a link is not followed.
    pub(in crate::sys) fn named(folder: RawFd, name: &OsStr) -> io::Result<Self> {
        let name = CString::new(name.as_bytes())?;
        // SAFETY: as above, and the name outlives the call.
        let (result, stat) = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            (libc::fstatat(folder, name.as_ptr(), &raw mut stat, libc::AT_SYMLINK_NOFOLLOW), stat)
        };
        if result == 0 { Ok(Self::from(&stat)) } else { Err(io::Error::last_os_error()) }
    }

    #[allow(clippy::useless_conversion, reason = "the fields are narrower on macOS and aarch64")]
    fn from(stat: &libc::stat) -> Self {
        Self {
            id: FileId { device: i128::from(stat.st_dev), inode: stat.st_ino },
            uid: stat.st_uid,
            mode: u32::from(stat.st_mode),
            links: u64::from(stat.st_nlink),
        }
    }

    fn is_of_type(&self, kind: libc::mode_t) -> bool {
        #[allow(clippy::useless_conversion, reason = "as above")]
        let (mask, kind) = (u32::from(libc::S_IFMT), u32::from(kind));
        self.mode & mask == kind
    }

    pub(in crate::sys) fn is_link(&self) -> bool {
        self.is_of_type(libc::S_IFLNK)
    }

    /// A regular file that nobody can reach by a second name; one that was just removed has none.
    pub(in crate::sys) fn is_plain_file(&self) -> bool {
        self.is_of_type(libc::S_IFREG) && self.links <= 1
    }
}
