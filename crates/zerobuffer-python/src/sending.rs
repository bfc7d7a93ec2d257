//! The sending side behind `WriterBase`: the writer, its reader's successors, its end.

mod looped;
mod reserved;
mod turns;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;
use zerobuffer::{Error, FullRingPolicy, Origin, Outcome, Patience, WriterHandle, WriterStats};

use crate::claim::{End as Ending, Inner};
use crate::ends::End;
use crate::errors::{Failed, raise};
use crate::event::Signal;
use crate::logging::{self, WRITER};
use crate::rejoin::Rejoin;
use crate::trace::Trace;
use crate::wait::{Timeout, in_slices, nothing};
use turns::Attempt;

/// Up to here a copy is cheaper than letting go of the interpreter and taking it back.
pub(crate) const COPY_ATTACHED: usize = 32 * 1024;

/// What a writer says of itself, also once it is closed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) stats: WriterStats,
    pub(crate) utilization: f64,
    pub(crate) capacity: u64,
}

impl Summary {
    fn of(handle: &WriterHandle) -> Self {
        Self { stats: handle.stats(), utilization: handle.utilization(), capacity: handle.capacity() }
    }
}

/// An open (or closed) writer.
pub(crate) struct Sending {
    /// Held while a slice of a wait runs, detached; never while attached except for moments.
    inner: Mutex<Inner>,
    /// Signalled when a reservation ends.
    freed: Condvar,
    /// Set when `inner` has views to release.
    retired: AtomicBool,
    name: String,
    end: End<WriterHandle, Summary>,
    /// A full ring is waited for; the other policies answer at once.
    blocks: bool,
    /// A full ring drops the frame.
    drops: bool,
    /// The first one that was dropped has been reported.
    reported_drop: AtomicBool,
    write_timeout_ns: AtomicU64,
    next_sequence: AtomicU64,
    closed: AtomicBool,
    /// Another reader is attached to when this one has gone.
    rejoin: Option<Rejoin>,
    /// What event loops wait for, once one has asked for it: of the present connection.
    event: Mutex<Option<Signal>>,
    /// Whether there is one, or was.
    looped: AtomicBool,
    /// An event loop has tried while another thread wrote or had a frame reserved.
    turned_away: AtomicBool,
    origin: Origin,
    trace: Trace,
}

