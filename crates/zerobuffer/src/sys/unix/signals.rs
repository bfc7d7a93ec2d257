//! The library's threads and the signals of the process.

use std::{mem, ptr};

/// A signal that ends somebody's wait must not be handled in this thread instead.
pub(crate) fn block_signals() {
    // SAFETY: the set is filled before it is used; a failure leaves the mask as it was.
    unsafe {
        let mut all = mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
    }
}
