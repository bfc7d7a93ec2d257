//! The lock on the shared-memory folder that makes creation and removal of names one at a time (W12).

use super::{fork::PrivateFd, shm};
use crate::{
    crash,
    error::{Error, Result},
};
use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Held: no other process of this implementation creates or removes a buffer.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _fd: PrivateFd,
}

impl DirectoryLock {
    pub(crate) fn acquire() -> Result<Self> {
        let open = || {
            let flags = libc::O_CLOEXEC | libc::O_DIRECTORY;
            OpenOptions::new().read(true).custom_flags(flags).open(shm::FOLDER).map(OwnedFd::from)
        };
        let fd = PrivateFd::open(open).map_err(|e| Error::os("open", shm::FOLDER, e))?;
        let deadline = Instant::now() + PATIENCE;
        while !try_flock(&fd).map_err(|e| Error::os("lock", shm::FOLDER, e))? {
            if Instant::now() >= deadline {
                let source = io::Error::other(format!("another process has held its lock for {PATIENCE:?}"));
                return Err(Error::os("lock", shm::FOLDER, source));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { _fd: fd })
    }
}

/// Tries to take the whole-file lock. `Ok(false)`: another description holds it.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn try_flock(fd: &impl AsRawFd) -> io::Result<bool> {
    loop {
        // SAFETY: the descriptor is open.
        let lock = || unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if crash::around(lock) == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            e if e.kind() == io::ErrorKind::Interrupted => {}
            e => return Err(e),
        }
    }
}
