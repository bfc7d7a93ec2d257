//! A handle of a [`Broadcaster`](super::Broadcaster) for other threads.

use super::{BroadcastStats, Subscriber, shared::Shared};
use crate::{error::Result, link::Patience};
use std::{fmt, sync::Arc, time::Duration};

/// Usable while another thread is blocked in a write: subscribers, counters, and ending that write.
#[derive(Clone)]
pub struct BroadcasterHandle(Arc<Shared>);

impl BroadcasterHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Ends the blocked call with [`Error::Closed`](crate::Error::Closed), and each later one.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// As [`Broadcaster::wait_for_subscribers`](super::Broadcaster::wait_for_subscribers).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Forked`](crate::Error::Forked).
    pub fn wait_for_subscribers(&self, count: usize, timeout: Duration) -> Result<bool> {
        self.0.wait_for_subscribers(count, &mut Patience::at_most(timeout))
    }

    /// As [`Broadcaster::subscribers`](super::Broadcaster::subscribers).
    #[must_use]
    pub fn subscribers(&self) -> Vec<Subscriber> {
        self.0.subscribers()
    }

    /// As [`Broadcaster::stats`](super::Broadcaster::stats).
    #[must_use]
    pub fn stats(&self) -> BroadcastStats {
        self.0.stats()
    }

    /// The name of the broadcast.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl fmt::Debug for BroadcasterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcasterHandle").field("name", &self.name()).finish_non_exhaustive()
    }
}
