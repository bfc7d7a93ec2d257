//! The reading endpoint: creates a buffer, owns it, takes frames out of it.

mod announced;
mod frame;
mod frames;
#[cfg(feature = "async")]
mod future;
mod handle;
mod metadata;
mod mode;
mod names;
#[cfg(not(any(loom, shuttle)))]
mod newest;
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
mod select;
mod shared;
mod shown;
#[cfg(feature = "stream")]
mod stream;
mod take;
mod wait;
mod watch;

pub use frame::{Frame, Latest};
pub use frames::Frames;
pub use handle::ReaderHandle;
pub use metadata::Metadata;
#[cfg(not(any(loom, shuttle)))]
pub use newest::{Newest, NewestFrame, NewestHandle};
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
pub use select::{Select, wait_any};
pub(crate) use shared::ReaderShared;
#[cfg(feature = "stream")]
pub use stream::FrameStream;

#[cfg(feature = "async")]
use crate::link::reactor::Waits;
use crate::{
    config::BufferConfig,
    error::{Error, Result},
    layout::{ControlSnapshot, Geometry, Word, level},
    link::{Link, Patience, Waiter, buffer_accessors, debug_line},
    memory::Region,
    ring::{Consumer, Fault, MetadataState},
    stats::ReaderStats,
    sync::{Arc, Counted, Instant, Lender},
    sys::{self, NameGuard, Role, process},
};
use announced::Announced;
use std::time::Duration;

use names::NamesWatch;
use watch::WriterWatch;

/// Without a writer there is nobody to wake a waiting reader.
const WRITER_POLL: Duration = Duration::from_millis(5);

/// The reading endpoint of a buffer: creates it, owns its name, removes it when closed or dropped.
///
/// Reading takes `&mut self`, so a buffer has one consumer by construction. Frames, the
/// [`ReaderHandle`] and the state methods may be used from any thread at the same time.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{BufferConfig, Reader, Writer};
///
/// let name = format!("doc-reader-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::ring(64 * 1024).metadata(0))?;
/// assert!(reader.read_timeout(Duration::ZERO)?.is_none(), "no writer yet");
///
/// let mut writer = Writer::connect(&name)?;
/// writer.write(b"hello")?;
/// let frame = reader.read()?;
/// assert_eq!(frame.data(), b"hello");
/// drop(frame); // returns its space
///
/// writer.close()?;
/// assert!(matches!(reader.read(), Err(zerobuffer::Error::WriterGone { .. })));
/// # Ok::<(), zerobuffer::Error>(())
/// ```
pub struct Reader {
    shared: Arc<Counted<ReaderShared>>,
    lender: Lender<ReaderShared>,
    names: Option<NameGuard>,
    names_watch: NamesWatch,
    consumer: Consumer,
    waiter: Waiter,
    watch: WriterWatch,
    /// What was found corrupt; then nothing is read any more.
    fault: Option<Fault>,
    /// Frames since the tokens of the data semaphore were last taken.
    undrained: u32,
    /// The metadata of which a copy was made, or tried, last.
    seen_metadata: Option<MetadataState>,
    /// Their generation at the last full look.
    seen_generation: u64,
    #[cfg(feature = "async")]
    waits: Waits,
}

impl Reader {
    /// Creates the buffer `name` and waits for nothing.
    ///
    /// A dead reader's name is taken over; a live reader's is refused. The memory is reserved now:
    /// too little of it is an error here and never a crash later.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`], [`Error::InvalidConfig`], [`Error::ReaderAlreadyConnected`],
    /// [`Error::NotABuffer`], [`Error::NoSpace`], [`Error::Limited`], [`Error::PermissionDenied`],
    /// [`Error::NoPrivilege`], [`Error::NotReady`], [`Error::Os`].
    #[allow(clippy::needless_pass_by_value, reason = "a configuration is built for one call")]
    pub fn create(name: &str, config: BufferConfig) -> Result<Self> {
        sys::check_name(name)?;
        let geometry = Geometry::for_config(config.metadata_size, config.payload_size)?;
        let mode = mode::of(config.mode)?;
        let own_pid = process::own_pid();
        let created = sys::create(&sys::Request {
            name,
            control: &ControlSnapshot::fresh(geometry, own_pid).to_bytes(),
            size: geometry.segment(),
            mode,
            level: if config.free_sequences { level::FREE_SEQUENCES } else { level::NATIVE },
            prefault: config.prefault,
            global: config.global,
        })?;
        let region = Region::new(created.mapping, geometry).ok_or_else(|| Error::NotReady {
            name: name.to_owned(),
            reason: "the mapping is smaller than asked for",
        })?;
        let Geometry { payload, metadata, .. } = geometry;
        log::info!(target: "zerobuffer::reader", "created buffer '{name}': {payload} bytes of ring, {metadata} of metadata");
        let signals = [created.data, created.space];
        let link = Link::new(Role::Reader, name, region, signals, created.presence);
        let (shared, lender) = Counted::new(ReaderShared::new(link));
        Ok(Self {
            shared,
            lender,
            names: Some(created.names),
            names_watch: NamesWatch::new(),
            consumer: Consumer::new(config.free_sequences),
            waiter: Waiter::new(config.wait),
            watch: WriterWatch::new(),
            fault: None,
            undrained: 0,
            seen_metadata: None,
            seen_generation: 0,
            #[cfg(feature = "async")]
            waits: Waits::default(),
        })
    }

