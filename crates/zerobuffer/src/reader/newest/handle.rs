//! A handle of a [`Newest`](super::Newest) for other threads.

use super::{super::Metadata, shared::Shared};
use crate::{error::Result, stats::ReaderStats};
use std::{fmt, sync::Arc};

/// Usable while another thread is blocked in a read: state, counters, and ending that read.
#[derive(Clone)]
pub struct NewestHandle(Arc<Shared>);

impl NewestHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Ends the thread, and the blocked call with [`Error::Closed`](crate::Error::Closed), as each
    /// later one. The buffer stays until its [`Newest`](super::Newest) is closed or dropped.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// The buffer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.reader.name()
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.0.reader.capacity()
    }

    /// The share of the ring that is in use, 0.0 to 1.0: the newest frame, and what comes.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.0.reader.utilization()
    }

    /// Whether a live writer is attached.
    #[must_use]
    pub fn is_writer_connected(&self) -> bool {
        self.0.reader.is_writer_connected()
    }

    /// Counters since the creation.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.0.stats()
    }

    /// The metadata, as [`Reader::metadata`](crate::Reader::metadata).
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        self.0.reader.metadata()
    }
}

impl fmt::Debug for NewestHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewestHandle").field("name", &self.name()).finish_non_exhaustive()
    }
}
