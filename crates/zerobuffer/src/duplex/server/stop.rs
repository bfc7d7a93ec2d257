//! How far a server has been asked to stop.

use std::sync::atomic::{AtomicU8, Ordering};

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// Handle what has been sent, then end.
    Drain = 1,
    /// Take no further request.
    Now = 2,
}

/// The strongest request so far, for all threads that wait for something.
#[derive(Debug, Default)]
pub(super) struct StopFlag(AtomicU8);

impl StopFlag {
    pub(super) fn ask(&self, how: Stop) {
        self.0.fetch_max(how as u8, Ordering::SeqCst);
    }

    pub(super) fn is_asked(&self, how: Stop) -> bool {
        self.0.load(Ordering::Acquire) >= how as u8
    }
}