impl Sending {
    pub(crate) fn new(
        writer: zerobuffer::Writer,
        full: FullRingPolicy,
        write_timeout: Duration,
        rejoin: Option<Rejoin>,
    ) -> Self {
        Self {
            name: writer.name().to_owned(),
            end: End::new(writer.handle()),
            next_sequence: AtomicU64::new(writer.next_sequence()),
            inner: Mutex::new(Inner::new(writer)),
            freed: Condvar::new(),
            retired: AtomicBool::new(false),
            blocks: full == FullRingPolicy::Block,
            drops: full == FullRingPolicy::DropNewest,
            reported_drop: AtomicBool::new(false),
            write_timeout_ns: AtomicU64::new(write_timeout.as_nanos() as u64),
            closed: AtomicBool::new(false),
            rejoin,
            event: Mutex::new(None),
            looped: AtomicBool::new(false),
            turned_away: AtomicBool::new(false),
            origin: Origin::here(),
            trace: Trace::of_writer(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn summary(&self) -> Summary {
        let now = self.end.summary(Summary::of);
        match &self.rejoin {
            Some(rejoin) => Summary { stats: rejoin.total(now.stats), ..now },
            None => now,
        }
    }

    /// Times that another reader was attached to.
    pub(crate) fn reconnects(&self) -> u64 {
        self.rejoin.as_ref().map_or(0, Rejoin::count)
    }

    /// Attaches to another reader if this one has gone, and that is wanted.
    fn attach(&self, inner: &mut Inner) -> Result<(), Error> {
        let Some(rejoin) = self.rejoin.as_ref().filter(|_| !self.is_closed()) else {
            return if inner.writer.is_some() { Ok(()) } else { Err(self.gone()) };
        };
        if inner.writer.is_some() && !self.end.open().is_some_and(|handle| rejoin.is_lost(&handle)) {
            return Ok(());
        }
        self.leave(inner);
        let writer = rejoin.attempt()?;
        self.end.replace(Some(writer.handle()));
        self.next_sequence.store(writer.next_sequence(), Relaxed);
        inner.writer = Some(writer);
        Ok(())
    }

    fn leave(&self, inner: &mut Inner) {
        if let (Some(rejoin), Some(writer)) = (&self.rejoin, inner.writer.take()) {
            self.end.replace(None);
            rejoin.leave(writer);
            self.end_event();
        }
    }

    /// A frame was dropped, and is counted. Of the first one more is said: no call fails.
    pub(crate) fn report_drop(&self, py: Python<'_>) -> PyResult<()> {
        if self.reported_drop.swap(true, Relaxed) {
            return Ok(());
        }
        let why = if self.end.open().is_some() { "the ring is full" } else { "there is no reader" };
        let text = format!(
            "buffer '{}': a frame was dropped, since {why} (full=\"drop\"). Further ones are counted in stats.dropped \
             and not reported. A larger payload_size of the reader has room for more, and a slow reader loses nothing \
             that it wants with newest=True",
            self.name()
        );
        WRITER.warning(py, &text)
    }

    /// Whether a frame that could not be sent is dropped, and counted.
    pub(crate) fn drops(&self, error: &Error) -> bool {
        match (error, &self.rejoin) {
            // The core has counted it.
            (Error::Full { .. }, _) => self.drops,
            (Error::ReaderGone { .. }, Some(rejoin)) if self.drops => {
                rejoin.drop_frame();
                true
            }
            _ => false,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(crate) fn write_timeout_ns(&self) -> u64 {
        self.write_timeout_ns.load(Relaxed)
    }

    pub(crate) fn set_write_timeout_ns(&self, value: u64) {
        self.write_timeout_ns.store(value, Relaxed);
    }

    fn gone(&self) -> Error {
        let name = self.name().to_owned();
        if self.origin.is_forked() { Error::Forked { name } } else { Error::Closed { name } }
    }

    /// Whether there is no writer any more, nor will be.
    fn is_over(&self, inner: &Inner) -> bool {
        inner.writer.is_none() && (self.rejoin.is_none() || self.is_closed())
    }

    /// A lock that a thread held at the fork stays held in the child for ever: so ask before
    /// waiting for one.
    fn refuse_fork(&self) -> Result<(), Error> {
        if self.origin.is_forked() { Err(self.gone()) } else { Ok(()) }
    }

    /// Writes a frame that lies in one piece.
    pub(crate) fn write(&self, py: Python<'_>, bytes: &[u8], timeout: Option<Timeout>) -> PyResult<()> {
        let sequence = self.write_core(py, bytes, timeout);
        self.release_retired(py)?;
        logging::flush(py)?;
        self.wrote(py, bytes.len(), sequence?)
    }

    /// A frame was written, or dropped: it has no number then.
    #[inline]
    fn wrote(&self, py: Python<'_>, size: usize, sequence: Option<u64>) -> PyResult<()> {
        match sequence {
            Some(sequence) => self.next_sequence.store(sequence.wrapping_add(1), Relaxed),
            None => self.report_drop(py)?,
        }
        if WRITER.debugging(py)? {
            self.log_write(py, size, sequence)?;
        }
        Ok(())
    }

    fn write_core(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        timeout: Option<Timeout>,
    ) -> Result<Option<u64>, Failed> {
        if bytes.len() <= COPY_ATTACHED {
            match self.attempt(|inner| self.write_now(inner, bytes)) {
                Attempt::Busy => {}
                Attempt::Done(Err(Error::Full { .. })) if self.blocks => {}
                Attempt::Done(Err(Error::ReaderGone { .. })) if self.rejoin.is_some() => {}
                Attempt::Done(result) => return Ok(result?.sequence()),
            }
        }
        let outcome = self.repeat(py, timeout, |inner, patience| match inner.writer.as_mut() {
            Some(writer) => writer.write_with(bytes, patience),
            None => Err(self.gone()),
        });
        match outcome {
            Ok(outcome) => Ok(outcome.sequence()),
            Err(Failed::Core(error)) if self.drops(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes without waiting; as the policy says, if that is not to wait.
    #[inline]
    fn write_now(&self, inner: &mut Inner, bytes: &[u8]) -> Result<Outcome, Error> {
        match inner.writer.as_mut() {
            Some(writer) if self.blocks => writer.try_write(bytes),
            Some(writer) => writer.write(bytes),
            None => Err(self.gone()),
        }
    }

    fn log_write(&self, py: Python<'_>, size: usize, sequence: Option<u64>) -> PyResult<()> {
        let name = self.name();
        let text = match sequence {
            Some(sequence) => format!("Wrote frame: buffer='{name}', seq={sequence}, size={size}"),
            None => format!("Dropped frame: buffer='{name}', size={size}"),
        };
        WRITER.debug(py, &text)?;
        self.trace.look(py, name, size)
    }

    /// Writes the metadata block. An earlier writer's are replaced when its frames are taken, in
    /// the write timeout.
    pub(crate) fn set_metadata(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        self.refuse_fork().map_err(raise)?;
        let deadline = Timeout::from(Duration::from_nanos(self.write_timeout_ns())).start();
        let mut in_use = None;
        let slice = || {
            let written = match self.inner.lock().writer.as_mut() {
                Some(writer) => writer.set_metadata_with(bytes, &mut Patience::at_most(deadline.slice())),
                None if self.rejoin.is_some() && !self.is_closed() => Ok(()),
                None => Err(self.gone()),
            };
            match written {
                Err(error @ Error::MetadataInUse { .. }) => {
                    in_use = Some(error.after(deadline.waited()));
                    Ok(None)
                }
                written => written.map(Some),
            }
        };
        let result = match in_slices(py, &deadline, slice, nothing) {
            Ok(Some(())) => Ok(()),
            Ok(None) => in_use.map_or(Ok(()), Err),
            Err(Failed::Core(error)) => Err(error),
            Err(Failed::Python(error)) => return Err(error),
        };
        let result = match (result, &self.rejoin) {
            // The next reader gets it.
            (Ok(()) | Err(Error::ReaderGone { .. }), Some(rejoin)) => {
                rejoin.remember(bytes);
                Ok(())
            }
            (result, _) => result,
        };
        result.map_err(raise)
    }

    pub(crate) fn is_reader_connected(&self) -> PyResult<bool> {
        self.refuse_fork().map_err(raise)?;
        Ok(!self.is_closed() && self.end.open().is_some_and(|handle| handle.is_reader_connected()))
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence.load(Relaxed)
    }

    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, SeqCst) {
            return Ok(());
        }
        if let Some(handle) = self.end.open() {
            handle.interrupt();
        }
        let forked = self.refuse_fork().is_err();
        let result = py.detach(|| {
            let guard = if forked { self.inner.try_lock() } else { Some(self.inner.lock()) };
            let writer = guard.and_then(|mut inner| {
                inner.abandon(Ending::Displaced);
                self.note_retired(&inner);
                inner.writer.take()
            });
            self.freed.notify_all();
            self.end.close(Summary::of);
            writer.map_or(Ok(()), zerobuffer::Writer::close)
        });
        if !forked {
            self.end_event();
        }
        self.release_retired(py)?;
        logging::flush(py)?;
        match result {
            Ok(()) | Err(Error::Forked { .. }) => Ok(()),
            // As in 1.x a close does not raise: what could not be cleaned up is said in the log.
            Err(error) => WRITER.error(py, &format!("Clean-up of '{}' failed: {error}", self.name())),
        }
    }
}
