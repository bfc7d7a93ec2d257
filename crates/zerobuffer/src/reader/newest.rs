//! A reader that always has the newest frame: a thread takes the frames out of the ring and keeps
//! the last one.

mod drain;
mod frame;
mod handle;
mod shared;

pub use frame::NewestFrame;
pub use handle::NewestHandle;

use super::{Metadata, Reader};
#[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
use crate::link::reactor::EventFd;
use crate::{
    config::BufferConfig,
    error::{Error, Result},
    link::Patience,
    stats::ReaderStats,
    sys,
};
use shared::Shared;
use std::{
    fmt, mem,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

/// The reading endpoint for a consumer that is slower than its writer, and wants the newest frame
/// only.
///
/// A thread of this library takes every frame out of the ring as it comes, and keeps the newest
/// one there. A call copies that frame into private memory and returns its space. So a consumer
/// may hold a frame for as long as it likes, and never stops the writer. A frame in hand was the
/// newest one when the call began. It is younger than the time between two frames plus the time
/// of that copy. Each frame is handed out once, and [`NewestFrame::skipped`] says how many were
/// passed over before it.
///
/// The ring has room for three frames at least: one is kept, one is read, one is written. A frame
/// that is too large for that is [`Error::RingTooSmall`].
///
/// ```
/// use std::{thread::sleep, time::Duration};
/// use zerobuffer::{BufferConfig, Newest, Writer};
///
/// let name = format!("doc-newest-{}", std::process::id());
/// let mut newest = Newest::create(&name, BufferConfig::ring(3 * 1024))?;
/// let mut writer = Writer::connect(&name)?;
/// for number in 0..100_u8 {
///     writer.write(&[number; 1000])?; // never waits for a slow consumer
/// }
/// writer.close()?;
/// let mut handed_out = 0;
/// loop {
///     match newest.read() {
///         Ok(frame) => handed_out += 1 + frame.skipped(),
///         Err(zerobuffer::Error::WriterGone { .. }) => break,
///         Err(error) => return Err(error),
///     }
/// }
/// assert_eq!(handed_out, 100);
/// # Ok::<(), zerobuffer::Error>(())
/// ```
pub struct Newest {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Reader>>,
}

impl Newest {
    /// Creates the buffer `name` and starts the thread.
    ///
    /// # Errors
    ///
    /// As [`Reader::create`]; [`Error::Os`] if the thread cannot be started.
    pub fn create(name: &str, config: BufferConfig) -> Result<Self> {
        Self::of(Reader::create(name, config)?)
    }

    /// Takes a reader over and starts the thread.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the thread cannot be started; the buffer is then closed.
    pub fn of(reader: Reader) -> Result<Self> {
        let shared = Arc::new(Shared::new(reader.handle()));
        let draining = Arc::clone(&shared);
        // A name has at most 15 bytes on Linux.
        let run = move || {
            sys::block_signals();
            drain::drain(reader, &draining)
        };
        let started = Builder::new()
            .name("zb-newest".to_owned())
            .spawn(run)
            .map_err(|source| Error::os("start", "the thread that keeps the newest frame", source));
        started.map(|thread| Self { shared, thread: Some(thread) })
    }

    /// The newest frame that was not handed out yet, if there is one; never waits.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn try_read(&mut self) -> Result<Option<NewestFrame>> {
        self.shared.try_take()
    }

    /// A descriptor for an event loop, as [`Reader::event_fd`]. It is readable when
    /// [`Self::try_read`] has something to say.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if there can be no further descriptor.
    #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
    pub fn event_fd(&mut self) -> Result<EventFd> {
        self.shared.event()
    }

    /// The newest frame that was not handed out yet; waits for one for ever.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn read(&mut self) -> Result<NewestFrame> {
        loop {
            if let Some(frame) = self.shared.take(&mut Patience::forever())? {
                return Ok(frame);
            }
        }
    }

    /// The newest frame that was not handed out yet, or `None` when `timeout` has passed without
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::RingTooSmall`] in place of a frame of which the ring does not hold three. Else as
    /// [`Reader::read_timeout`]; [`Error::Limited`] if this process has no memory for the copy.
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<NewestFrame>> {
        self.shared.take(&mut Patience::at_most(timeout))
    }

    /// The newest frame that was not handed out yet, or `None` when the patience has ended without
    /// one.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn read_with(&mut self, patience: &mut Patience<'_>) -> Result<Option<NewestFrame>> {
        self.shared.take(patience)
    }

    /// The metadata, as [`Reader::metadata`].
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        self.shared.reader.metadata()
    }

    /// Whether a live writer is attached.
    #[must_use]
    pub fn is_writer_connected(&self) -> bool {
        self.shared.reader.is_writer_connected()
    }

    /// Counters since the creation. Frames that were passed over are `skipped`.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.shared.stats()
    }

    /// The buffer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.reader.name()
    }

    /// A handle for other threads: state, counters, and ending a blocked call.
    #[must_use]
    pub fn handle(&self) -> NewestHandle {
        NewestHandle::new(Arc::clone(&self.shared))
    }

    /// Ends the thread and closes the buffer as [`Reader::close`]. Frames stay readable.
    ///
    /// # Errors
    ///
    /// As [`Reader::close`].
    pub fn close(mut self) -> Result<()> {
        self.end().map_or(Ok(()), Reader::close)
    }

    fn end(&mut self) -> Option<Reader> {
        let thread = self.thread.take()?;
        if self.shared.reader.is_forked() {
            // The thread is the parent's, and so is the reader.
            mem::forget(thread);
            return None;
        }
        self.shared.interrupt();
        let reader = thread.join().ok();
        self.shared.let_go();
        reader
    }
}

impl Drop for Newest {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl fmt::Debug for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Newest").field("name", &self.name()).finish_non_exhaustive()
    }
}
