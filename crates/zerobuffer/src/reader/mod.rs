//! The reading endpoint: creates a buffer, owns it, takes frames out of it.

mod handle;
mod share;
mod shared;
mod wait;
mod watch;

pub use handle::ReaderHandle;
pub(crate) use share::Share;
pub(crate) use shared::{ReaderShared, utilization};

use crate::{
    config::BufferConfig,
    error::{Error, Result},
    frame::{Frame, Latest, Metadata},
    layout::{ControlSnapshot, Geometry, Word},
    ring::{Consumer, Credit, Fault, Region, Span},
    stats::{Counters, ReaderStats},
    sync::{Arc, AtomicBool, AtomicU64, Instant, Mutex, Ordering, lock},
    sys::{self, NameGuard, fork::Birth, process},
    waiter::Waiter,
};
use share::{Lender, Outstanding};
use std::time::Duration;
use wait::Announced;
use watch::WriterWatch;

/// Capability level announced to writers of this implementation (W8): 1 slivers, bare and hot wrap; 2 also free
/// sequences.
const LEVEL: u8 = 1;
pub(crate) const LEVEL_FREE_SEQUENCES: u8 = 2;
/// A reader that never has to wait leaves the tokens alone for so many looks, so that they do not overflow.
const SWALLOW_AT: u32 = 1 << 12;
/// Without a writer there is nobody to wake a waiting reader.
const WRITER_POLL: Duration = Duration::from_millis(5);

/// The reading endpoint of a buffer: creates it, owns its name, removes it when closed or dropped.
///
/// Reading takes `&mut self`, so that a buffer has one consumer by construction; frames, the [`ReaderHandle`] and the
/// state methods may be used from any thread at the same time.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{BufferConfig, Reader, Writer};
///
/// let name = format!("doc-reader-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::new(0, 64 * 1024))?;
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
#[derive(Debug)]
pub struct Reader {
    shared: Arc<ReaderShared>,
    lender: Lender,
    names: Option<NameGuard>,
    consumer: Consumer,
    waiter: Waiter,
    watch: WriterWatch,
    /// What was found corrupt; then nothing is read any more.
    fault: Option<Fault>,
    /// Frames since the tokens of the data semaphore were last swallowed.
    unswallowed: u32,
}

impl Reader {
    /// Creates the buffer `name` and waits for nothing.
    ///
    /// A dead reader's name is taken over; a live reader's is refused. The memory is reserved now: too little of it is
    /// an error here and never a crash later (W12).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`], [`Error::InvalidConfig`], [`Error::ReaderAlreadyConnected`], [`Error::NoSpace`],
    /// [`Error::PermissionDenied`], [`Error::NoPrivilege`], [`Error::NotReady`], [`Error::Os`].
    #[allow(clippy::needless_pass_by_value, reason = "a configuration is built for one call")]
    pub fn create(name: &str, config: BufferConfig) -> Result<Self> {
        sys::check_name(name)?;
        let geometry = Geometry::for_config(config.metadata_size, config.payload_size)?;
        if config.mode & !0o777 != 0 || config.mode & 0o600 != 0o600 {
            let reason = "permission bits are 0600 to 0777, and the owner needs to read and write";
            return Err(Error::InvalidConfig { what: "mode", value: config.mode.into(), reason });
        }
        let own_pid = process::own_pid();
        let created = sys::create(&sys::Request {
            name,
            control: &ControlSnapshot::fresh(geometry, own_pid).to_bytes(),
            size: geometry.segment(),
            mode: config.mode,
            level: if config.free_sequences { LEVEL_FREE_SEQUENCES } else { LEVEL },
            prefault: config.prefault,
            global: config.global,
        })?;
        let region = Region::new(created.mapping, geometry).ok_or_else(|| Error::NotReady {
            name: name.to_owned(),
            reason: "the mapping is smaller than asked for",
        })?;
        let Geometry { payload, metadata } = geometry;
        log::info!(target: "zerobuffer::reader", "created buffer '{name}': {payload} bytes of ring, {metadata} of metadata");
        let shared = Arc::new(ReaderShared {
            outstanding: Outstanding::new(),
            name: name.to_owned(),
            region,
            credit: Credit::new(geometry.payload),
            data: created.data,
            space: created.space,
            birth: Birth::now(),
            interrupted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            presence: Mutex::new(created.presence),
            present_writer: AtomicU64::new(0),
            counters: Counters::default(),
            own_pid,
        });
        Ok(Self {
            lender: Lender::new(&shared),
            shared,
            names: Some(created.names),
            consumer: Consumer::new(config.free_sequences),
            waiter: Waiter::new(config.wait),
            watch: WriterWatch::new(),
            fault: None,
            unswallowed: 0,
        })
    }

