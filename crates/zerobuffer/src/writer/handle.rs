//! A writer's handle for other threads.

use super::WriterShared;
use crate::{
    error::Error,
    layout::Word,
    stats::WriterStats,
    sync::{Arc, Ordering},
};

/// Usable while another thread is blocked in a write: state, counters, and ending that write.
///
/// ```
/// # use zerobuffer::{BufferConfig, Error, Reader, Writer};
/// # let name = format!("doc-writer-handle-{}", std::process::id());
/// let reader = Reader::create(&name, BufferConfig::new(0, 64))?;
/// let mut writer = Writer::connect(&name)?;
/// let handle = writer.handle();
/// // The second frame finds the ring full.
/// let blocked = std::thread::spawn(move || writer.write(&[1; 48]).and(writer.write(&[2; 48])));
/// while handle.stats().frames < 1 {}
/// handle.interrupt();
/// assert!(matches!(blocked.join(), Ok(Err(Error::Closed { .. }))));
/// assert_eq!(handle.utilization(), 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WriterHandle(Arc<WriterShared>);

impl WriterHandle {
    pub(super) fn new(shared: Arc<WriterShared>) -> Self {
        Self(shared)
    }

    /// Ends the blocked call and all later ones with [`Error::Closed`](crate::Error::Closed), except that a frame which
    /// is pending already can still be committed. The writer stays attached until it is closed or dropped.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// Whether [`Self::interrupt`] was called.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Acquire)
    }

    /// Whether the reader is alive and still owns the buffer.
    #[must_use]
    pub fn is_reader_connected(&self) -> bool {
        self.0.is_reader_connected()
    }

    /// Whether the reader has closed the buffer: one load, for the data path. A death is not noticed.
    pub(crate) fn has_reader_closed(&self) -> bool {
        self.0.region.load(Word::ReaderPid, Ordering::Acquire) == 0
    }

    /// Why the reader is not there any more, if it is not; `patient`: it has stood still for a slice.
    pub(crate) fn reader_loss(&self, patient: bool) -> Option<Error> {
        let loss = self.0.reader_loss().filter(|loss| patient || loss.certain)?;
        Some(self.0.reader_gone(loss.reason))
    }

    /// Whether this is a forked child, in which the endpoint cannot be used.
    pub(crate) fn is_forked(&self) -> bool {
        self.0.birth.is_forked()
    }

    /// Counters since the attach.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        self.0.counters.writer()
    }

    /// The share of the ring that is in use, 0.0 to 1.0.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.0.region.utilization()
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