    /// The next frame if one is there; never waits.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn try_read(&mut self) -> Result<Option<Frame>> {
        if let Some(frame) = self.take_plainly() {
            return Ok(Some(frame));
        }
        let read = self.try_read_fully();
        #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
        let read = self.arm_event_after(read);
        read
    }

    fn try_read_fully(&mut self) -> Result<Option<Frame>> {
        self.check()?;
        if let Some(frame) = self.poll(Announced::No)? {
            return Ok(Some(frame));
        }
        let announced = self.check_state(Instant::now())?;
        self.poll(announced)
    }

    /// The next frame; waits for it for ever, also for the first writer.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn read(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.read_plainly() {
                return Ok(frame);
            }
            if let Some(frame) = self.read_later(&mut Patience::forever())? {
                return Ok(frame);
            }
        }
    }

    /// The next frame, or `None` when `timeout` has passed without one, also while no writer has
    /// come yet.
    ///
    /// # Errors
    ///
    /// [`Error::WriterGone`] once a writer has been seen, is gone, and all its frames are read;
    /// again at each call until the next writer attaches. [`Error::NamesRemoved`] if no writer can
    /// find the buffer any more. [`Error::Corrupt`] and [`Error::Sequence`] stay. [`Error::Closed`]
    /// after [`ReaderHandle::interrupt`], [`Error::Forked`] in a forked child.
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        if timeout.is_zero() {
            return self.try_read();
        }
        if let Some(frame) = self.read_plainly() {
            return Ok(Some(frame));
        }
        self.read_later(&mut Patience::at_most(timeout))
    }

    /// The next frame, or `None` when the patience has ended without one.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn read_with(&mut self, patience: &mut Patience<'_>) -> Result<Option<Frame>> {
        match self.read_plainly() {
            None if patience.is_over() => self.try_read(),
            None => self.read_later(patience),
            frame => Ok(frame),
        }
    }

    /// Drops all frames but the newest that is there; never waits.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn try_latest(&mut self) -> Result<Option<Latest>> {
        let first = self.try_read()?;
        first.map(|frame| self.skip_from(frame)).transpose()
    }

    /// Waits for a frame, then drops all but the newest that is there.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn latest(&mut self) -> Result<Latest> {
        let frame = self.read()?;
        self.skip_from(frame)
    }

    /// Waits at most `timeout` for a frame, then drops all but the newest that is there.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn latest_timeout(&mut self, timeout: Duration) -> Result<Option<Latest>> {
        let first = self.read_timeout(timeout)?;
        first.map(|frame| self.skip_from(frame)).transpose()
    }

    /// Waits for a frame until the patience ends, then drops all but the newest that is there.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn latest_with(&mut self, patience: &mut Patience<'_>) -> Result<Option<Latest>> {
        let first = self.read_with(patience)?;
        first.map(|frame| self.skip_from(frame)).transpose()
    }

    /// Waits until a writer is attached, or has been and left frames to read. `false`: none came
    /// within `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::NamesRemoved`], [`Error::Closed`], [`Error::Forked`], [`Error::Corrupt`],
    /// [`Error::Sequence`].
    pub fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool> {
        self.wait_for_writer_with(&mut Patience::at_most(timeout))
    }

    /// As [`Self::wait_for_writer`], until the patience ends.
    ///
    /// # Errors
    ///
    /// [`Error::NamesRemoved`], [`Error::Closed`], [`Error::Forked`], [`Error::Corrupt`],
    /// [`Error::Sequence`].
    pub fn wait_for_writer_with(&mut self, patience: &mut Patience<'_>) -> Result<bool> {
        #[cfg(feature = "async")]
        self.waits.leave();
        patience.begin(Instant::now());
        let mut token = false;
        loop {
            let now = Instant::now();
            if self.sees_writer(std::mem::take(&mut token), now)? {
                return Ok(true);
            }
            if patience.ends(now) {
                return Ok(false);
            }
            // A writer of this implementation posts when it attaches.
            token = self.shared.data.wait(patience.until(now + WRITER_POLL).saturating_duration_since(now));
        }
    }

    /// Whether a writer is attached, or frames of one are there. `token`: one was taken, which may
    /// announce a frame.
    fn sees_writer(&mut self, mut token: bool, now: Instant) -> Result<bool> {
        loop {
            self.check()?;
            let found = self.consumer.has_available();
            let looked = self.check_state(now);
            if std::mem::take(&mut token) && !self.watch.publishes_in_order() {
                // It announces a frame of the writer that has just come.
                self.shared.data.post();
            }
            match looked {
                Ok(_) if self.watch.is_attached() => return Ok(true),
                Ok(_) | Err(Error::WriterGone { .. }) => {}
                Err(error) => return Err(error),
            }
            if found {
                return Ok(true);
            }
            // Otherwise frames of a writer that has gone, or of one that has come since: another
            // look tells.
            if !self.consumer.has_available() {
                self.names_watch.check(self.names.as_ref(), &self.shared.name, now)?;
                return Ok(false);
            }
        }
    }

    /// Whether a frame is there that has not been read, be it whole or damaged.
    pub(crate) fn has_unread(&mut self) -> bool {
        self.consumer.has_available() || (self.refresh().is_ok() && self.consumer.has_available())
    }

    /// Whether a writer was attached at the last look.
    pub(crate) fn is_attached(&self) -> bool {
        self.watch.is_attached()
    }

    #[cfg(loom)]
    pub(crate) fn is_native(&self) -> bool {
        self.consumer.is_native()
    }

    #[cfg(all(any(loom, shuttle), feature = "async"))]
    pub(crate) fn sleepers(&self) -> u64 {
        self.shared.data.word().fetch_add(0, crate::sync::Ordering::Relaxed) >> 32
    }

    /// The metadata: `None` while the writer has written none; possibly empty.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if length and control block contradict each other; looked at anew by each
    /// call.
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        self.shared.shown_metadata()
    }

    /// Whether a live writer is attached.
    #[must_use]
    pub fn is_writer_connected(&self) -> bool {
        self.shared.is_writer_connected()
    }

    /// Whether the last writer went without closing, as seen by the latest read: it crashed or was
    /// killed, and what it sent may be incomplete. `false` while a writer is attached.
    #[must_use]
    pub fn writer_died(&self) -> bool {
        self.watch.died()
    }

    /// Counters since the creation.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.shared.counters.reader()
    }

    buffer_accessors!(shared);

    /// A handle for other threads: state, counters, and ending a blocked call.
    #[must_use]
    pub fn handle(&self) -> ReaderHandle {
        ReaderHandle::new(Arc::clone(&self.shared))
    }

    /// Tells the writer, removes the buffer's names and gives up the reader's role. Frames stay
    /// readable.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] or [`Error::PermissionDenied`] if a name could not be removed.
    pub fn close(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        #[cfg(feature = "async")]
        self.waits.leave();
        let Some(mut names) = self.names.take() else { return Ok(()) };
        let shared = &self.shared;
        if !shared.begin_end() {
            return Ok(());
        }
        // W6: the pid, the wake-up, the names, and the locks last.
        shared.region.exchange(Word::ReaderPid, shared.own_pid, 0);
        shared.space.post();
        let removed = names.remove();
        drop(names);
        shared.retire();
        let stats = shared.counters.reader();
        log::info!(target: "zerobuffer::reader", "closed buffer '{}': {} frames, {} bytes read", shared.name, stats.frames, stats.bytes);
        removed
    }

    #[inline]
    fn check(&self) -> Result<()> {
        if self.shared.is_open() && self.fault.is_none() { Ok(()) } else { self.refuse_use() }
    }

    #[cold]
    #[inline(never)]
    fn refuse_use(&self) -> Result<()> {
        self.shared.ensure_open()?;
        match &self.fault {
            None => Ok(()),
            Some(fault) => Err(self.shared.fault(fault)),
        }
    }

    /// Makes a fault sticky.
    #[cold]
    fn fail(&mut self, fault: Fault) -> Error {
        let error = self.shared.fault(&fault);
        log::error!(target: "zerobuffer::reader", "{error}");
        self.fault = Some(fault);
        error
    }
}

debug_line!(Reader, shared);

impl Drop for Reader {
    fn drop(&mut self) {
        // `close` returns the error.
        let _ = self.shut_down();
    }
}
