//! The writing endpoint: connects to a reader's buffer and puts frames into it.

mod attach;
mod binding;
mod frame_mut;
#[cfg(feature = "async")]
mod future;
mod handle;
mod metadata;
mod shared;
mod space;
mod tokens;
mod watch;

pub use frame_mut::FrameMut;
#[cfg(feature = "async")]
pub(crate) use future::Wait;
pub use handle::WriterHandle;
pub(crate) use shared::WriterShared;
use space::IfFull;
use watch::ReaderWatch;

#[cfg(feature = "async")]
use crate::link::reactor::Waits;
use crate::{
    config::{FullRingPolicy, WriterConfig},
    error::{Error, Result},
    layout::{FRAME_HEADER_SIZE, Word},
    link::{Patience, Waiter, buffer_accessors, debug_line},
    memory::Slot,
    ring::{Fault, Producer},
    stats::WriterStats,
    sync::{Arc, End, Ordering, order},
};
use std::{io::IoSlice, ops::Deref, time::Duration};

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Published under this number.
    Sent {
        /// 1, 2, 3, … over all writers of the buffer.
        sequence: u64,
    },
    /// The ring was full and the policy is [`FullRingPolicy::DropNewest`].
    Dropped,
}

impl Outcome {
    /// The sequence number, unless the frame was dropped.
    #[must_use]
    pub fn sequence(self) -> Option<u64> {
        match self {
            Self::Sent { sequence } => Some(sequence),
            Self::Dropped => None,
        }
    }
}

/// The writing endpoint of a buffer. One writer is attached at a time; writing takes `&mut self`.
///
/// ```
/// use std::io::IoSlice;
/// use zerobuffer::{BufferConfig, Reader, Writer};
///
/// let name = format!("doc-writer-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::default())?;
/// let mut writer = Writer::connect(&name)?;
/// writer.set_metadata(b"{}")?;
/// writer.write(b"copied in")?;
/// writer.write_vectored(&[IoSlice::new(b"from "), IoSlice::new(b"parts")])?;
/// let mut loan = writer.loan(8)?;
/// loan.copy_from_slice(b"in place");
/// loan.commit()?;
/// for expected in [&b"copied in"[..], b"from parts", b"in place"] {
///     assert_eq!(reader.read()?.data(), expected);
/// }
/// # Ok::<(), zerobuffer::Error>(())
/// ```
pub struct Writer {
    shared: Arc<WriterShared>,
    producer: Producer,
    waiter: Waiter,
    config: WriterConfig,
    pending: Option<Slot>,
    /// What was found corrupt; then nothing is written any more.
    fault: Option<Fault>,
    /// Whether this writer has set the metadata.
    set_metadata: bool,
    watch: ReaderWatch,
    #[cfg(feature = "async")]
    waits: Waits,
}

impl Writer {
    /// Connects to the buffer `name` with the default configuration: its reader must exist.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`].
    pub fn connect(name: &str) -> Result<Self> {
        Self::connect_with(name, WriterConfig::default())
    }

    /// Connects to the buffer `name`, waiting for its reader as long as the configuration says. A
    /// failed attempt leaves no trace in the buffer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`], [`Error::NotFound`], [`Error::NotReady`],
    /// [`Error::WriterAlreadyConnected`], [`Error::CrashNotNoticed`], [`Error::Version`],
    /// [`Error::Corrupt`], [`Error::PermissionDenied`], [`Error::Os`].
    pub fn connect_with(name: &str, config: WriterConfig) -> Result<Self> {
        let mut patience = Patience::for_timeout(config.connect_timeout);
        Self::connect_within(name, config, &mut patience)
    }

    /// As [`Self::connect_with`], but waits as the patience says instead of the connect timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`].
    pub fn connect_within(name: &str, config: WriterConfig, patience: &mut Patience<'_>) -> Result<Self> {
        let (shared, producer) = attach::attach(name, config.owner, patience, config.whole_ring)?;
        let waiter = Waiter::new(config.wait);
        let shared = Arc::new(shared);
        let watch = ReaderWatch::new();
        Ok(Self {
            shared,
            producer,
            waiter,
            config,
            pending: None,
            fault: None,
            set_metadata: false,
            watch,
            #[cfg(feature = "async")]
            waits: Waits::default(),
        })
    }

    /// Copies `data` into the ring as one frame. A full ring is handled as the policy says.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyFrame`], [`Error::FrameTooLarge`], [`Error::Unplaceable`], [`Error::Full`],
    /// [`Error::ReaderGone`], [`Error::Replaced`], [`Error::Closed`], [`Error::Forked`],
    /// [`Error::Corrupt`]. After [`Error::Full`] no byte of the frame is published, and the call
    /// may be repeated. The position may have moved to the start of the ring, for a frame too large
    /// to fit otherwise. Then a smaller one may find no room either until the reader looks.
    pub fn write(&mut self, data: &[u8]) -> Result<Outcome> {
        self.write_parts(&[data], data.len(), IfFull::Policy)
    }

