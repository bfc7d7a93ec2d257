//! `WriterBase`: the native half of `zerobuffer.Writer`.

use std::sync::OnceLock;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView, PyTuple};
use zerobuffer::WriterConfig;

use crate::claim::{Export, Reserved};
use crate::errors::{Failed, general, raise};
use crate::event::Event;
use crate::input::{Input, with_bytes};
use crate::loan::Loan;
use crate::logging::WRITER;
use crate::number::FrameSize;
use crate::options;
use crate::pin::{Hold, Pin, Place, View};
use crate::rejoin::Rejoin;
use crate::sending::Sending;
use crate::wait::{SLICE, Timeout, detached, nothing};

/// The native half of `zerobuffer.Writer`.
#[pyclass(frozen, subclass, name = "WriterBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct Writer {
    /// Set by `__init__`, so subclasses may have an `__init__` of their own.
    core: OnceLock<Sending>,
}

impl Writer {
    fn core(&self) -> PyResult<&Sending> {
        self.core.get().ok_or_else(|| general("the Writer is not initialised: its __init__ has not run"))
    }

    /// Reserves a frame and makes its memoryview.
    pub(crate) fn reserve_view<'py>(
        &self,
        py: Python<'py>,
        size: FrameSize,
    ) -> PyResult<(Reserved, Bound<'py, PyMemoryView>)> {
        let size = size.reserved()?;
        let core = self.core()?;
        let reserved = core.reserve(py, size, None);
        if let Err(Failed::Core(error)) = &reserved
            && core.drops(error)
        {
            core.report_drop(py)?;
        }
        let reserved = reserved?;
        let mapping = reserved.mapping.clone();
        let (pin, view) = Pin::export(py, reserved.region, Some(Hold::Mapping(mapping)))?;
        core.remember(py, reserved.generation, Export { view: view.clone_ref(py), pin })?;
        if WRITER.debugging(py)? {
            WRITER.debug(py, &format!("Reserved frame: buffer='{}', size={size}", core.name()))?;
        }
        Ok((reserved, view.into_bound(py)))
    }

    /// Publishes the reserved frame, or its first `len` bytes.
    pub(crate) fn commit(&self, py: Python<'_>, generation: Option<u64>, len: Option<usize>) -> PyResult<()> {
        self.core()?.commit(py, generation, len)
    }

    /// Gives the reserved frame up.
    pub(crate) fn abort(&self, py: Python<'_>, generation: Option<u64>) -> PyResult<bool> {
        self.core()?.abort(py, generation)
    }

    pub(crate) fn name(&self) -> &str {
        self.core.get().map_or("", Sending::name)
    }

    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<Timeout>) -> PyResult<()> {
        let core = self.core()?;
        match Input::take(data, &mut Place::new())? {
            Input::Bytes(bytes) => core.write(py, bytes.as_bytes(), timeout),
            Input::View(view) => match view.bytes() {
                Some(bytes) => core.write(py, bytes, timeout),
                None => write_gathered(py, core, &view, timeout),
            },
        }
    }
}

