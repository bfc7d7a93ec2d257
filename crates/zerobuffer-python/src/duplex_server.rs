//! `DuplexServerBase`: the native half of the duplex servers. Handlers run on the core's threads,
//! attached.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{mem, thread};

use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use zerobuffer::duplex::{BoxError, Failure, HandlerError, ProcessingMode, Responder, Server, ServerConfig};
use zerobuffer::{BufferConfig, Owner};

use crate::duplex_responder::{DuplexResponder, finished, written};
use crate::errors::{client_gone, general, raise, raise_answering};
use crate::frame::{Frame, release};
use crate::input::with_bytes;
use crate::logging;
use crate::number::Natural;
use crate::options;
use crate::pin::{Place, Refused, View};
use crate::receiving::Received;
use crate::source::Source;
use crate::wait::{Timeout, detached, nothing};

/// The native half of the duplex servers.
#[pyclass(frozen, subclass, name = "DuplexServerBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct DuplexServer {
    channel: String,
    buffer: BufferConfig,
    persistent: bool,
    /// That are served at the same time; 0: one after the other.
    clients: usize,
    client_timeout: Option<Duration>,
    /// Whose clients are answered.
    owner: Owner,
    /// The current run; a server of the core takes its handlers for life.
    server: Mutex<Option<Running>>,
}

/// The Python side of a run.
struct Callbacks {
    /// What is called; let go when the run ends, since the core keeps its own handlers for the life
    /// of a server.
    functions: Mutex<Option<Arc<Functions>>>,
    way: Way,
    /// The run ends when a client goes, or none comes.
    one_client: bool,
    server: Mutex<Weak<Server>>,
}

/// How a handler answers.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Through its second argument, a `DuplexResponder`.
    Writes,
    /// By what it returns, unless that is None.
    Returns,
    /// By what it makes of the request.
    Edits,
}

/// What Python code has given.
struct Functions {
    handler: Py<PyAny>,
    on_init: Option<Py<PyAny>>,
    /// Called for every failure, with whether the run ends with it.
    on_error: Py<PyAny>,
}

/// A run of the core's server, and what it calls.
#[derive(Clone)]
struct Running {
    server: Arc<Server>,
    callbacks: Arc<Callbacks>,
}

impl DuplexServer {
    fn current(&self) -> Option<Arc<Server>> {
        self.server.lock().as_ref().map(|running| Arc::clone(&running.server))
    }

    /// How many clients are there.
    fn connected(&self) -> usize {
        let buffers = self.current().map(|server| server.request_buffers()).unwrap_or_default();
        buffers.iter().filter(|buffer| buffer.is_writer_connected()).count()
    }

    /// Lets go of a run that is over, and of its handlers.
    fn forget(&self, py: Python<'_>) {
        let last = self.server.lock().take_if(|running| !running.server.is_running());
        let Some(Running { server, callbacks }) = last else { return };
        // Not under the lock: what it refers to may have finalizers.
        let functions = callbacks.functions.lock().take();
        drop(functions);
        // A handler may still be busy; its run ends after it.
        py.detach(|| drop(server));
    }
}

#[pymethods]
impl DuplexServer {
    #[new]
    #[pyo3(signature = (channel_name, metadata_size, payload_size, mode, persistent, timeout, global_, owner = None, clients = 0))]
    #[expect(clippy::too_many_arguments, reason = "the options of a constructor")]
    fn new(
        channel_name: String,
        metadata_size: Natural<u64>,
        payload_size: Natural<u64>,
        mode: Natural<u32>,
        persistent: bool,
        timeout: Option<f64>,
        global_: bool,
        owner: Option<&Bound<'_, PyAny>>,
        clients: usize,
    ) -> PyResult<Self> {
        let client_timeout = match Timeout::from_seconds(timeout)? {
            Timeout::Zero => Some(Duration::ZERO),
            Timeout::For(seconds) => Some(Duration::from_secs_f64(seconds)),
            Timeout::Never => None,
        };
        let buffer =
            BufferConfig::ring(payload_size.0).metadata(metadata_size.0).mode(mode.0).global(global_);
        let (server, owner) = (Mutex::new(None), options::owner(owner)?);
        // One that serves several goes on when a client has gone.
        let persistent = persistent || clients > 0;
        Ok(Self { channel: channel_name, buffer, persistent, clients, client_timeout, owner, server })
    }

