//! The sending side behind `WriterBase`: turns between threads, waits in slices, reservations.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use std::{process, thread};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use zerobuffer::{Error, FullRingPolicy, Patience, WriterHandle, WriterStats};

use crate::claim::{End as Ending, Export, Inner, Owner, Reserved};
use crate::ends::End;
use crate::errors::{full, general, raise};
use crate::frame::release;
use crate::logging::{self, WRITER};
use crate::rejoin::Rejoin;
use crate::source::writer_stalled;
use crate::trace::Trace;
use crate::wait::{Deadline, Timeout};

/// Up to here a copy is cheaper than letting go of the interpreter and taking it back.
const COPY_ATTACHED: usize = 32 * 1024;

/// Time between two attempts to attach to another reader.
const ATTEMPT: Duration = Duration::from_millis(5);

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
    write_timeout_ns: AtomicU64,
    next_sequence: AtomicU64,
    closed: AtomicBool,
    /// Another reader is attached to when this one has gone.
    rejoin: Option<Rejoin>,
    pid: u32,
    trace: Trace,
}

/// Why an operation ended without a result.
pub(crate) enum Failed {
    /// The core refused.
    Core(Error),
    /// Python did: a signal handler raised, for instance.
    Python(PyErr),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Failed {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failed> for PyErr {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Core(error) => raise(error),
            Failed::Python(error) => error,
        }
    }
}

