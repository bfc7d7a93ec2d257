//! Where the presence locks lie (W8): on the segment, by a description of their own.

use crate::sys::unix::{Presence, fork::PrivateFd};
use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

impl Presence {
    /// A description of its own for the file that `file` refers to; an error that
    /// [`is_shortage`](crate::sys::is_shortage) is the caller's to report.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        reopened(file).map(Self::on)
    }

    /// The same with the data semaphore of the buffer as its guard.
    pub(crate) fn with_guard(self, semaphore: &File) -> io::Result<Self> {
        Ok(self.guarded_by(reopened(semaphore)?))
    }

    /// Whether the segment has lost its name: its reader closed, or someone replaced it.
    pub(crate) fn is_unlinked(&self) -> bool {
        self.is_nameless()
    }
}

fn reopened(file: &File) -> io::Result<PrivateFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    PrivateFd::open(|| {
        let options = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path);
        options.map(OwnedFd::from)
    })
}
