//! The lock on a folder that makes creation and removal of names one at a time (W12).

use super::{folder::Folder, fork::PrivateFd, holder, try_flock};
use crate::error::{Error, Result};
use std::{
    io, thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Held: no other process of this implementation creates or removes a buffer.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _fd: PrivateFd,
}

impl DirectoryLock {
    /// Waits for other creators, 5 s at most. The error says who holds the lock, where that can be
    /// known.
    pub(in crate::sys) fn acquire(folder: &Folder) -> Result<Self> {
        let path = || folder.path().display().to_string();
        let fd = PrivateFd::open(|| folder.reopen()).map_err(|e| Error::os("open", path(), e))?;
        let deadline = Instant::now() + PATIENCE;
        while !try_flock(&fd).map_err(|e| Error::os("lock", path(), e))? {
            if Instant::now() >= deadline {
                let who = holder::of(&fd).map_or_else(|| "another process".to_owned(), |h| h.to_string());
                let source = io::Error::other(format!(
                    "{who} has held its lock for {PATIENCE:?}; every creation waits for that process, so end it"
                ));
                return Err(Error::os("lock", path(), source));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { _fd: fd })
    }

    /// For who can do without it: `None` if somebody else has it, or if it cannot be had.
    pub(in crate::sys) fn try_acquire(folder: &Folder) -> Option<Self> {
        let fd = PrivateFd::open(|| folder.reopen()).ok()?;
        matches!(try_flock(&fd), Ok(true)).then_some(Self { _fd: fd })
    }
}