/// How one attempt ended.
enum Attempt<T> {
    /// With a result of the core.
    Done(Result<T, Error>),
    /// Another thread had the lock, or has a frame reserved.
    Busy,
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
            write_timeout_ns: AtomicU64::new(write_timeout.as_nanos() as u64),
            closed: AtomicBool::new(false),
            rejoin,
            pid: process::id(),
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
        }
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
        if process::id() == self.pid { Error::Closed { name } } else { Error::Forked { name } }
    }

    /// A lock that a thread held at the fork stays held in the child for ever: so ask before
    /// waiting for one.
    fn refuse_fork(&self) -> Result<(), Error> {
        if process::id() == self.pid { Ok(()) } else { Err(self.gone()) }
    }

    /// One attempt while attached: nothing in it waits.
    fn attempt<T>(&self, operation: impl FnOnce(&mut Inner) -> Result<T, Error>) -> Attempt<T> {
        let Some(mut inner) = self.inner.try_lock() else { return Attempt::Busy };
        if inner.writer.is_none() && (self.rejoin.is_none() || self.is_closed()) {
            return Attempt::Done(Err(self.gone()));
        }
        let looks = self.rejoin.as_ref().is_some_and(|rejoin| inner.writer.is_none() || rejoin.is_due());
        if !inner.is_free() || looks {
            return Attempt::Busy;
        }
        Attempt::Done(operation(&mut inner))
    }

    /// One detached slice.
    fn slice<T>(
        &self,
        deadline: &Deadline,
        continued: &mut bool,
        operation: impl FnOnce(&mut Inner, &mut Patience<'_>) -> Result<T, Error>,
    ) -> Attempt<T> {
        let Some(mut inner) = self.inner.try_lock_for(deadline.slice()) else { return Attempt::Busy };
        if !inner.is_free() {
            self.freed.wait_for(&mut inner, deadline.slice());
            if !inner.is_free() {
                return Attempt::Busy;
            }
        }
        if let Err(error) = self.attach(&mut inner) {
            return Attempt::Done(Err(error));
        }
        let mut patience = Patience::at_most(deadline.slice()).continued(*continued);
        let result = operation(&mut inner, &mut patience);
        *continued = true;
        if matches!(result, Err(Error::ReaderGone { .. })) {
            self.leave(&mut inner);
        }
        // Other threads that write take turns.
        MutexGuard::unlock_fair(inner);
        Attempt::Done(result)
    }

    /// Repeats `operation` slice by slice until it succeeds or the time is up.
    fn repeat<T: Send>(
        &self,
        py: Python<'_>,
        timeout: Option<Timeout>,
        operation: impl Fn(&mut Inner, &mut Patience<'_>) -> Result<T, Error> + Sync,
    ) -> Result<T, Failed> {
        self.refuse_fork()?;
        let deadline =
            timeout.unwrap_or_else(|| Duration::from_nanos(self.write_timeout_ns()).into()).start();
        let mut collected = 0;
        let mut waited = false;
        // All slices are one wait.
        let mut continued = false;
        let mut left = false;
        loop {
            let last = deadline.passed();
            // Another thread that keeps a frame reserved for as long as we wait has given it up.
            self.clear_the_way(py, last && waited)?;
            let attempt = py.detach(|| self.slice(&deadline, &mut continued, &operation));
            self.release_retired(py)?;
            logging::flush(py)?;
            match attempt {
                Attempt::Done(Err(Error::Full {
                    name, needed, free, largest_gap, held, capacity, ..
                })) if self.blocks => {
                    if last {
                        let waited = deadline.waited();
                        return Err(
                            Error::Full { name, needed, free, largest_gap, held, capacity, waited }.into()
                        );
                    }
                }
                Attempt::Done(Err(error @ Error::ReaderGone { .. })) if self.rejoin.is_some() => {
                    // The first time the next reader may be there already.
                    if left && (last || !self.blocks) {
                        return Err(error.into());
                    }
                    if left {
                        py.detach(|| thread::sleep(deadline.slice().min(ATTEMPT)));
                    }
                    left = true;
                }
                Attempt::Done(result) => return Ok(result?),
                Attempt::Busy if last => return Err(self.busy().into()),
                Attempt::Busy => {}
            }
            waited = true;
            py.check_signals()?;
            if self.is_closed() {
                return Err(self.gone().into());
            }
            writer_stalled(py, &mut collected)?;
        }
    }

    /// Ends a reservation that stands in the way: the caller's own, that of a thread that has
    /// ended, or, with `evict`, any. Its view is released first, so nobody writes into a place that
    /// is used again. A view of another thread that cannot be released, as arrays made from it
    /// live, is left alone.
    fn clear_the_way(&self, py: Python<'_>, evict: bool) -> PyResult<()> {
        let standing = self.inner.try_lock().and_then(|inner| inner.in_the_way(py));
        let Some((generation, owner, export)) = standing else { return Ok(()) };
        if owner == Owner::Other && !evict {
            return Ok(());
        }
        let released = match export {
            Some(export) => export.end(py)?,
            // Not handed out yet, by a call that is still running.
            None => owner != Owner::Other,
        };
        if !released && owner != Owner::Caller {
            return Ok(());
        }
        {
            let mut inner = self.inner.lock_py_attached(py);
            if inner.reserved(Some(generation)).is_some() {
                inner.abandon(Ending::Displaced);
            }
            self.note_retired(&inner);
        }
        self.freed.notify_all();
        Ok(())
    }

    fn busy(&self) -> PyErr {
        full(format!(
            "buffer '{}': another thread is writing, or has a frame reserved in which memoryviews or arrays still \
             write: it must be committed or aborted, and they must be dropped",
            self.name()
        ))
    }

    /// Writes a frame that lies in one piece.
    pub(crate) fn write(&self, py: Python<'_>, bytes: &[u8], timeout: Option<Timeout>) -> PyResult<()> {
        let sequence = self.write_core(py, bytes, timeout);
        self.release_retired(py)?;
        logging::flush(py)?;
        let sequence = sequence?;
        if let Some(sequence) = sequence {
            self.next_sequence.store(sequence.wrapping_add(1), Relaxed);
        }
        if WRITER.debugging(py)? {
            self.log_write(py, bytes.len(), sequence)?;
        }
        Ok(())
    }

    fn write_core(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        timeout: Option<Timeout>,
    ) -> Result<Option<u64>, Failed> {
        let now = |inner: &mut Inner| match inner.writer.as_mut() {
            Some(writer) if self.blocks => writer.try_write(bytes),
            Some(writer) => writer.write(bytes),
            None => Err(self.gone()),
        };
        if bytes.len() <= COPY_ATTACHED {
            match self.attempt(now) {
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

    fn log_write(&self, py: Python<'_>, size: usize, sequence: Option<u64>) -> PyResult<()> {
        let name = self.name();
        let text = match sequence {
            Some(sequence) => format!("Wrote frame: buffer='{name}', seq={sequence}, size={size}"),
            None => format!("Dropped frame: buffer='{name}', size={size}, the ring is full"),
        };
        WRITER.debug(py, &text)?;
        self.trace.look(py, name, size)
    }

    /// Reserves a frame.
    pub(crate) fn reserve(
        &self,
        py: Python<'_>,
        size: usize,
        timeout: Option<Timeout>,
    ) -> Result<Reserved, Failed> {
        let reserved = match self.attempt(|inner| {
            let mut no_time = Patience::at_most(Duration::ZERO);
            inner.reserve(size, (!self.blocks).then_some(&mut no_time))
        }) {
            Attempt::Busy => None,
            Attempt::Done(Err(Error::Full { .. })) if self.blocks => None,
            Attempt::Done(Err(Error::ReaderGone { .. })) if self.rejoin.is_some() => None,
            Attempt::Done(result) => Some(result),
        };
        self.release_retired(py)?;
        logging::flush(py)?;
        match reserved {
            Some(result) => Ok(result?),
            None => self.repeat(py, timeout, |inner, patience| inner.reserve(size, Some(patience))),
        }
    }

    /// Remembers how Python sees a reservation, to release it when the reservation ends.
    pub(crate) fn remember(&self, py: Python<'_>, generation: u64, export: Export) -> PyResult<()> {
        let kept = {
            let mut inner = self.inner.lock_py_attached(py);
            let kept = inner.remember(generation, export);
            self.note_retired(&inner);
            kept
        };
        self.release_retired(py)?;
        if kept { Ok(()) } else { Err(raise(self.gone())) }
    }

    /// Publishes the reserved frame, or its first `len` bytes.
    pub(crate) fn commit(&self, py: Python<'_>, generation: Option<u64>, len: Option<usize>) -> PyResult<()> {
        self.refuse_fork().map_err(raise)?;
        let result = {
            let mut inner = self.inner.lock_py_attached(py);
            let reserved = inner.reserved(generation);
            if inner.writer.is_none() && (self.rejoin.is_none() || self.is_closed()) {
                return Err(raise(self.gone()));
            }
            let Some(size) = reserved else {
                return Err(match generation {
                    None => raise(Error::NothingPending { name: self.name().to_owned() }),
                    Some(_) => general(format!(
                        "the frame reserved in '{}' was given up before its commit: its thread reserved or wrote \
                         another one, or another thread waited longer than the write timeout",
                        self.name()
                    )),
                });
            };
            let Some(writer) = inner.writer.as_mut() else { return Err(raise(self.gone())) };
            let len = len.unwrap_or(size);
            if len == 0 || len > size {
                let (name, len, loaned) = (self.name().to_owned(), len as u64, size as u64);
                let reason = "a frame has at least 1 byte and at most what was reserved";
                return Err(raise(Error::InvalidCommit { name, len, loaned, reason }));
            }
            let result = writer.commit(len).map(|sequence| (sequence, len));
            inner.settle();
            self.note_retired(&inner);
            result
        };
        self.freed.notify_all();
        self.release_retired(py)?;
        logging::flush(py)?;
        let (sequence, len) = result.map_err(raise)?;
        self.next_sequence.store(sequence.wrapping_add(1), Relaxed);
        if WRITER.debugging(py)? {
            self.log_write(py, len, Some(sequence))?;
        }
        Ok(())
    }

    /// Gives the reserved frame up; whether there was one.
    pub(crate) fn abort(&self, py: Python<'_>, generation: Option<u64>) -> PyResult<bool> {
        self.refuse_fork().map_err(raise)?;
        let aborted = {
            let mut inner = self.inner.lock_py_attached(py);
            let aborted = inner.reserved(generation).is_some();
            if aborted {
                inner.abandon(Ending::AskedFor);
            }
            self.note_retired(&inner);
            aborted
        };
        self.freed.notify_all();
        self.release_retired(py)?;
        logging::flush(py)?;
        Ok(aborted)
    }

    /// Writes the metadata block. An earlier writer's are replaced when its frames are taken, in
    /// the write timeout.
    pub(crate) fn set_metadata(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        self.refuse_fork().map_err(raise)?;
        let deadline = Timeout::from(Duration::from_nanos(self.write_timeout_ns())).start();
        let result = loop {
            let last = deadline.passed();
            let result = py.detach(|| match self.inner.lock().writer.as_mut() {
                Some(writer) => writer.set_metadata_with(bytes, &mut Patience::at_most(deadline.slice())),
                None if self.rejoin.is_some() && !self.is_closed() => Ok(()),
                None => Err(self.gone()),
            });
            logging::flush(py)?;
            match result {
                Err(Error::MetadataInUse { name, unread, .. }) if last => {
                    break Err(Error::MetadataInUse { name, unread, waited: deadline.waited() });
                }
                Err(Error::MetadataInUse { .. }) => py.check_signals()?,
                result => break result,
            }
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
        self.release_retired(py)?;
        logging::flush(py)?;
        match result {
            Ok(()) | Err(Error::Forked { .. }) => Ok(()),
            // As in 1.x a close does not raise: what could not be cleaned up is said in the log.
            Err(error) => WRITER.error(py, &format!("Clean-up of '{}' failed: {error}", self.name())),
        }
    }

    fn note_retired(&self, inner: &Inner) {
        if inner.has_retired() {
            self.retired.store(true, SeqCst);
        }
    }

    /// Releases the views of ended reservations: what they show may be a published frame by now.
    fn release_retired(&self, py: Python<'_>) -> PyResult<()> {
        if !self.retired.load(Relaxed) || self.refuse_fork().is_err() {
            return Ok(());
        }
        self.retired.store(false, SeqCst);
        let exports = self.inner.lock_py_attached(py).take_retired();
        for export in exports {
            release(export.view.bind(py).as_any())?;
        }
        Ok(())
    }
}
