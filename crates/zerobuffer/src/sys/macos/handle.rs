//! An open semaphore: tokens in and out, without a time.

use crate::crash;
use std::io;

/// An open semaphore.
#[derive(Debug)]
pub(crate) struct Handle(*mut libc::sem_t);

// SAFETY: every call on a semaphore may be made from any thread; the pointer is only handed to the
// system.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// One that was just opened; nobody else closes it.
    pub(super) fn of(semaphore: *mut libc::sem_t) -> Self {
        Self(semaphore)
    }

    /// Adds a token and wakes one sleeper. A full semaphore wakes everybody as it is.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn post(&self) {
        // SAFETY: the semaphore is open as long as `self`.
        crash::around(|| unsafe { libc::sem_post(self.0) });
    }

    /// Takes a token by `call`, again after a signal if `patient`.
    #[cfg_attr(crash_points, track_caller)]
    pub(super) fn take_by(
        &self,
        call: unsafe extern "C" fn(*mut libc::sem_t) -> libc::c_int,
        patient: bool,
    ) -> bool {
        loop {
            // SAFETY: the semaphore is open as long as `self`.
            if crash::around(|| unsafe { call(self.0) }) == 0 {
                return true;
            }
            if !(patient && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted) {
                return false;
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: its opener gave it away, and nobody has it any more. A forked child closes
        // its own copy.
        unsafe { libc::sem_close(self.0) };
    }
}