    /// Creates the request buffer and serves; `workers` is 0 for a single thread.
    fn _start(
        &self,
        py: Python<'_>,
        handler: Py<PyAny>,
        way: &str,
        on_init: Option<Py<PyAny>>,
        on_error: Py<PyAny>,
        workers: usize,
    ) -> PyResult<()> {
        if let Some(server) = self.current()
            && server.is_running()
        {
            return Err(general(format!("Server is already running: channel '{}'", self.channel)));
        }
        let way = match way {
            "writes" => Way::Writes,
            "returns" => Way::Returns,
            "edits" => Way::Edits,
            other => return Err(PyValueError::new_err(format!("a handler answers in no way '{other}'"))),
        };
        let initialises = on_init.is_some();
        let mode =
            NonZeroUsize::new(workers).map_or(ProcessingMode::SingleThread, ProcessingMode::ThreadPool);
        let callbacks = Arc::new(Callbacks {
            functions: Mutex::new(Some(Arc::new(Functions { handler, on_init, on_error }))),
            way,
            one_client: !self.persistent,
            server: Mutex::new(Weak::new()),
        });
        let teller = Arc::clone(&callbacks);
        let mut config = ServerConfig::default()
            .buffer(self.buffer.clone())
            .mode(mode)
            .persistent(self.persistent)
            .clients(self.clients)
            .owner(self.owner)
            .client_timeout(self.client_timeout)
            .around_threads(with_one_state)
            .on_error(move |failure| teller.tell(failure));
        if initialises {
            let beginning = Arc::clone(&callbacks);
            config = config.on_init(move |metadata| beginning.initialise(metadata));
        }
        let server = Arc::new(Server::new(&self.channel, config));
        *callbacks.server.lock() = Arc::downgrade(&server);
        let running = Running { server: Arc::clone(&server), callbacks: Arc::clone(&callbacks) };
        let started = py.detach(|| {
            // Not under the lock: others ask for the state meanwhile, attached.
            let last = self.server.lock().take();
            if let Some(last) = last {
                last.server.stop();
            }
            let answering = Arc::clone(&callbacks);
            server.start(move |frame, responder| answering.call(frame, responder))?;
            *self.server.lock() = Some(running);
            Ok(())
        });
        logging::flush(py)?;
        started.map_err(raise)
    }

    /// Stops within 200 ms, from a handler too. False if a handler is still busy: it may finish and
    /// answer.
    fn _stop(&self, py: Python<'_>) -> PyResult<bool> {
        let stopped = py.detach(|| self.current().is_none_or(|server| server.stop()));
        self.forget(py);
        logging::flush(py)?;
        Ok(stopped)
    }

    /// Answers what has been sent, then stops. False if that took longer than `timeout` seconds.
    fn _drain(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        if timeout.is_nan() || timeout < 0.0 {
            return Err(PyValueError::new_err("timeout must be a number of seconds, 0 or more"));
        }
        let Some(server) = self.current() else { return Ok(true) };
        let timeout = Timeout::from_seconds(Some(timeout))?;
        if !py.detach(|| server.begin_drain()) {
            return Ok(false);
        }
        let drained = detached(py, timeout, nothing, |patience| server.wait_with(patience))?;
        if !drained {
            py.detach(|| server.stop());
        }
        self.forget(py);
        logging::flush(py)?;
        Ok(drained)
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

    /// Requests of all clients so far; None while the server is stopped.
    fn _requests(&self) -> Option<u64> {
        let server = self.current()?;
        // First: a client that goes meanwhile is counted twice rather than not.
        let buffers = server.request_buffers();
        let (past, _) = server.past_requests();
        let requests: u64 = buffers.iter().map(|buffer| buffer.stats().frames).sum();
        (!buffers.is_empty()).then_some(past + requests)
    }

    /// How many clients are connected.
    fn _clients(&self) -> usize {
        self.connected()
    }

    /// A copy of the client's metadata: a next client may replace them.
    fn _request_metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(handle) = self.current().and_then(|server| server.request_buffer()) else {
            return Ok(None);
        };
        let metadata = handle.metadata().map_err(raise)?;
        Ok(metadata.map(|metadata| PyBytes::new(py, metadata.data())))
    }

