//! The whole-file lock.

use crate::crash;
use std::{io, os::fd::AsRawFd};

/// Tries to take it. `Ok(false)`: another description holds it.
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
