//! One subscriber: the writer of its ring, and what it has got.

use super::{BroadcastConfig, SlowPolicy, Subscriber};
use crate::{
    error::{Error, Result},
    link::Patience,
    stats::Counters,
    sync::{Mutex, MutexGuard, lock},
    writer::{Writer, WriterHandle},
};
use std::{
    fmt,
    io::IoSlice,
    ops::ControlFlow,
    sync::{Arc, TryLockError},
    time::{Duration, Instant},
};

const LOG: &str = "zerobuffer::broadcast";

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    Sent,
    Dropped,
    /// There is no room, and it may be waited for, so long.
    Full(Duration),
    /// The subscriber has closed its buffer, or died.
    Gone,
    /// It was disconnected.
    Disconnected,
}

/// A subscriber's place. The broadcaster's thread writes; the finder only tries the lock.
pub(super) struct Seat {
    pub(super) buffer: String,
    pub(super) name: String,
    policy: SlowPolicy,
    /// `None`: the subscriber is gone. It keeps the ring mapped, as a writer does.
    handle: Mutex<Option<WriterHandle>>,
    writing: Mutex<Writing>,
    counters: Counters,
    problem: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Writing {
    /// `None`: the subscriber is gone.
    writer: Option<Writer>,
    /// The metadata that it still has to set.
    due: Option<Arc<[u8]>>,
    /// It has let the whole time of its policy pass: what its reader had done by then.
    stalled: Option<[u64; 3]>,
}

impl Writing {
    /// Whether its reader has done nothing since it let its time pass.
    fn is_stalled(&self) -> bool {
        self.stalled.is_some() && self.stalled == self.writer.as_ref().map(Writer::reader_movement)
    }
}

impl Seat {
    pub(super) fn new(name: &str, policy: SlowPolicy, writer: Writer) -> Self {
        Self {
            buffer: writer.name().to_owned(),
            name: name.to_owned(),
            policy,
            handle: Mutex::new(Some(writer.handle())),
            writing: Mutex::new(Writing { writer: Some(writer), due: None, stalled: None }),
            counters: Counters::default(),
            problem: Mutex::new(None),
        }
    }