    fn _is_client_connected(&self) -> bool {
        self.connected() > 0
    }
}

impl Drop for DuplexServer {
    fn drop(&mut self) {
        let Some(Running { server, callbacks }) = self.server.get_mut().take() else { return };
        let _ = Python::try_attach(|py| {
            // The serving thread may have to attach before it can end.
            py.detach(|| drop(server));
            let functions = callbacks.functions.lock().take();
            drop(functions);
        });
    }
}

thread_local! {
    /// What the last handler of this thread has raised, until the failure is reported: its client
    /// gets a text of it.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// What a client learns of an exception: class, text, traceback.
fn reported(py: Python<'_>, error: PyErr) -> BoxError {
    let describe = || {
        let value = error.value(py);
        let kind = value.get_type().name()?.to_string();
        let message = value.str()?.to_string();
        let trace = error.traceback(py);
        let lines = py
            .import(intern!(py, "traceback"))?
            .call_method1(intern!(py, "format_exception"), (value.get_type(), value, trace))?;
        let detail = lines.extract::<Vec<String>>()?.concat();
        Ok::<_, PyErr>(HandlerError::new(kind, message).detail(detail))
    };
    let described = describe().unwrap_or_else(|_| HandlerError::new("error", error.to_string()));
    RAISED.with(|raised| *raised.borrow_mut() = Some(error));
    described.into()
}

/// Threads of the core that have a state in the interpreter.
static SERVING: AtomicUsize = AtomicUsize::new(0);

/// How many threads call handlers, or wait for something to call them with.
#[pyfunction(name = "_serving_threads")]
pub(crate) fn serving_threads() -> usize {
    SERVING.load(Ordering::Relaxed)
}

/// In a forked child: there are none.
#[pyfunction(name = "_forget_threads")]
pub(crate) fn forget_threads() {
    SERVING.store(0, Ordering::Relaxed);
}

/// Does all the work of a thread that calls handlers with one state of the interpreter. Without it
/// the interpreter would make one for each call, and map and unmap the stack of that.
fn with_one_state(work: &mut (dyn FnMut() + Send)) {
    SERVING.fetch_add(1, Ordering::Relaxed);
    // While the interpreter is finalized the thread stays in there, counted.
    let _ = Python::try_attach(|py| py.detach(work));
    SERVING.fetch_sub(1, Ordering::Relaxed);
}

/// Calls Python code on a thread of the core. Until Python 3.14 the interpreter ends a thread that
/// wants to go on while it is finalized. That unwinding must not come into Rust, so the thread
/// stays here until the process is gone.
fn staying<T>(call: impl FnOnce() -> T) -> T {
    struct Stay;
    impl Drop for Stay {
        fn drop(&mut self) {
            while !thread::panicking() {
                thread::park();
            }
        }
    }
    let stay = Stay;
    let result = call();
    mem::forget(stay);
    result
}

/// Why nothing can be called any more.
fn interpreter_gone() -> BoxError {
    "the Python interpreter is shutting down".into()
}

/// Nothing is called any more, for the run has been stopped.
fn stopped() -> BoxError {
    "the server has been stopped".into()
}

/// What a failure is in Python: the handler's own exception, or one that says it.
fn exception(py: Python<'_>, failure: &Failure) -> Py<PyAny> {
    let error = match failure {
        Failure::Handler { source, .. } | Failure::Init { source, .. } => {
            let raised = RAISED.with(|raised| raised.borrow_mut().take());
            let given = source.downcast_ref::<PyErr>().map(|error| error.clone_ref(py));
            match given.or(raised) {
                // An error handler is promised an `Exception`.
                Some(error) if error.is_instance_of::<PyException>(py) => error,
                _ => general(failure.to_string()),
            }
        }
        Failure::ClientGone { .. } => client_gone(failure.to_string()),
        _ => general(failure.to_string()),
    };
    error.into_value(py).into_any()
}

impl Callbacks {
    /// What to call, unless the run is over.
    fn functions(&self) -> Option<Arc<Functions>> {
        self.functions.lock().clone()
    }

    fn initialise(&self, metadata: Option<&[u8]>) -> Result<(), BoxError> {
        let Some(metadata) = metadata else { return Ok(()) };
        let called = Python::try_attach(|py| {
            let Some(functions) = self.functions() else { return Ok(()) };
            let Some(on_init) = &functions.on_init else { return Ok(()) };
            let view = PyMemoryView::from(PyBytes::new(py, metadata).as_any())?;
            let called = staying(|| on_init.call1(py, (&view,))).map(drop);
            release(view.as_any())?;
            called
        });
        called.ok_or_else(interpreter_gone)?.map_err(BoxError::from)
    }

    fn tell(&self, failure: &Failure) {
        let ends = self.one_client
            && matches!(
                failure,
                Failure::ClientGone { .. } | Failure::NoClient { .. } | Failure::NoResponseBuffer { .. }
            );
        let _ = Python::try_attach(|py| {
            let functions = if ends { self.functions.lock().take() } else { self.functions() };
            let Some(functions) = functions else { return };
            let on_error = &functions.on_error;
            let flushed = logging::flush(py)
                .and_then(|()| staying(|| on_error.call1(py, (exception(py, failure), ends))).map(drop));
            if let Err(error) = flushed {
                error.write_unraisable(py, Some(on_error.bind(py)));
            }
        });
    }

    fn call(&self, frame: zerobuffer::Frame, responder: Responder) -> Result<(), BoxError> {
        let is_there = |server: Arc<Server>| server.handled_buffer().is_some();
        if !self.server.lock().upgrade().is_some_and(is_there) {
            return Err(stopped());
        }
        let handle = responder.requests();
        let called = Python::try_attach(|py| {
            let Some(functions) = self.functions() else {
                return Err(stopped());
            };
            let handler = &functions.handler;
            let frame = Frame::received(py, Received::Ring(frame), Source::new(handle, false));
            let frame = Bound::new(py, frame).map_err(|error| reported(py, error))?;
            let called = match self.way {
                Way::Writes => answer(py, handler, &frame, responder),
                Way::Returns => send_result(py, handler, &frame, responder),
                Way::Edits => edit(py, handler, &frame, responder),
            };
            // As in 1.x the frame is released with the handler's return.
            let done = frame.get().dispose(py).and_then(|()| logging::flush(py));
            called.and(done).map_err(|error| reported(py, error))
        });
        called.ok_or_else(interpreter_gone)?
    }
}

fn answer(
    py: Python<'_>,
    handler: &Py<PyAny>,
    frame: &Bound<'_, Frame>,
    responder: Responder,
) -> PyResult<()> {
    let responder = Bound::new(py, DuplexResponder::new(responder))?;
    let called = staying(|| handler.call1(py, (frame, &responder)));
    responder.get().finish(py)?;
    called.map(drop)
}

fn send_result(
    py: Python<'_>,
    handler: &Py<PyAny>,
    frame: &Bound<'_, Frame>,
    responder: Responder,
) -> PyResult<()> {
    let mut left = Some(responder);
    // What is returned may be Python code, too.
    let sent = staying(|| {
        let result = handler.bind(py).call1((frame,))?;
        if result.is_none() {
            return Ok(());
        }
        with_bytes(&result, |bytes| {
            let Some(responder) = left.take() else { return Ok(()) };
            let (outcome, responder) = written(py, responder, bytes);
            left = Some(responder);
            outcome.map(drop).map_err(raise_answering)
        })
    });
    if let Some(responder) = left {
        finished(py, responder);
    }
    sent
}

fn edit(
    py: Python<'_>,
    handler: &Py<PyAny>,
    frame: &Bound<'_, Frame>,
    mut responder: Responder,
) -> PyResult<()> {
    // Held across the handler, which may dispose of the frame.
    let mut place = Place::new();
    let view = View::acquire(frame.as_any(), &mut place)
        .map_err(|Refused { error, .. }| error.unwrap_or_else(|| general("a frame without a buffer")))?;
    staying(|| handler.call1(py, (frame,)))?;
    let bytes = view.bytes().unwrap_or_default();
    py.detach(|| responder.write(bytes)).map(drop).map_err(raise_answering)
}
