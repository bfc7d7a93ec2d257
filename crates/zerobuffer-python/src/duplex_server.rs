//! `DuplexServerBase`: the native half of the duplex servers. Handlers run on the core's threads, attached.

use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use zerobuffer::BufferConfig;
use zerobuffer::duplex::{BoxError, Failure, ProcessingMode, Responder, Server, ServerConfig};

use crate::duplex_responder::DuplexResponder;
use crate::errors::{client_gone, general, raise};
use crate::frame::{Frame, release};
use crate::logging;
use crate::number::Natural;
use crate::pin::View;
use crate::source::Source;
use crate::wait::Timeout;

/// The native half of the duplex servers.
#[pyclass(frozen, subclass, name = "DuplexServerBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct DuplexServer {
    channel: String,
    buffer: BufferConfig,
    persistent: bool,
    client_timeout: Option<Duration>,
    /// The current run; a server of the core takes its handlers for life.
    server: Mutex<Option<Arc<Server>>>,
}

/// The Python side of a run.
struct Callbacks {
    /// `(Frame, DuplexResponder)`, or `(Frame)` if it edits.
    handler: Py<PyAny>,
    edits: bool,
    server: Mutex<Weak<Server>>,
}

impl DuplexServer {
    fn current(&self) -> Option<Arc<Server>> {
        self.server.lock().clone()
    }
}

#[pymethods]
impl DuplexServer {
    #[new]
    #[pyo3(signature = (channel_name, metadata_size, payload_size, mode, persistent, timeout, global_))]
    fn new(
        channel_name: String,
        metadata_size: Natural<u64>,
        payload_size: Natural<u64>,
        mode: Natural<u32>,
        persistent: bool,
        timeout: Option<f64>,
        global_: bool,
    ) -> PyResult<Self> {
        let client_timeout = match Timeout::from_seconds(timeout)? {
            Timeout::Zero => Some(Duration::ZERO),
            Timeout::For(time) => Some(time),
            Timeout::Never => None,
        };
        let buffer =
            BufferConfig::ring(payload_size.0).metadata(metadata_size.0).mode(mode.0).global(global_);
        let server = Mutex::new(None);
        Ok(Self { channel: channel_name, buffer, persistent, client_timeout, server })
    }

    /// Creates the request buffer and serves; `workers` is 0 for a single thread.
    fn _start(
        &self,
        py: Python<'_>,
        handler: Py<PyAny>,
        edits: bool,
        on_init: Option<Py<PyAny>>,
        on_error: Py<PyAny>,
        workers: usize,
    ) -> PyResult<()> {
        if let Some(server) = self.current()
            && server.is_running()
        {
            return Err(general(format!("the server of channel '{}' is already running", self.channel)));
        }
        let mode =
            NonZeroUsize::new(workers).map_or(ProcessingMode::SingleThread, ProcessingMode::ThreadPool);
        let mut config = ServerConfig::default()
            .buffer(self.buffer.clone())
            .mode(mode)
            .persistent(self.persistent)
            .client_timeout(self.client_timeout)
            .on_error(move |failure| tell(failure, &on_error));
        if let Some(on_init) = on_init {
            config = config.on_init(move |metadata| initialise(metadata, &on_init));
        }
        let callbacks = Arc::new(Callbacks { handler, edits, server: Mutex::new(Weak::new()) });
        let server = Arc::new(Server::new(&self.channel, config));
        *callbacks.server.lock() = Arc::downgrade(&server);
        let started = py.detach(|| {
            if let Some(last) = self.server.lock().take() {
                last.stop();
            }
            server.start(move |frame, responder| callbacks.call(frame, responder))?;
            *self.server.lock() = Some(server);
            Ok(())
        });
        logging::flush(py)?;
        started.map_err(raise)
    }

    /// Stops within 200 ms, from a handler too. False if a handler is still busy: it may finish and answer.
    fn _stop(&self, py: Python<'_>) -> PyResult<bool> {
        let stopped = py.detach(|| self.current().is_none_or(|server| server.stop()));
        logging::flush(py)?;
        Ok(stopped)
    }

    /// Answers what has been sent, then stops. False if that took longer than `timeout` seconds.
    fn _drain(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        if timeout.is_nan() || timeout < 0.0 {
            return Err(PyValueError::new_err("timeout must be a number of seconds, 0 or more"));
        }
        let Some(server) = self.current() else { return Ok(true) };
        let deadline = Timeout::from_seconds(Some(timeout))?.start();
        if !py.detach(|| server.begin_drain()) {
            return Ok(false);
        }
        loop {
            let last = deadline.passed();
            let drained = py.detach(|| server.wait(Some(deadline.slice())));
            logging::flush(py)?;
            if drained {
                return Ok(true);
            }
            if last {
                py.detach(|| server.stop());
                logging::flush(py)?;
                return Ok(false);
            }
            py.check_signals()?;
        }
    }