    /// Puts a frame into the ring if there is room.
    pub(super) fn offer(&self, parts: &[IoSlice<'_>]) -> Offered {
        let mut writing = lock(&self.writing);
        let written = self.attempt(&mut writing, &mut Patience::at_most(Duration::ZERO), |writer, _| {
            writer.try_write_vectored(parts)
        });
        self.outcome(written, parts, !writing.is_stalled())
    }

    /// The same, after [`Offered::Full`]: waits for room while there is patience.
    /// [`Offered::Full`] again if less than `limit` has passed since `since`.
    pub(super) fn wait(
        &self,
        parts: &[IoSlice<'_>],
        patience: &mut Patience<'_>,
        (since, limit): (Instant, Duration),
        is_first: bool,
    ) -> Offered {
        let started = Instant::now();
        let mut writing = lock(&self.writing);
        let written = self
            .attempt(&mut writing, patience, |writer, patience| writer.write_vectored_with(parts, patience));
        self.counters.waited(started.elapsed(), is_first);
        let is_over = since.elapsed() >= limit;
        if is_over && written.is_err() {
            writing.stalled = writing.writer.as_ref().map(Writer::reader_movement);
        }
        self.outcome(written, parts, !is_over)
    }

    /// After [`Offered::Full`]: it is not waited for on, and misses the frame.
    pub(super) fn miss(&self) {
        if self.counters.lost.get() == 0 {
            log::warn!(target: LOG, "subscriber '{}' misses a frame, since its ring is full; further ones are counted, and not reported", self.buffer.escape_debug());
        }
        self.counters.lost.add(1);
    }

    fn attempt(
        &self,
        writing: &mut Writing,
        patience: &mut Patience<'_>,
        write: impl FnOnce(&mut Writer, &mut Patience<'_>) -> Result<crate::Outcome>,
    ) -> Result<()> {
        self.describe_within(writing, patience)?;
        let Some(writer) = &mut writing.writer else { return Err(Error::closed(&self.buffer)) };
        write(writer, patience).map(|_| ())
    }

    /// `may_wait`: a subscriber that is waited for has not let its time pass.
    fn outcome(&self, written: Result<()>, parts: &[IoSlice<'_>], may_wait: bool) -> Offered {
        let error = match written {
            Ok(()) => {
                self.counters.frames.add(1);
                self.counters.bytes.add(parts.iter().map(|part| part.len() as u64).sum());
                return Offered::Sent;
            }
            Err(error) => error,
        };
        let can_fit = match &error {
            Error::Full { .. } | Error::MetadataInUse { .. } => true,
            Error::FrameTooLarge { .. } | Error::Unplaceable { .. } => {
                self.complain(&error);
                false
            }
            // A part of what it got does not describe the rest.
            Error::MetadataAlreadyWritten { .. } => {
                self.complain(&error);
                return Offered::Disconnected;
            }
            _ => {
                log::debug!(target: LOG, "{error}");
                return Offered::Gone;
            }
        };
        match self.policy {
            SlowPolicy::Disconnect => {
                log::warn!(target: LOG, "disconnected: {error}");
                return Offered::Disconnected;
            }
            SlowPolicy::Block(limit) if can_fit && may_wait => {
                return Offered::Full(limit);
            }
            SlowPolicy::Block(_) | SlowPolicy::Drop => {}
        }
        if can_fit {
            self.miss();
        } else {
            self.counters.lost.add(1);
        }
        Offered::Dropped
    }

    /// Says once what keeps the subscriber from getting everything.
    fn complain(&self, error: &Error) {
        let text = error.to_string();
        let mut problem = lock(&self.problem);
        if problem.is_none() {
            log::warn!(target: LOG, "{text}");
        }
        *problem = Some(text);
    }

    /// From now on these are the metadata of the stream. Sets them if that needs no wait.
    pub(super) fn describe(&self, metadata: &Arc<[u8]>) -> Offered {
        let mut writing = lock(&self.writing);
        writing.due = Some(Arc::clone(metadata));
        self.settle(&mut writing)
    }

    /// Sets metadata that could not be set before. Waits for nobody.
    pub(super) fn try_settle(&self) -> Offered {
        match self.writing.try_lock() {
            Ok(mut writing) if writing.due.is_some() => self.settle(&mut writing),
            Err(TryLockError::Poisoned(poisoned)) => self.settle(&mut poisoned.into_inner()),
            _ => Offered::Sent,
        }
    }

    fn settle(&self, writing: &mut Writing) -> Offered {
        match self.describe_within(writing, &mut Patience::at_most(Duration::ZERO)) {
            // It is tried again.
            Ok(()) | Err(Error::MetadataInUse { .. }) => Offered::Sent,
            Err(error @ Error::MetadataAlreadyWritten { .. }) => {
                self.complain(&error);
                Offered::Disconnected
            }
            Err(error) => {
                log::debug!(target: LOG, "{error}");
                Offered::Gone
            }
        }
    }

    /// Sets the metadata that are due.
    fn describe_within(&self, writing: &mut Writing, patience: &mut Patience<'_>) -> Result<()> {
        let Some(due) = &writing.due else { return Ok(()) };
        let Some(writer) = &mut writing.writer else { return Err(Error::closed(&self.buffer)) };
        match writer.renew_metadata_with(due, patience) {
            Ok(()) => {}
            // Frames without their description are better than none.
            Err(error @ Error::MetadataTooLarge { .. }) => self.complain(&error),
            Err(error) => return Err(error),
        }
        writing.due = None;
        Ok(())
    }

    /// Takes the writer away, whose end takes its time. For those that write: the finder has it for
    /// a moment only.
    pub(super) fn vacate(&self) -> Option<Writer> {
        self.vacated(lock(&self.writing))
    }

    /// The same for the finder, which waits for no write. `None`: the writer is in use.
    #[allow(
        clippy::option_option,
        reason = "the writer may have gone already; the outer one says whether it is in use"
    )]
    pub(super) fn try_vacate(&self) -> Option<Option<Writer>> {
        match self.writing.try_lock() {
            Ok(writing) => Some(self.vacated(writing)),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.vacated(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn vacated(&self, mut writing: MutexGuard<'_, Writing>) -> Option<Writer> {
        lock(&self.handle).take();
        writing.writer.take()
    }

    /// Whether the subscriber lives and has its buffer. Makes system calls.
    pub(super) fn is_connected(&self) -> bool {
        self.handle().is_some_and(|handle| handle.is_reader_connected())
    }

    /// Ends the write that waits, and each later one.
    pub(super) fn interrupt(&self) {
        if let Some(handle) = self.handle() {
            handle.interrupt();
        }
    }

    fn handle(&self) -> Option<WriterHandle> {
        lock(&self.handle).clone()
    }

    pub(super) fn counts(&self) -> (u64, u64) {
        (self.counters.frames.get(), self.counters.lost.get())
    }

    pub(super) fn view(&self) -> Subscriber {
        Subscriber {
            buffer: self.buffer.clone(),
            name: self.name.clone(),
            policy: self.policy,
            stats: self.counters.writer(),
            utilization: self.handle().map_or(0.0, |handle| handle.utilization()),
            problem: lock(&self.problem).clone(),
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Connects to a buffer that is complete; half-made ones and such as have a writer are left for
/// later.
pub(super) fn connect(buffer: &str, config: &BroadcastConfig) -> Result<Writer> {
    let mut not_for_long = || ControlFlow::Break(());
    let mut patience = Patience::at_most(Duration::ZERO).asking(&mut not_for_long);
    Writer::connect_within(buffer, config.writer(), &mut patience)
}

#[cfg(test)]
mod tests {
    use super::super::shared::Shared;
    use super::*;
    use crate::{BufferConfig, Reader};
    use std::thread;

    fn shared(what: &str) -> (Shared, Reader, Arc<Seat>) {
        let name = crate::testing::name(what);
        let reader = Reader::create(&format!("{name}@v"), BufferConfig::ring(1024).metadata(0)).unwrap();
        let shared = Shared::new(&name, BroadcastConfig::default());
        let writer = Writer::connect(reader.name()).unwrap();
        shared.admit(Seat::new("v", SlowPolicy::Disconnect, writer));
        let seat = Arc::clone(&shared.list().seats[0]);
        (shared, reader, seat)
    }

    /// It has missed a frame, and would get the next one if it stayed.
    #[test]
    fn who_is_disconnected_is_gone_though_the_finder_looks_at_it() {
        let (shared, _reader, seat) = shared("zb-seat-out");
        let frame = [IoSlice::new(&[1; 100])];
        while seat.offer(&frame) == Offered::Sent {}
        let looks = lock(&seat.writing);
        thread::scope(|scope| {
            let removing = scope.spawn(|| shared.remove(&seat, Offered::Disconnected));
            thread::sleep(Duration::from_millis(50));
            drop(looks);
            removing.join().unwrap();
        });
        assert_eq!(shared.stats().disconnected, 1);
        assert_eq!(shared.list().seats.len(), 0);
        assert_eq!(seat.offer(&frame), Offered::Gone, "no frame comes behind the one that is missing");
    }

    /// The finder does not wait for a write that waits.
    #[test]
    fn the_finder_passes_over_who_is_written_to() {
        let (shared, _reader, seat) = shared("zb-seat-busy");
        let writes = lock(&seat.writing);
        shared.try_remove(&seat, Offered::Gone);
        assert_eq!(shared.list().seats.len(), 1);
        drop(writes);
        shared.try_remove(&seat, Offered::Gone);
        assert_eq!(shared.list().seats.len(), 0);
        assert_eq!(shared.stats().left, 1);
    }
}
