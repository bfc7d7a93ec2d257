//! A reader's handle for other threads.

use super::{Metadata, ReaderShared};
use crate::{
    error::Result,
    link::Keepalive,
    stats::ReaderStats,
    sync::{Arc, Counted, Ordering},
};

/// Usable while another thread is blocked in a read: state, counters, and ending that read.
///
/// ```
/// # use zerobuffer::{BufferConfig, Error, Reader};
/// # let name = format!("doc-handle-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::default())?;
/// let handle = reader.handle();
/// let blocked = std::thread::spawn(move || reader.read().map(drop));
/// handle.interrupt();
/// assert!(matches!(blocked.join(), Ok(Err(Error::Closed { .. }))));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReaderHandle(Arc<Counted<ReaderShared>>);

impl ReaderHandle {
    pub(super) fn new(shared: Arc<Counted<ReaderShared>>) -> Self {
        Self(shared)
    }

    /// Ends the blocked call and all later ones with [`Error::Closed`](crate::Error::Closed). The buffer stays until the
    /// reader is closed or dropped.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// Whether [`Self::interrupt`] was called.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Acquire)
    }

    /// Whether a live writer is attached.
    #[must_use]
    pub fn is_writer_connected(&self) -> bool {
        self.0.is_writer_connected()
    }

    /// Makes room for the metadata of the next writer (D7). A writer of ours that is attached already has done that.
    /// With another one, the present metadata are its predecessor's if they are `known` to be.
    pub(crate) fn renew_metadata(&self, known: bool) {
        self.0.renew_metadata(known);
    }

    /// Whether this is a forked child, in which the endpoint cannot be used.
    pub(crate) fn is_forked(&self) -> bool {
        self.0.birth.is_forked()
    }

    /// Counters since the creation.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.0.counters.reader()
    }

    /// The share of the ring that is in use, 0.0 to 1.0.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.0.region.utilization()
    }

    /// The metadata, as [`Reader::metadata`](crate::Reader::metadata).
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        Metadata::read(&self.0)
    }

    /// Keeps the mapping alive, for bindings that hand out views.
    #[must_use]
    pub fn keep_alive(&self) -> Keepalive {
        Keepalive::new(Arc::clone(&self.0))
    }

    /// The buffer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.0.region.capacity()
    }

    /// Bytes of the metadata block.
    #[must_use]
    pub fn metadata_capacity(&self) -> u64 {
        self.0.region.metadata_capacity()
    }
}
