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