    /// The next frame if one is there; never waits.
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn try_read(&mut self) -> Result<Option<Frame>> {
        self.check()?;
        if let Some(frame) = self.poll(Announced::No)? {
            return Ok(Some(frame));
        }
        let announced = self.look_around(Instant::now())?;
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
            if let Some(frame) = self.read_later(None)? {
                return Ok(frame);
            }
        }
    }

    /// The next frame, or `None` when `timeout` has passed without one, also while no writer has come yet.
    ///
    /// # Errors
    ///
    /// [`Error::WriterGone`] once a writer has been seen, is gone, and all its frames are read; again at each call until
    /// the next writer attaches. [`Error::Corrupt`] and [`Error::Sequence`] stay. [`Error::Closed`] after
    /// [`ReaderHandle::interrupt`], [`Error::Forked`] in a forked child.
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        if timeout.is_zero() {
            return self.try_read();
        }
        if let Some(frame) = self.read_plainly() {
            return Ok(Some(frame));
        }
        // A deadline beyond the clock's range is no deadline.
        self.read_later(Instant::now().checked_add(timeout))
    }

    /// The next frame, if it is there or comes in the next moment, and nothing is odd about it: what most reads find.
    /// `None` says nothing of what else there is.
    #[inline]
    fn read_plainly(&mut self) -> Option<Frame> {
        let frame = self.take_plainly();
        if frame.is_some() || self.consumer.has_available() || !self.glance() {
            return frame;
        }
        self.take_plainly()
    }

    #[inline(always)]
    fn take_plainly(&mut self) -> Option<Frame> {
        let shared = &self.shared;
        let usable = shared.is_open() && self.fault.is_none() && self.watch.publishes_in_order();
        if !usable || !(self.consumer.has_available() || self.look_plainly()) {
            return None;
        }
        let shared = &self.shared;
        let (span, credited) = self.consumer.next_plain(&shared.region, &shared.credit)?;
        self.took(&span, credited);
        Some(Frame::new(self.lender.lend(), span))
    }

    /// [`Self::look`] where it finds further frames of the writer that is known.
    #[inline(always)]
    fn look_plainly(&mut self) -> bool {
        let shared = &self.shared;
        let found = self.watch.is_current(shared)
            && self.unswallowed < SWALLOW_AT
            && self.consumer.refresh_plainly(&shared.region, &shared.credit);
        self.unswallowed += u32::from(found);
        found
    }

    /// A read that has found nothing at once, or something odd.
    #[inline(never)]
    fn read_later(&mut self, deadline: Option<Instant>) -> Result<Option<Frame>> {
        self.check()?;
        match self.poll(Announced::No)? {
            None => self.read_until(deadline),
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

    fn skip_from(&mut self, mut frame: Frame) -> Result<Latest> {
        let mut skipped = 0;
        // What is known, then what one look finds: beside a writer at full speed there would be no end to it.
        for looked in [false, true] {
            if looked && !self.consumer.has_available() {
                self.look()?;
            }
            let published = self.consumer.published();
            while self.consumer.handed_out() < published
                && let Some(next) = self.poll(Announced::No)?
            {
                frame = next;
                skipped += 1;
            }
        }
        self.shared.counters.lost.add(skipped);
        Ok(Latest { frame, skipped })
    }

    /// Waits until a writer is attached, or has been and left frames to read. `false`: none came within `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Forked`], [`Error::Corrupt`], [`Error::Sequence`].
    pub fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now().checked_add(timeout);
        let mut token = false;
        loop {
            self.check()?;
            let now = Instant::now();
            let looked = self.look_around(now);
            if std::mem::take(&mut token) && !self.watch.publishes_in_order() {
                // It announces a frame of the writer that has just come.
                self.shared.data.post();
            }
            match looked {
                Ok(_) if self.watch.is_attached() => return Ok(true),
                Ok(_) | Err(Error::WriterGone { .. }) => {}
                Err(error) => return Err(error),
            }
            if self.consumer.has_available() {
                return Ok(true);
            }
            let left = deadline.map_or(WRITER_POLL, |d| d.saturating_duration_since(now).min(WRITER_POLL));
            if left.is_zero() {
                return Ok(false);
            }
            // A writer of this implementation posts when it attaches.
            token = self.shared.data.wait(left);
        }
    }

    /// Whether a writer was attached at the last look.
    pub(crate) fn is_attached(&self) -> bool {
        self.watch.is_attached()
    }

    /// The metadata: `None` while the writer has written none; possibly empty.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if length and control block contradict each other; looked at anew by each call.
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        ReaderShared::metadata(&self.shared)
    }

    /// Whether a live writer is attached.
    #[must_use]
    pub fn is_writer_connected(&self) -> bool {
        self.shared.is_writer_connected()
    }

    /// Whether the last writer went without closing, as seen by the latest read: it crashed or was killed, and what it
    /// sent may be incomplete. `false` while a writer is attached.
    #[must_use]
    pub fn writer_died(&self) -> bool {
        self.watch.died()
    }

    /// Counters since the creation.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.shared.counters.reader()
    }

    /// The share of the ring that holds unread or unreleased bytes, 0.0 to 1.0.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.shared.utilization()
    }

    /// The buffer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.region.capacity()
    }

    /// Bytes of the metadata block; 8 of them are the length.
    #[must_use]
    pub fn metadata_capacity(&self) -> u64 {
        self.shared.region.metadata_capacity()
    }

    /// A handle for other threads: state, counters, and ending a blocked call.
    #[must_use]
    pub fn handle(&self) -> ReaderHandle {
        ReaderHandle::new(Arc::clone(&self.shared))
    }

    /// Tells the writer, removes the buffer's names and gives up the reader's role. Frames stay readable.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] or [`Error::PermissionDenied`] if a name could not be removed.
    pub fn close(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        let Some(mut names) = self.names.take() else { return Ok(()) };
        let shared = &self.shared;
        if shared.birth.is_forked() {
            return Ok(());
        }
        shared.closed.store(true, Ordering::Release);
        // W6: the pid, the wake-up, the names, and the locks last.
        shared.region.exchange(Word::ReaderPid, shared.own_pid, 0);
        shared.space.post();
        let removed = names.remove();
        drop(names);
        lock(&shared.presence).take();
        shared.data.retire();
        shared.space.retire();
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
        self.shared.check_open()?;
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

    /// Takes the next frame if one may be taken.
    fn poll(&mut self, announced: Announced) -> Result<Option<Frame>> {
        let mut token = announced == Announced::ByToken;
        loop {
            if !self.consumer.has_available() {
                self.look()?;
                if !self.consumer.has_available() {
                    return Ok(None);
                }
            }
            token = token || self.watch.publishes_in_order() || self.take_token();
            if !token && announced == Announced::No {
                return Ok(None);
            }
            if let Some(span) = self.take_span()? {
                if !token {
                    self.watch.owe_token();
                }
                return Ok(Some(Frame::new(self.lender.lend(), span)));
            }
            // Only the skipped end of the ring was known: look behind it.
        }
    }

    fn take_span(&mut self) -> Result<Option<Span>> {
        let (shared, watch) = (&self.shared, &mut self.watch);
        let taken = self.consumer.next(&shared.region, &shared.credit, |sequence| {
            // Its writer may have come after the last look.
            watch.look(shared);
            watch.accepts(sequence)
        });
        let taken = taken.map_err(|fault| self.fail(fault))?;
        match &taken.span {
            Some(span) => self.took(span, taken.credited),
            None if taken.credited => self.shared.wake_writer(),
            None => {}
        }
        Ok(taken.span)
    }

    #[inline]
    fn took(&mut self, span: &Span, credited: bool) {
        if credited {
            self.shared.wake_writer();
        }
        self.watch.took_frame();
        let counters = &self.shared.counters;
        counters.frames.add(1);
        counters.bytes.add(span.size);
    }

    /// Looks at shared memory for new frames and for a change of writer.
    fn look(&mut self) -> Result<()> {
        let shared = &self.shared;
        // The pid first: frames of a writer that is gone are all published.
        self.watch.look(shared);
        self.consumer.set_writer(self.watch.is_ours(), self.watch.may_restart());
        self.consumer.refresh(&shared.region, &shared.credit).map_err(|fault| self.fail(fault))?;
        if self.consumer.has_available() {
            self.unswallowed = self.unswallowed.saturating_add(1);
            if self.unswallowed > SWALLOW_AT && self.watch.publishes_in_order() {
                self.swallow_tokens();
            }
        } else {
            self.watch.drained();
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Whoever wants to know closes by `close`.
        let _ = self.shut_down();
    }
}