    /// As [`Self::write`], for a frame that lies in several pieces.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<Outcome> {
        self.write_parts(parts, total_len(parts), IfFull::Policy)
    }

    /// As [`Self::write`], but waits as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_with(&mut self, data: &[u8], patience: &mut Patience<'_>) -> Result<Outcome> {
        self.write_parts(&[data], data.len(), IfFull::PolicyWithin(patience))
    }

    /// As [`Self::write_vectored`], but waits as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_vectored_with(
        &mut self,
        parts: &[IoSlice<'_>],
        patience: &mut Patience<'_>,
    ) -> Result<Outcome> {
        self.write_parts(parts, total_len(parts), IfFull::PolicyWithin(patience))
    }

    /// As [`Self::write`], but a full ring is [`Error::Full`] at once, whatever the policy.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn try_write(&mut self, data: &[u8]) -> Result<Outcome> {
        self.write_parts(&[data], data.len(), IfFull::Fail)
    }

    /// As [`Self::write_vectored`], but a full ring is [`Error::Full`] at once, whatever the
    /// policy.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn try_write_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<Outcome> {
        self.write_parts(parts, total_len(parts), IfFull::Fail)
    }

    fn write_parts(
        &mut self,
        parts: &[impl Deref<Target = [u8]>],
        len: usize,
        if_full: IfFull<'_, '_>,
    ) -> Result<Outcome> {
        let follows_policy = !matches!(if_full, IfFull::Fail);
        match self.reserve(len, if_full) {
            Ok(slot) => self.fill(slot, parts, len),
            Err(error) if follows_policy && self.counts_as_dropped(&error) => Ok(Outcome::Dropped),
            Err(error) => Err(error),
        }
    }

    /// Copies the parts of a frame of `len` bytes into its slot and publishes it.
    #[inline(always)]
    fn fill(&mut self, mut slot: Slot, parts: &[impl Deref<Target = [u8]>], len: usize) -> Result<Outcome> {
        let mut room = self.shared.region.slot_mut(&mut slot);
        for part in parts {
            // The lengths add up to the reserved size.
            let Some((target, rest)) = room.split_at_mut_checked(part.len()) else { break };
            target.copy_from_slice(part);
            room = rest;
        }
        self.publish(slot, len as u64).map(|sequence| Outcome::Sent { sequence })
    }

    /// Lends ring memory for a frame of `size` bytes, to be filled in place. A full ring is handled
    /// as the policy says; a loan that [`FullRingPolicy::DropNewest`] drops is private memory, and
    /// its commit is [`Outcome::Dropped`].
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn loan(&mut self, size: usize) -> Result<FrameMut<'_>> {
        self.loan_in(size, IfFull::Policy)
    }

    /// As [`Self::loan`], but a full ring is [`Error::Full`] at once.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn try_loan(&mut self, size: usize) -> Result<FrameMut<'_>> {
        self.loan_in(size, IfFull::Fail)
    }

    /// As [`Self::loan`], but waits as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn loan_with(&mut self, size: usize, patience: &mut Patience<'_>) -> Result<FrameMut<'_>> {
        self.loan_in(size, IfFull::PolicyWithin(patience))
    }

    #[inline(always)]
    fn loan_in(&mut self, size: usize, if_full: IfFull<'_, '_>) -> Result<FrameMut<'_>> {
        let follows_policy = !matches!(if_full, IfFull::Fail);
        match self.reserve(size, if_full) {
            Ok(slot) => {
                self.pending = Some(slot);
                Ok(FrameMut::new(self))
            }
            Err(error) if follows_policy && self.counts_as_dropped(&error) => {
                Ok(FrameMut::dropped(self, size))
            }
            Err(error) => Err(error),
        }
    }

    /// Counts the frame that could not be reserved if the policy drops it. `true`: it does.
    #[cold]
    fn counts_as_dropped(&self, error: &Error) -> bool {
        let drops =
            self.config.full_ring == FullRingPolicy::DropNewest && matches!(error, Error::Full { .. });
        self.shared.counters.lost.add(drops.into());
        drops
    }

    #[inline(always)]
    fn publish(&mut self, slot: Slot, len: u64) -> Result<u64> {
        // Filling it may have taken long: our position is outdated if another writer has come
        // meanwhile (W7).
        self.shared.check_place(self.shared.registered())?;
        let published = self.producer.publish(&self.shared.region, &slot, len);
        let Some(sequence) = published.map_err(|fault| self.fail(fault))? else {
            let reason = "it would leave 1 to 15 bytes at the end of the ring, which this reader cannot skip; \
                          commit at least 16 bytes less, or all";
            return Err(self.refuse_commit(slot, len, reason));
        };
        self.shared.data.post();
        self.shared.counters.frames.add(1);
        self.shared.counters.bytes.add(len);
        Ok(sequence)
    }

    #[cold]
    fn refuse_commit(&mut self, slot: Slot, len: u64, reason: &'static str) -> Error {
        let loaned = slot.size;
        self.pending = Some(slot);
        Error::InvalidCommit { name: self.shared.name.clone(), len, loaned, reason }
    }

    /// Whether the reader is alive and still owns the buffer.
    #[must_use]
    pub fn is_reader_connected(&self) -> bool {
        self.shared.is_reader_connected()
    }

    /// Counters since the attach.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        self.shared.counters.writer()
    }

    buffer_accessors!(shared);

    /// The largest payload that the ring can ever hold, in bytes.
    #[must_use]
    pub fn max_frame_size(&self) -> u64 {
        self.capacity() - FRAME_HEADER_SIZE
    }

    /// The number that the next frame gets.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.producer.next_sequence()
    }

    /// The reader, in the pid namespace it is in.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn reader_pid(&self) -> u64 {
        self.shared.reader_pid
    }

    /// What only a live reader changes.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn reader_movement(&self) -> [u64; 3] {
        // A writer changes the free bytes, too.
        let [_free, count, credited, taken] = crate::ring::reader_movement(&self.shared.region);
        [count, credited, taken]
    }

    /// Whether the reader takes any sequence number (W8 level 2), as duplex endpoints of this
    /// implementation do.
    pub(crate) fn has_free_sequences(&self) -> bool {
        self.shared.peer.free_sequences()
    }

    /// Chooses the number of the next frame, if the reader takes any.
    pub(crate) fn stamp(&mut self, sequence: u64) {
        if self.has_free_sequences() {
            self.producer.set_next_sequence(sequence);
        }
    }

    /// How long one write waits for space; `None` waits for ever.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Duration> {
        self.config.write_timeout
    }

    /// Changes [`Self::write_timeout`].
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.config.write_timeout = timeout;
    }

    /// A handle for other threads: state, counters, and ending a blocked call.
    #[must_use]
    pub fn handle(&self) -> WriterHandle {
        WriterHandle::new(Arc::clone(&self.shared))
    }

    /// Abandons a pending frame, tells the reader, and gives up the writer's role. Published frames
    /// stay readable.
    ///
    /// # Errors
    ///
    /// None at present; the signature leaves room.
    pub fn close(mut self) -> Result<()> {
        self.shut_down();
        Ok(())
    }

    fn shut_down(&mut self) {
        #[cfg(feature = "async")]
        self.waits.leave();
        let shared = &self.shared;
        self.pending = None;
        if !shared.begin_end() {
            return;
        }
        self.producer.leave(&shared.region);
        // W6: the pid, the wake-up (a legacy reader can be killed by it), the lock last. Edge E7,
        // release end.
        let release = order(End::E7Release, Ordering::SeqCst);
        let left = shared.region.exchange_as(Word::WriterPid, shared.own_pid, 0, release);
        if shared.peer.is_native() {
            // The note is this writer's alone as long as the byte is.
            shared.data.forget_writer();
            // Beside a legacy writer that has taken this one's place, a token without a frame would
            // announce one.
            if left {
                shared.data.post();
            }
        }
        shared.retire();
        let stats = shared.counters.writer();
        log::info!(target: "zerobuffer::writer", "left buffer '{}': {} frames, {} bytes written", shared.name, stats.frames, stats.bytes);
    }

    #[inline]
    fn check(&self) -> Result<()> {
        let registered = self.shared.registered();
        let usable = self.shared.is_usable(registered) && self.watch.lost().is_none() && self.fault.is_none();
        if usable { Ok(()) } else { self.refuse_use(registered) }
    }

    #[cold]
    #[inline(never)]
    fn refuse_use(&self, registered: u64) -> Result<()> {
        self.shared.check_open(registered)?;
        if let Some(reason) = self.watch.lost() {
            return Err(self.shared.reader_gone(reason));
        }
        match &self.fault {
            None => Ok(()),
            Some(fault) => Err(fault.on(&self.shared.name)),
        }
    }

    /// Makes a fault sticky.
    #[cold]
    fn fail(&mut self, fault: Fault) -> Error {
        let error = fault.on(&self.shared.name);
        self.fault = Some(fault);
        log::error!(target: "zerobuffer::writer", "{error}");
        error
    }
}

debug_line!(Writer, shared);

impl Drop for Writer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn total_len(parts: &[IoSlice<'_>]) -> usize {
    // Slices that exist cannot be longer than the address space.
    parts.iter().map(|part| part.len()).fold(0, usize::saturating_add)
}
