//! `ReaderBase`: the native half of `zerobuffer.Reader`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView, PyTuple};
use zerobuffer::{BufferConfig, Error, Newest, Origin, Patience};

use crate::errors::{general, raise};
use crate::event::{Event, Signal};
use crate::frame::Frame;
use crate::logging::{self, READER};
use crate::number::Natural;
use crate::options;
use crate::pin::{Hold, Pin, Region};
use crate::receiving::{LOOK, Received, Receiver, Want};
use crate::source::Source;
use crate::trace::Trace;
use crate::wait::{Deadline, Timeout, in_slices, nothing};

/// The native half of `zerobuffer.Reader`.
#[pyclass(frozen, subclass, name = "ReaderBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct Reader {
    /// Set by `__init__`, so subclasses may have an `__init__` of their own.
    core: OnceLock<Core>,
}

struct Core {
    /// Held while a slice of a wait runs, detached; never while attached except for moments.
    reader: Mutex<Option<Receiver>>,
    source: Arc<Source>,
    /// Frames that a cancelled asynchronous read had already taken, oldest first.
    returned: Mutex<VecDeque<Received>>,
    returned_len: AtomicUsize,
    returned_bytes: AtomicUsize,
    /// Returned frames that `latest` passed over.
    passed_over: AtomicUsize,
    closed: AtomicBool,
    /// Only the newest frame is handed out.
    newest: bool,
    /// What event loops wait for, once one has asked for it.
    event: OnceLock<Signal>,
    origin: Origin,
    trace: Trace,
}

impl Core {
    fn name(&self) -> String {
        self.source.name().to_owned()
    }

    fn gone(&self) -> Error {
        if self.origin.is_forked() {
            Error::Forked { name: self.name() }
        } else {
            Error::Closed { name: self.name() }
        }
    }

    /// A lock that a thread held at the fork stays held in the child for ever: so ask before
    /// waiting for one.
    fn refuse_fork(&self) -> Result<(), Error> {
        if self.origin.is_forked() { Err(Error::Forked { name: self.name() }) } else { Ok(()) }
    }

    #[inline]
    fn read(&self, py: Python<'_>, want: Want, timeout: Timeout) -> PyResult<Option<Frame>> {
        let frame = match self.known(want) {
            Some(frame) => Ok(Some(frame)),
            None => self.read_core(py, want, timeout),
        };
        if let Err(error) = self.tell_read(py, &frame, timeout) {
            // The log runs Python code, whose exception (Ctrl-C) must not cost a frame.
            frame.ok().flatten().into_iter().for_each(|frame| self.take_back(frame));
            return Err(error);
        }
        let frame = frame?;
        Ok(frame.map(|frame| Frame::received(py, frame, Arc::clone(&self.source))))
    }

    /// Logs what the core has said, and the end of a read.
    #[inline]
    fn tell_read(&self, py: Python<'_>, read: &PyResult<Option<Received>>, timeout: Timeout) -> PyResult<()> {
        logging::flush(py)?;
        let Ok(frame) = read else { return Ok(()) };
        if READER.debugging(py)? {
            match frame {
                Some(frame) => self.log_read(py, frame)?,
                None => READER.debug(py, &format!("Read of '{}' timed out after {timeout}", self.name()))?,
            }
        }
        Ok(())
    }

    /// A frame that was taken and reached nobody is read next. Frames may come back in any order;
    /// they are read in the order of the stream.
    fn take_back(&self, taken: Received) {
        if self.closed.load(SeqCst) {
            return;
        }
        let mut returned = self.returned.lock();
        let at = returned.partition_point(|other| other.sequence() < taken.sequence());
        returned.insert(at, taken);
        self.returned_len.store(returned.len(), Relaxed);
        self.returned_bytes.store(returned.iter().map(Received::len).sum(), Relaxed);
        drop(returned);
        self.resume_loops();
    }

    /// The next frame in the usual case. `None` says nothing.
    #[inline]
    fn known(&self, want: Want) -> Option<Received> {
        if matches!(want, Want::Latest) || self.returned_len.load(Relaxed) != 0 {
            return None;
        }
        self.reader.try_lock()?.as_mut()?.known()
    }

    #[inline(never)]
    fn read_core(&self, py: Python<'_>, want: Want, timeout: Timeout) -> PyResult<Option<Received>> {
        if self.returned_len.load(Relaxed) != 0
            && let Some(frame) = self.take_returned(want)
        {
            return Ok(Some(frame));
        }
        // Before an exception is made, the lock is free: that runs Python code.
        match self.read_now(want) {
            Some(Ok(None)) => {}
            Some(done) => return done.map_err(raise),
            None => {
                if let (Timeout::Zero, Some(event)) = (timeout, self.event.get()) {
                    // The thread that has the reader resumes the event loops afterwards.
                    event.drain();
                    match self.read_now(want) {
                        None | Some(Ok(None)) => {}
                        Some(done) => return done.map_err(raise),
                    }
                }
            }
        }
        self.refuse_fork().map_err(raise)?;
        if timeout == Timeout::Zero {
            return Ok(None);
        }
        let deadline = timeout.start();
        // All slices are one wait.
        let mut continued = false;
        let slice = || {
            let read = self.read_slice(want, &deadline, &mut continued);
            self.resume_loops();
            read
        };
        Ok(in_slices(py, &deadline, slice, |py| self.source.stalled(py))?)
    }

