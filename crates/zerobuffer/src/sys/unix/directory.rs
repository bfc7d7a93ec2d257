//! The lock on a folder that makes creation and removal of names one at a time (W12).

use super::{fork::PrivateFd, try_flock};
use crate::error::{Error, Result};
use std::{
    fs::OpenOptions,
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
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
    pub(crate) fn acquire(folder: &str) -> Result<Self> {
        let open = || {
            let flags = libc::O_CLOEXEC | libc::O_DIRECTORY;
            OpenOptions::new().read(true).custom_flags(flags).open(folder).map(OwnedFd::from)
        };
        let fd = PrivateFd::open(open).map_err(|e| Error::os("open", folder, e))?;
        let deadline = Instant::now() + PATIENCE;
        while !try_flock(&fd).map_err(|e| Error::os("lock", folder, e))? {
            if Instant::now() >= deadline {
                let source = io::Error::other(format!("another process has held its lock for {PATIENCE:?}"));
                return Err(Error::os("lock", folder, source));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { _fd: fd })
    }
}
