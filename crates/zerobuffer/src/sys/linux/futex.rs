//! Sleeping until another process changes a word: `FUTEX_WAIT` and `FUTEX_WAKE` on its low half.

use std::{io, ptr, sync::atomic::AtomicU64, time::Duration};

/// Sleeps while the low half is 0, at most `timeout` on the monotonic clock. `true`: a signal has
/// ended it.
pub(crate) fn sleep(word: &AtomicU64, timeout: Duration) -> bool {
    let timeout =
        libc::timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() };
    call(word, libc::FUTEX_WAIT, 0, &raw const timeout) == Some(libc::EINTR)
}

/// Wakes one sleeper.
pub(crate) fn wake(word: &AtomicU64) {
    call(word, libc::FUTEX_WAKE, 1, ptr::null());
}

/// The error number of the call, if it failed. Relative timeouts of `FUTEX_WAIT` run on the
/// monotonic clock.
fn call(word: &AtomicU64, operation: libc::c_int, value: u32, timeout: *const libc::timespec) -> Option<i32> {
    // SAFETY: the word and the timeout outlive the call; the low half comes first on little-endian
    // machines.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout, 0, 0) };
    if result < 0 { io::Error::last_os_error().raw_os_error() } else { None }
}

#[cfg(feature = "async")]
pub(crate) use many::{Sleep, WaitSet};

/// The number of `futex_waitv`, the same on every architecture; since Linux 5.16.
const FUTEX_WAITV: libc::c_long = 449;

/// Whether kernel and sandbox have the call: without words it fails in a way of its own.
pub(crate) fn may_wait_for_many() -> bool {
    // SAFETY: without a word nothing is read.
    let result = unsafe { libc::syscall(FUTEX_WAITV, ptr::null::<u8>(), 0, 0, ptr::null::<u8>(), 0) };
    result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Waiting for several words at a time.
#[cfg(feature = "async")]
mod many {
    use std::{io, marker::PhantomData, ptr, sync::atomic::AtomicU64, time::Duration};

    use super::FUTEX_WAITV;

    /// `FUTEX2_SIZE_U32`, of a word that other processes may share.
    const SHARED_U32: u32 = 2;
    /// The kernel's limit.
    const MOST: usize = 128;
    const NO_WORD: Raw = Raw { expected: 0, address: 0, flags: SHARED_U32, reserved: 0 };

    /// The kernel's `struct futex_waitv`.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Raw {
        expected: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }

    /// Words to sleep on, each as long as its low half is what was expected.
    pub(crate) struct WaitSet<'w> {
        raws: [Raw; MOST],
        len: usize,
        words: PhantomData<&'w AtomicU64>,
    }

    /// How a sleep has ended.
    #[derive(Debug)]
    pub(crate) enum Sleep {
        /// A word was woken, or the time has passed, or a signal arrived.
        Ended,
        /// There was none: a word had changed before.
        Changed,
        /// The kernel or a sandbox does not have the call.
        Refused(io::Error),
    }

    impl<'w> WaitSet<'w> {
        /// Words of one set.
        pub(crate) const MOST: usize = MOST;

        pub(crate) fn new() -> Self {
            Self { raws: [NO_WORD; MOST], len: 0, words: PhantomData }
        }

        /// Adds a word; `false`: there is no room for it.
        pub(crate) fn push(&mut self, word: &'w AtomicU64, expected: u32) -> bool {
            let Some(place) = self.raws.get_mut(self.len) else { return false };
            // The low half comes first on little-endian machines.
            *place = Raw {
                expected: expected.into(),
                address: word.as_ptr().expose_provenance() as u64,
                ..NO_WORD
            };
            self.len += 1;
            true
        }

        /// Sleeps until one of the words is woken, at most `timeout`.
        pub(crate) fn sleep(&self, timeout: Option<Duration>) -> Sleep {
            let mut deadline = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let deadline = match timeout {
                None => ptr::null(),
                Some(timeout) => {
                    // SAFETY: the structure outlives the call.
                    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut deadline) };
                    let nanoseconds =
                        deadline.tv_nsec + libc::c_long::from(timeout.subsec_nanos().cast_signed());
                    let seconds = timeout.as_secs().try_into().unwrap_or(i64::MAX);
                    let carried = deadline.tv_sec.saturating_add(nanoseconds / 1_000_000_000);
                    deadline.tv_sec = carried.saturating_add(seconds);
                    deadline.tv_nsec = nanoseconds % 1_000_000_000;
                    &raw const deadline
                }
            };
            let (raws, len, clock) = (self.raws.as_ptr(), self.len, libc::CLOCK_MONOTONIC);
            // SAFETY: so many structures are filled in, the words outlive the borrow that they were
            // added with, and the time outlives the call.
            let result = unsafe { libc::syscall(FUTEX_WAITV, raws, len, 0, deadline, clock) };
            if result >= 0 {
                return Sleep::Ended;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EAGAIN) => Sleep::Changed,
                Some(libc::ETIMEDOUT | libc::EINTR) => Sleep::Ended,
                _ => Sleep::Refused(error),
            }
        }
    }
}