/// Writes what lies in pieces: reserved, gathered straight into the ring, committed.
fn write_gathered(py: Python<'_>, core: &Sending, view: &View<'_>, timeout: Option<Timeout>) -> PyResult<()> {
    let reserved = match core.reserve(py, view.len(), timeout) {
        Err(Failed::Core(error)) if core.drops(&error) => return core.report_drop(py),
        other => other?,
    };
    let (pin, own_view) = Pin::export(py, reserved.region, Some(Hold::Mapping(reserved.mapping)))?;
    drop(own_view);
    match pin.get().copy_from(py, view) {
        Ok(()) => core.commit(py, Some(reserved.generation), None),
        Err(error) => {
            core.abort(py, Some(reserved.generation))?;
            Err(error)
        }
    }
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    #[expect(unused_variables, reason = "taken by __init__")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { core: OnceLock::new() }
    }

    #[pyo3(signature = (name, *, timeout = Some(0.0), write_timeout_ns = 5_000_000_000, full = "block", wait = "adaptive", owner = None, reconnect = false))]
    #[expect(clippy::too_many_arguments, reason = "the options of a constructor")]
    fn __init__(
        &self,
        py: Python<'_>,
        name: &str,
        timeout: Option<f64>,
        write_timeout_ns: u64,
        full: &str,
        wait: &str,
        owner: Option<&Bound<'_, PyAny>>,
        reconnect: bool,
    ) -> PyResult<()> {
        let full = options::full_ring(full)?;
        let config = WriterConfig::default()
            .wait(options::wait_strategy(wait)?)
            .full_ring(full)
            .owner(options::owner(owner)?)
            // For metadata of a reconnecting writer; what waits longer has a patience of its own.
            .write_timeout(Some(SLICE));
        let timeout = Timeout::from_seconds(timeout)?;
        if WRITER.debugging(py)? {
            WRITER.debug(py, &format!("Connecting writer: buffer='{name}', timeout={timeout}"))?;
        }
        let connected = detached(py, timeout, nothing, |patience| {
            zerobuffer::Writer::connect_within(name, config.clone(), patience)
        });
        let writer = match connected? {
            Ok(writer) => writer,
            Err(error) => {
                WRITER.error(py, &format!("Cannot connect writer to '{name}': {error}"))?;
                return Err(raise(error));
            }
        };
        let rejoin = reconnect.then(|| Rejoin::new(name, &config));
        let write_timeout = Duration::from_nanos(write_timeout_ns);
        if self.core.set(Sending::new(writer, full, write_timeout, rejoin)).is_err() {
            return Err(general("Writer.__init__ may run only once"));
        }
        Ok(())
    }

    /// Writes one frame, copied once into the ring.
    fn write_frame(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.write(py, data, None)
    }

    /// As `write_frame`, with a timeout in seconds of its own.
    fn _write_within(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: f64) -> PyResult<()> {
        self.write(py, data, Some(Timeout::from_seconds(Some(timeout))?))
    }

    /// Writes without waiting; False if that has to be tried again, when `_event` is readable.
    fn _try_write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, again: bool) -> PyResult<bool> {
        let core = self.core()?;
        with_bytes(data, |bytes| core.try_write(py, bytes, again))
    }

    /// What says that `_try_write` may succeed; None where there is no such thing, and while there
    /// is no reader.
    fn _event(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        Ok(self.core()?.event(py)?.map(Event))
    }

    /// Reserves a frame of `size` bytes and returns its place in the ring as a writable memoryview.
    fn get_frame_buffer<'py>(&self, py: Python<'py>, size: FrameSize) -> PyResult<Bound<'py, PyMemoryView>> {
        Ok(self.reserve_view(py, size)?.1)
    }

    /// Publishes the frame of `get_frame_buffer`, or its first `size` bytes; the memoryview is
    /// released.
    #[pyo3(signature = (*, size = None))]
    fn commit_frame(&self, py: Python<'_>, size: Option<FrameSize>) -> PyResult<()> {
        let len = size.map(FrameSize::reserved).transpose()?;
        self.commit(py, None, len)
    }

    /// Gives the frame of `get_frame_buffer` up; nothing is published. Whether there was one.
    fn abort_frame(&self, py: Python<'_>) -> PyResult<bool> {
        self.abort(py, None)
    }

    /// `with writer.loan(size) as view:` writes a frame in place; it is committed unless an
    /// exception leaves the block. With a `dtype`, `size` is a shape, and `view.array()` an array
    /// of it.
    #[pyo3(signature = (size, dtype = None))]
    fn loan(slf: &Bound<'_, Self>, size: &Bound<'_, PyAny>, dtype: Option<Py<PyAny>>) -> PyResult<Loan> {
        slf.get().core()?;
        Loan::of(slf, size, dtype)
    }

    /// Writes the metadata block; once per writer.
    fn set_metadata(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let core = self.core()?;
        with_bytes(data, |bytes| core.set_metadata(py, bytes))
    }

    /// Whether the reader is there. False once closed.
    fn is_reader_connected(&self) -> PyResult<bool> {
        self.core()?.is_reader_connected()
    }

    /// Frames written so far.
    #[getter]
    fn frames_written(&self) -> PyResult<u64> {
        Ok(self.core()?.summary().stats.frames)
    }

    /// Bytes written so far, without headers.
    #[getter]
    fn bytes_written(&self) -> PyResult<u64> {
        Ok(self.core()?.summary().stats.bytes)
    }

    /// Fraction of the ring that is in use, 0.0 to 1.0.
    #[getter]
    fn utilization(&self) -> PyResult<f64> {
        Ok(self.core()?.summary().utilization)
    }

    /// Size of the ring in bytes.
    #[getter]
    fn capacity(&self) -> PyResult<u64> {
        Ok(self.core()?.summary().capacity)
    }

    /// (frames, bytes, dropped, waits, seconds blocked).
    fn _stats(&self) -> PyResult<(u64, u64, u64, u64, f64)> {
        let stats = self.core()?.summary().stats;
        Ok((stats.frames, stats.bytes, stats.dropped, stats.waits, stats.blocked.as_secs_f64()))
    }

    /// Times that the writer has attached to another reader.
    #[getter]
    fn reconnects(&self) -> PyResult<u64> {
        Ok(self.core()?.reconnects())
    }

    #[getter]
    fn _write_timeout_ns(&self) -> PyResult<u64> {
        Ok(self.core()?.write_timeout_ns())
    }

    #[setter(_write_timeout_ns)]
    fn change_write_timeout_ns(&self, value: u64) -> PyResult<()> {
        self.core()?.set_write_timeout_ns(value);
        Ok(())
    }

    /// The sequence number of the next frame.
    #[getter]
    fn _sequence_number(&self) -> PyResult<u64> {
        Ok(self.core()?.next_sequence())
    }

    /// Whether `close` has run.
    #[getter]
    fn closed(&self) -> bool {
        self.core.get().is_none_or(Sending::is_closed)
    }

    /// Closes the endpoint; a blocked call of another thread ends at once. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.core.get().map_or(Ok(()), |core| core.close(py))
    }
}
