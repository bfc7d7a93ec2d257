//! A writer's handle for other threads.

use super::WriterShared;
use crate::{
    error::Error,
    layout::Word,
    link::{buffer_accessors, debug_line, handle_controls},
    liveness,
    stats::WriterStats,
    sync::{Arc, Ordering},
};
use std::time::Duration;

/// Usable while another thread is blocked in a write: state, counters, and ending that write.
///
/// ```
/// # use zerobuffer::{BufferConfig, Error, Reader, Writer};
/// # let name = format!("doc-writer-handle-{}", std::process::id());
/// let reader = Reader::create(&name, BufferConfig::ring(64).metadata(0))?;
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
#[derive(Clone)]
pub struct WriterHandle(Arc<WriterShared>);

impl WriterHandle {
    pub(super) fn new(shared: Arc<WriterShared>) -> Self {
        Self(shared)
    }

    // A frame that is pending already can still be committed.
    handle_controls!();

    buffer_accessors!(0);

    /// Whether the reader is alive and still owns the buffer.
    #[must_use]
    pub fn is_reader_connected(&self) -> bool {
        self.0.is_reader_connected()
    }

    /// Whether the reader has closed the buffer: one load, for the data path. A death is not
    /// noticed.
    pub(crate) fn has_reader_closed(&self) -> bool {
        self.0.region.load(Word::ReaderPid, Ordering::Acquire) == 0
    }

    /// Why the reader is not there any more, if it is not; `patient`: it has stood still for a
    /// slice.
    pub(crate) fn reader_loss(&self, patient: bool) -> Option<Error> {
        let still_for = if patient { liveness::NEVER_SEEN } else { Duration::ZERO };
        self.0.reader_loss(still_for).map(|reason| self.0.reader_gone(reason))
    }

    /// Counters since the attach.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        self.0.counters.writer()
    }
}

debug_line!(WriterHandle, 0);
