//! A reader's handle for other threads.

use super::{Metadata, ReaderShared};
use crate::{
    error::Result,
    layout::{NativeWord, Word},
    link::{Keepalive, buffer_accessors, debug_line, handle_controls},
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
#[derive(Clone)]
pub struct ReaderHandle(Arc<Counted<ReaderShared>>);

impl ReaderHandle {
    pub(super) fn new(shared: Arc<Counted<ReaderShared>>) -> Self {
        Self(shared)
    }

    handle_controls!();

    buffer_accessors!(0);

    /// Whether a live writer is attached.
    #[must_use]
    pub fn is_writer_connected(&self) -> bool {
        self.0.is_writer_connected()
    }

    /// Takes a legacy writer's metadata out of the buffer (D7): see
    /// [`ReaderShared::keep_metadata`].
    pub(crate) fn keep_metadata(&self, metadata: &Metadata) {
        self.0.keep_metadata(metadata);
    }

    /// Forgets what was taken out so.
    pub(crate) fn forget_metadata(&self) {
        self.0.forget_metadata();
    }

    /// Makes room for the metadata of the next writer (D7). A native writer that is attached
    /// already has done that. With another one, the present metadata are its predecessor's if they
    /// are `known` to be.
    pub(crate) fn renew_metadata(&self, known: bool) {
        self.0.renew_metadata(known);
    }

    /// Counters since the creation.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.0.counters.reader()
    }

    /// The metadata, as [`Reader::metadata`](crate::Reader::metadata).
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        self.0.shown_metadata()
    }

    /// The metadata, if the ring is in native form. There a successor may replace them at any time,
    /// so they are looked at before it is asked whether [the sender has left](Self::has_sender_left).
    pub(crate) fn native_metadata(&self) -> Option<Result<Option<Metadata>>> {
        self.0.region.is_native().then(|| self.metadata())
    }

    /// Whether the writer of frame `sequence` leaves or has left, while one is registered. This is
    /// known of a ring in native form alone: there nobody counts below the number that the last
    /// one has left.
    pub(crate) fn has_sender_left(&self, sequence: u64) -> bool {
        let region = &self.0.region;
        // The registration first: a registered writer has found the number of its predecessor.
        region.is_native()
            && region.load(Word::WriterPid, Ordering::Acquire) != 0
            && sequence < region.native_load(NativeWord::NEXT, Ordering::Acquire)
    }

    /// Keeps the mapping alive, for bindings that hand out views.
    #[doc(hidden)]
    #[must_use]
    pub fn keep_alive(&self) -> Keepalive {
        Keepalive::new(Arc::clone(&self.0))
    }
}

debug_line!(ReaderHandle, 0);