    #[getter]
    fn is_running(&self) -> bool {
        self.current().is_some_and(|server| server.is_running())
    }

    /// (frames, bytes, utilization, capacity) of the request buffer; None while there is none.
    fn _request_stats(&self) -> Option<(u64, u64, f64, u64)> {
        let handle = self.current()?.request_buffer()?;
        let stats = handle.stats();
        Some((stats.frames, stats.bytes, handle.utilization(), handle.capacity()))
    }

    /// A copy of the client's metadata: a next client may replace them.
    fn _request_metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(handle) = self.current().and_then(|server| server.request_buffer()) else {
            return Ok(None);
        };
        let metadata = handle.metadata().map_err(raise)?;
        Ok(metadata.map(|metadata| PyBytes::new(py, metadata.as_slice())))
    }

    fn _is_client_connected(&self) -> bool {
        let handle = self.current().and_then(|server| server.request_buffer());
        handle.is_some_and(|handle| handle.is_writer_connected())
    }
}

impl Drop for DuplexServer {
    fn drop(&mut self) {
        let server = self.server.get_mut().take();
        // The serving thread may have to attach before it can end.
        let _ = Python::try_attach(|py| py.detach(|| drop(server)));
    }
}

/// Why nothing can be called any more.
fn interpreter_gone() -> BoxError {
    "the Python interpreter is shutting down".into()
}

fn initialise(metadata: Option<&[u8]>, on_init: &Py<PyAny>) -> Result<(), BoxError> {
    let Some(metadata) = metadata else { return Ok(()) };
    let called = Python::try_attach(|py| {
        let view = PyMemoryView::from(PyBytes::new(py, metadata).as_any())?;
        let called = on_init.call1(py, (&view,)).map(drop);
        release(view.as_any())?;
        called
    });
    called.ok_or_else(interpreter_gone)?.map_err(BoxError::from)
}

fn tell(failure: &Failure, on_error: &Py<PyAny>) {
    let _ = Python::try_attach(|py| {
        let told = logging::flush(py).and_then(|()| on_error.call1(py, (exception(py, failure),)).map(drop));
        if let Err(error) = told {
            error.write_unraisable(py, Some(on_error.bind(py)));
        }
    });
}

/// What a failure is in Python: the handler's own exception, or one that says it.
fn exception(py: Python<'_>, failure: &Failure) -> Py<PyAny> {
    let error = match failure {
        Failure::Handler { source, .. } | Failure::Init { source, .. } => {
            match source.downcast_ref::<PyErr>() {
                // An error handler is promised an `Exception`.
                Some(error) if error.is_instance_of::<PyException>(py) => error.clone_ref(py),
                _ => general(failure.to_string()),
            }
        }
        Failure::ClientGone { .. } => client_gone(failure.to_string()),
        _ => general(failure.to_string()),
    };
    error.into_value(py).into_any()
}

impl Callbacks {
    fn call(&self, frame: zerobuffer::Frame, responder: Responder) -> Result<(), BoxError> {
        let handle = self.server.lock().upgrade().and_then(|server| server.request_buffer());
        let Some(handle) = handle else { return Err("the server has been stopped".into()) };
        let called = Python::try_attach(|py| {
            let frame = Bound::new(py, Frame::received(frame, Source::new(handle, false)))?;
            let called = if self.edits {
                self.edit(py, &frame, responder)
            } else {
                self.answer(py, &frame, responder)
            };
            // As in 1.x the frame is released with the handler's return.
            frame.call_method0(intern!(py, "dispose"))?;
            logging::flush(py)?;
            called
        });
        called.ok_or_else(interpreter_gone)?.map_err(BoxError::from)
    }

    fn answer(&self, py: Python<'_>, frame: &Bound<'_, Frame>, responder: Responder) -> PyResult<()> {
        let responder = Bound::new(py, DuplexResponder::new(responder))?;
        let called = self.handler.call1(py, (frame, &responder));
        responder.get().finish(py)?;
        called.map(drop)
    }

    fn edit(&self, py: Python<'_>, frame: &Bound<'_, Frame>, mut responder: Responder) -> PyResult<()> {
        // Held across the handler, which may dispose of the frame.
        let Some(view) = View::acquire(frame.as_any())? else {
            return Err(general("a frame without a buffer"));
        };
        self.handler.call1(py, (frame,))?;
        let bytes = view.bytes().unwrap_or_default();
        py.detach(|| responder.write(bytes)).map(drop).map_err(raise)
    }
}