    /// One attempt; `None` if another thread has the reader.
    #[inline]
    fn read_now(&self, want: Want) -> Option<Result<Option<Received>, Error>> {
        let mut guard = self.reader.try_lock()?;
        Some(guard.as_mut().map_or_else(|| Err(self.gone()), |reader| reader.now(want)))
    }

    /// A wait of this thread took the wake-ups of event loops: they poll once more.
    fn resume_loops(&self) {
        if let Some(event) = self.event.get() {
            event.signal();
        }
    }

    /// What an event loop waits for; `None` where there is no such thing.
    fn event(&self, py: Python<'_>) -> PyResult<Option<Signal>> {
        if let Some(event) = self.event.get() {
            return Ok(Some(event.clone()));
        }
        self.refuse_fork().map_err(raise)?;
        let made = py.detach(|| match self.reader.lock().as_mut() {
            Some(reader) => reader.event(),
            None => Err(self.gone()),
        });
        let Some(event) = made.map_err(raise)? else { return Ok(None) };
        Ok(Some(self.event.get_or_init(|| event).clone()))
    }

    fn read_slice(
        &self,
        want: Want,
        deadline: &Deadline,
        continued: &mut bool,
    ) -> Result<Option<Received>, Error> {
        if self.returned_len.load(Relaxed) != 0
            && let Some(frame) = self.take_returned(want)
        {
            return Ok(Some(frame));
        }
        let Some(mut guard) = self.reader.try_lock_for(deadline.slice()) else { return Ok(None) };
        let Some(reader) = guard.as_mut() else { return Err(self.gone()) };
        let mut patience = Patience::at_most(deadline.slice()).continued(*continued);
        let frame = reader.within(want, &mut patience);
        *continued = true;
        // Other threads that read take turns.
        MutexGuard::unlock_fair(guard);
        frame
    }

    /// A frame that [`Self::take_back`] has. For `Latest` only if the ring has
    /// nothing newer.
    fn take_returned(&self, want: Want) -> Option<Received> {
        let want = if self.newest { Want::Latest } else { want };
        let mut returned = self.returned.lock();
        let taken = match want {
            Want::Next => returned.pop_front(),
            Want::Latest => {
                let newer = self
                    .reader
                    .try_lock()
                    .and_then(|mut guard| guard.as_mut().and_then(|reader| reader.now(want).ok().flatten()));
                let newest = newer.or_else(|| returned.pop_back());
                self.passed_over.fetch_add(returned.len(), Relaxed);
                returned.clear();
                newest
            }
        };
        self.returned_len.store(returned.len(), Relaxed);
        self.returned_bytes.store(returned.iter().map(Received::len).sum(), Relaxed);
        taken
    }

    fn log_read(&self, py: Python<'_>, frame: &Received) -> PyResult<()> {
        let (sequence, size) = (frame.sequence(), frame.len());
        let name = self.source.name();
        READER.debug(py, &format!("Read frame: buffer='{name}', seq={sequence}, size={size}"))?;
        self.trace.look(py, name, size)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, SeqCst) {
            return Ok(());
        }
        self.source.interrupt();
        let forked = self.refuse_fork().is_err();
        let (result, returned) = py.detach(|| {
            let guard = if forked { self.reader.try_lock() } else { Some(self.reader.lock()) };
            let reader = guard.and_then(|mut guard| guard.take());
            let returned = if forked { VecDeque::new() } else { std::mem::take(&mut *self.returned.lock()) };
            self.returned_len.store(0, Relaxed);
            self.source.close();
            (reader.map_or(Ok(()), Receiver::close), returned)
        });
        drop(returned);
        if !forked {
            self.resume_loops();
        }
        logging::flush(py)?;
        match result {
            Ok(()) | Err(Error::Forked { .. }) => Ok(()),
            // As in 1.x a close does not raise: what could not be cleaned up is said in the log.
            Err(error) => READER.error(py, &format!("Clean-up of '{}' failed: {error}", self.name())),
        }
    }
}

impl Reader {
    fn core(&self) -> PyResult<&Core> {
        self.core.get().ok_or_else(|| general("the Reader is not initialised: its __init__ has not run"))
    }

