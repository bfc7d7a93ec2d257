//! Presence (W8): "this endpoint lives" as a lock that the kernel drops when its process ends.
//!
//! Byte-range locks of an open file description, visible across users and pid namespaces: on Linux
//! of the segment itself, on macOS of the lock file. The description is never mapped, since a
//! mapping would keep it, and with it the lock, alive.

use super::fork::PrivateFd;
use crate::{crash, sys::Role};
use std::{io, os::fd::AsRawFd};

// The C libraries disagree about the type of these numbers, not about that of the field.
const LOCK: libc::c_short = libc::F_WRLCK as libc::c_short;
const READ: libc::c_short = libc::F_RDLCK as libc::c_short;
const FREE: libc::c_short = libc::F_UNLCK as libc::c_short;

/// Where an endpoint's capability level is announced, by the length of a further lock.
const LEVEL_SPAN: i64 = 64;

/// The locks of one endpoint on one segment, released when this is dropped.
///
/// A process that may only read the segment can put *read* locks on it. They say nothing, and must
/// not keep out a writer. So a writer takes its locks on the guard first. Only processes that may
/// write to the segment can open that file.
#[derive(Debug)]
pub(crate) struct Presence {
    fd: PrivateFd,
    guard: Option<PrivateFd>,
}

/// Whether something has run out for the moment. That says nothing about the file or its system,
/// and must not be taken for locks that do not work there.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

impl Presence {
    /// The locks of a descriptor, which nothing else may use or map.
    pub(in crate::sys) fn on(fd: PrivateFd) -> Self {
        Self { fd, guard: None }
    }

    /// The same with a file that decides where the locks of the first one cannot be had.
    #[cfg_attr(
        any(target_os = "macos", macos_sys),
        allow(dead_code, reason = "the lock file needs no guard")
    )]
    pub(in crate::sys) fn guarded_by(self, guard: PrivateFd) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Takes a role's byte, unless another description holds it.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn try_lock(&self, role: Role) -> io::Result<bool> {
        self.take(role as i64, 1)
    }

    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn unlock(&self, role: Role) -> io::Result<()> {
        set(&self.fd, FREE, role as i64, 1)?;
        match &self.guard {
            Some(guard) => set(guard, FREE, role as i64, 1).map(drop),
            None => Ok(()),
        }
    }

    /// Whether another description holds the role's byte.
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        Ok(is_held(&self.fd, role)? || self.guard.as_ref().map_or(Ok(false), |guard| is_held(guard, role))?)
    }

    /// Announces the capability level of this endpoint. `Ok(false)`: that of another one is still
    /// announced.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn announce(&self, role: Role, level: u8) -> io::Result<bool> {
        self.take(level_start(role), level.into())
    }

    /// The level that the other endpoint has announced; 0 if it has not.
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        let guarded = self.guard.as_ref().map_or(Ok(0), |guard| level(guard, role))?;
        Ok(level(&self.fd, role)?.max(guarded))
    }

    /// Takes a range of both files, or of neither.
    #[cfg_attr(crash_points, track_caller)]
    fn take(&self, start: i64, len: i64) -> io::Result<bool> {
        if let Some(guard) = &self.guard
            && !set(guard, LOCK, start, len)?
        {
            return Ok(false);
        }
        let taken = set(&self.fd, LOCK, start, len)
            // If only read locks are in the way, it is free: the guard, or the locks of creation,
            // keep others out.
            .and_then(|taken| Ok(taken || conflicting(&self.fd, start, len)?.is_none()));
        if let Some(guard) = &self.guard
            && !matches!(taken, Ok(true))
        {
            set(guard, FREE, start, len)?;
        }
        taken
    }

    /// Whether the file has lost its name.
    pub(in crate::sys) fn is_nameless(&self) -> bool {
        // SAFETY: a zeroed `stat` is a valid out-parameter, and the descriptor is open.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            libc::fstat(self.fd.as_raw_fd(), &raw mut stat) == 0 && stat.st_nlink == 0
        }
    }
}

#[cfg_attr(crash_points, track_caller)]
fn set(fd: &PrivateFd, kind: libc::c_short, start: i64, len: i64) -> io::Result<bool> {
    let lock = range(kind, start, len);
    // SAFETY: the descriptor is open and the structure outlives the call.
    let set = || unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if crash::around(set) == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// [`Presence::is_held`] for an observer that must not open the segment for writing.
pub(crate) fn is_held(fd: &impl AsRawFd, role: Role) -> io::Result<bool> {
    Ok(conflicting(fd, role as i64, 1)?.is_some())
}

/// [`Presence::level`] for an observer.
pub(crate) fn level(fd: &impl AsRawFd, role: Role) -> io::Result<u8> {
    let len = conflicting(fd, level_start(role), LEVEL_SPAN)?.unwrap_or(0);
    // A length of 0 means "to the end of the file", which no endpoint announces.
    Ok(u8::try_from(len).unwrap_or(0))
}

fn level_start(role: Role) -> i64 {
    if role == Role::Reader { 64 } else { 128 }
}

/// The length of the first lock in the range that another description holds for writing. It is
/// asked for a read lock. Others' read locks do not conflict with that, and a process that may read
/// the file can have one.
fn conflicting(fd: &impl AsRawFd, start: i64, len: i64) -> io::Result<Option<i64>> {
    // The guard that `attacks/` takes out to show that its attack works.
    let asked = if cfg!(unguarded = "s6") { LOCK } else { READ };
    let mut lock = range(asked, start, len);
    // SAFETY: the descriptor is open and the structure outlives the call.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((lock.l_type != FREE).then_some(lock.l_len))
}

fn range(kind: libc::c_short, start: i64, len: i64) -> libc::flock {
    // SAFETY: a zeroed `flock` is valid; `l_pid` must be 0 for these locks.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = len;
    lock
}