    /// The core, if it may be used.
    fn open(&self) -> PyResult<&Core> {
        let core = self.core()?;
        core.refuse_fork().map_err(raise)?;
        if core.closed.load(Relaxed) { Err(raise(core.gone())) } else { Ok(core) }
    }
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    #[expect(unused_variables, reason = "taken by __init__")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { core: OnceLock::new() }
    }

    #[pyo3(signature = (name, config = None, *, mode = Natural(0o600), wait = "adaptive", reclaim_on_release = false, prefault = true, global_ = false, newest = false, subscribe = false))]
    #[expect(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "the options of a constructor"
    )]
    fn __init__(
        &self,
        py: Python<'_>,
        name: &str,
        config: Option<&Bound<'_, PyAny>>,
        mode: Natural<u32>,
        wait: &str,
        reclaim_on_release: bool,
        prefault: bool,
        global_: bool,
        newest: bool,
        subscribe: bool,
    ) -> PyResult<()> {
        let sizes: Option<(u64, u64)> = match config {
            None if subscribe => None,
            None => Some((1024, 1024 * 1024)),
            Some(config) => Some((
                config.getattr(intern!(py, "metadata_size"))?.extract::<Natural<u64>>()?.0,
                config.getattr(intern!(py, "payload_size"))?.extract::<Natural<u64>>()?.0,
            )),
        };
        let wait = options::wait_strategy(wait)?;
        if READER.debugging(py)? {
            let what = if subscribe { "subscriber: broadcast" } else { "reader: buffer" };
            let sizes = sizes.map_or_else(String::new, |(metadata, payload)| {
                format!(", metadata_size={metadata}, payload_size={payload}")
            });
            READER.debug(py, &format!("Creating {what}='{name}'{sizes}"))?;
        }
        let reader = py.detach(|| {
            let config = match sizes {
                Some((metadata, payload)) => BufferConfig::ring(payload).metadata(metadata),
                None => BufferConfig::for_subscriber(name),
            };
            let config = config.mode(mode.0).wait(wait).prefault(prefault).global(global_);
            let reader = if subscribe {
                zerobuffer::Reader::subscribe_with(name, config)?
            } else {
                zerobuffer::Reader::create(name, config)?
            };
            if newest { Newest::of(reader).map(Receiver::Newest) } else { Ok(Receiver::Ring(reader)) }
        });
        logging::flush(py)?;
        let reader = match reader {
            Ok(reader) => reader,
            Err(error) => {
                READER.error(py, &format!("Cannot create reader of '{name}': {error}"))?;
                return Err(raise(error));
            }
        };
        let core = Core {
            source: Source::new(reader.handle(), reclaim_on_release),
            reader: Mutex::new(Some(reader)),
            returned: Mutex::new(VecDeque::new()),
            returned_len: AtomicUsize::new(0),
            returned_bytes: AtomicUsize::new(0),
            passed_over: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            newest,
            event: OnceLock::new(),
            origin: Origin::here(),
            trace: Trace::of_reader(),
        };
        if self.core.set(core).is_err() {
            return Err(general("Reader.__init__ may run only once"));
        }
        Ok(())
    }

    /// Reads the next frame; `timeout` in seconds, None waits for ever. None if there is none in
    /// time.
    #[pyo3(signature = (timeout = Some(5.0)), text_signature = "($self, timeout=5.0)")]
    fn read_frame(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Frame>> {
        self.core()?.read(py, Want::Next, Timeout::from_seconds(timeout)?)
    }

    /// Skips to the newest frame; as `read_frame` if there is none yet.
    #[pyo3(signature = (timeout = Some(5.0)), text_signature = "($self, timeout=5.0)")]
    fn latest(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Frame>> {
        self.core()?.read(py, Want::Latest, Timeout::from_seconds(timeout)?)
    }

    /// Releases a frame: the same as `frame.dispose()`.
    #[expect(clippy::unused_self, reason = "a method by contract")]
    fn release_frame(&self, frame: &Bound<'_, PyAny>) -> PyResult<()> {
        match frame.cast_exact::<Frame>() {
            Ok(frame) => frame.get().dispose(frame.py())?,
            // A subclass may have a `dispose` of its own.
            Err(_) => drop(frame.call_method0(intern!(frame.py(), "dispose"))?),
        }
        if READER.debugging(frame.py())? {
            let sequence: u64 = frame.getattr(intern!(frame.py(), "sequence"))?.extract()?;
            READER.debug(frame.py(), &format!("Released frame: seq={sequence}"))?;
        }
        Ok(())
    }

    /// The metadata block as a read-only memoryview: None if never written, empty if written empty.
    fn get_metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        let core = self.open()?;
        let Some(metadata) = core.source.metadata().map_err(raise)? else {
            READER.warning(py, &format!("No metadata in '{}'", core.name()))?;
            return Ok(None);
        };
        let region = Region::of_metadata(&metadata);
        READER.info(py, &format!("Metadata of '{}': {} bytes", core.name(), metadata.data().len()))?;
        let (_, view) = Pin::export(py, region, Some(Hold::Metadata(metadata)))?;
        Ok(Some(view.into_bound(py)))
    }

    /// Whether a writer is attached; with `timeout_ms` waits that long for one. False once closed.
    #[pyo3(signature = (timeout_ms = None))]
    fn is_writer_connected(&self, py: Python<'_>, timeout_ms: Option<f64>) -> PyResult<bool> {
        let core = self.core()?;
        core.refuse_fork().map_err(raise)?;
        let connected = || !core.closed.load(Relaxed) && core.source.is_writer_connected();
        let Some(milliseconds) = timeout_ms else { return Ok(connected()) };
        let deadline = Timeout::from_seconds(Some(milliseconds / 1000.0))?.start();
        let slice = || {
            if connected() || core.closed.load(Relaxed) {
                return Ok(Some(connected()));
            }
            let Some(mut guard) = core.reader.try_lock_for(deadline.slice()) else { return Ok(None) };
            let Some(reader) = guard.as_mut() else { return Ok(Some(false)) };
            let found = reader.wait_for_writer(deadline.slice());
            MutexGuard::unlock_fair(guard);
            core.resume_loops();
            match found {
                Ok(true) if !connected() => {
                    // Frames of one that has gone end that wait at once.
                    thread::sleep(deadline.slice().min(LOOK));
                    Ok(None)
                }
                Ok(found) => Ok(found.then_some(true)),
                Err(Error::Closed { .. }) => Ok(Some(false)),
                Err(error) => Err(error),
            }
        };
        Ok(in_slices(py, &deadline, slice, nothing)?.unwrap_or_else(connected))
    }

    /// The buffer's name.
    #[getter]
    fn _buffer(&self) -> PyResult<String> {
        Ok(self.core()?.name())
    }

    /// Frames handed out so far.
    #[getter]
    fn frames_read(&self) -> PyResult<u64> {
        let core = self.core()?;
        Ok(core.source.summary().stats.frames.saturating_sub(core.returned_len.load(Relaxed) as u64))
    }

    /// Bytes handed out so far, without headers.
    #[getter]
    fn bytes_read(&self) -> PyResult<u64> {
        let core = self.core()?;
        Ok(core.source.summary().stats.bytes.saturating_sub(core.returned_bytes.load(Relaxed) as u64))
    }

    /// Fraction of the ring that is in use, 0.0 to 1.0.
    #[getter]
    fn utilization(&self) -> PyResult<f64> {
        Ok(self.core()?.source.summary().utilization)
    }

    /// Size of the ring in bytes.
    #[getter]
    fn capacity(&self) -> PyResult<u64> {
        Ok(self.core()?.source.summary().capacity)
    }

    /// (frames, bytes, skipped, waits, seconds blocked, held).
    fn _stats(&self) -> PyResult<(u64, u64, u64, u64, f64, usize)> {
        let core = self.core()?;
        let stats = core.source.summary().stats;
        let skipped = stats.skipped + core.passed_over.load(Relaxed) as u64;
        let (frames, bytes, held) = (self.frames_read()?, self.bytes_read()?, core.source.in_hand());
        Ok((frames, bytes, skipped, stats.waits, stats.blocked.as_secs_f64(), held))
    }

    /// Takes an unseen frame back, to be read again first. False if its bytes may have been seen.
    fn _give_back(&self, frame: &Bound<'_, Frame>) -> PyResult<bool> {
        let core = self.core()?;
        let Some(taken) = frame.get().take_back(frame.py(), &core.source) else { return Ok(false) };
        core.take_back(taken);
        Ok(true)
    }

    /// The number of a descriptor for an event loop (`loop.add_reader`, `select.poll`): it is
    /// readable when `read_frame(0)` has something to say, and until that says None.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        match self.open()?.event(py)? {
            Some(event) => Ok(Event(event).fileno()),
            None => Err(PyOSError::new_err("a reader has a descriptor on Linux only")),
        }
    }

    /// The descriptor as an object that keeps it open; None where there is none.
    fn _event(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        Ok(self.open()?.event(py)?.map(Event))
    }

    /// A wait has lasted for long: says what may be the cause.
    fn _stalled(&self, py: Python<'_>) -> PyResult<()> {
        self.open()?.source.stalled(py)
    }

    /// Whether `close` has run.
    #[getter]
    fn closed(&self) -> bool {
        self.core.get().is_none_or(|core| core.closed.load(Relaxed))
    }

    /// Closes the endpoint and removes the buffer; a blocked call of another thread ends at once.
    /// Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.core.get().map_or(Ok(()), |core| core.close(py))
    }
}
