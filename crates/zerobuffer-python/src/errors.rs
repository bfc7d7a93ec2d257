//! Core errors as the exceptions of `zerobuffer.exceptions`; the texts are the core's.

use std::io;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use zerobuffer::Error;

/// The exception classes. Fetched when the module is imported: at the end of the interpreter
/// nothing can be imported, and endpoints are still used (by `__del__`, by generators).
struct Classes {
    general: Py<PyType>,
    invalid_name: Py<PyType>,
    not_found: Py<PyType>,
    access_denied: Py<PyType>,
    closed: Py<PyType>,
    writer_dead: Py<PyType>,
    reader_dead: Py<PyType>,
    writer_connected: Py<PyType>,
    reader_connected: Py<PyType>,
    full: Py<PyType>,
    write_timeout: Py<PyType>,
    too_large: Py<PyType>,
    invalid_size: Py<PyType>,
    sequence: Py<PyType>,
    metadata_written: Py<PyType>,
    remote: Py<PyType>,
    response_too_large: Py<PyType>,
    no_response: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Fetches the classes.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let module = py.import("zerobuffer.exceptions")?;
    let class = |name: &str| Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind());
    let fetch = || {
        Ok::<_, PyErr>(Classes {
            general: class("ZeroBufferException")?,
            invalid_name: class("InvalidNameException")?,
            not_found: class("BufferNotFoundException")?,
            access_denied: class("AccessDeniedException")?,
            closed: class("ClosedException")?,
            writer_dead: class("WriterDeadException")?,
            reader_dead: class("ReaderDeadException")?,
            writer_connected: class("WriterAlreadyConnectedException")?,
            reader_connected: class("ReaderAlreadyConnectedException")?,
            full: class("BufferFullException")?,
            write_timeout: class("WriteTimeoutException")?,
            too_large: class("FrameTooLargeException")?,
            invalid_size: class("InvalidFrameSizeException")?,
            sequence: class("SequenceError")?,
            metadata_written: class("MetadataAlreadyWrittenException")?,
            remote: class("RemoteError")?,
            response_too_large: class("ResponseTooLargeException")?,
            no_response: class("NoResponseException")?,
        })
    };
    CLASSES.get_or_try_init(py, fetch).map(drop)
}

fn new(class: impl FnOnce(&Classes) -> &Py<PyType>, text: String) -> PyErr {
    Python::attach(|py| match CLASSES.get(py) {
        Some(classes) => PyErr::from_type(class(classes).bind(py).clone(), (text,)),
        // Only before `install`.
        None => PyRuntimeError::new_err(text),
    })
}

/// The exception for a core error.
pub(crate) fn raise(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::InvalidConfig { .. } => PyValueError::new_err(text),
        Error::InvalidName { .. } => new(|c| &c.invalid_name, text),
        Error::NotFound { .. }
        | Error::NotReady { .. }
        | Error::NoServer { .. }
        | Error::ServerNotReady { .. } => new(|c| &c.not_found, text),
        Error::PermissionDenied { .. } | Error::NoPrivilege { .. } | Error::ForeignOwner { .. } => {
            new(|c| &c.access_denied, text)
        }
        Error::Closed { .. } => new(|c| &c.closed, text),
        Error::ReaderAlreadyConnected { .. }
        | Error::ClientAlreadyConnected { .. }
        | Error::TooManyClients { .. } => new(|c| &c.reader_connected, text),
        Error::WriterAlreadyConnected { .. } | Error::CrashNotNoticed { .. } | Error::Replaced { .. } => {
            new(|c| &c.writer_connected, text)
        }
        Error::EmptyFrame { .. } => invalid_size(text),
        Error::FrameTooLarge { .. } | Error::Unplaceable { .. } | Error::RingTooSmall { .. } => {
            new(|c| &c.too_large, text)
        }
        Error::Full { waited, .. } if !waited.is_zero() => new(|c| &c.write_timeout, text),
        Error::Full { .. } | Error::ResponsesUnread { .. } => full(text),
        Error::WriterGone { .. } | Error::ServerGone { .. } => client_gone(text),
        Error::ReaderGone { .. } => new(|c| &c.reader_dead, text),
        Error::Sequence { expected, got, .. } => sequence_error(expected, got),
        Error::MetadataAlreadyWritten { .. } => new(|c| &c.metadata_written, text),
        Error::MetadataInUse { .. } => new(|c| &c.write_timeout, text),
        Error::Remote { request, kind, message, detail, .. } => remote(request, kind, message, detail),
        Error::ResponseTooLarge { request, .. } => about_request(|c| &c.response_too_large, request, text),
        Error::NoResponse { request, .. } => about_request(|c| &c.no_response, request, text),
        Error::Os { source, .. } => with_cause(text, &source),
        _ => general(text),
    }
}

fn sequence_error(expected: u64, got: u64) -> PyErr {
    Python::attach(|py| match CLASSES.get(py) {
        Some(classes) => PyErr::from_type(classes.sequence.bind(py).clone(), (expected, got)),
        None => PyRuntimeError::new_err((expected, got)),
    })
}

/// A handler that failed.
fn remote(request: u64, kind: String, message: String, detail: String) -> PyErr {
    Python::attach(|py| match CLASSES.get(py) {
        Some(classes) => PyErr::from_type(classes.remote.bind(py).clone(), (kind, message, detail, request)),
        None => PyRuntimeError::new_err(message),
    })
}

/// An exception that names its request.
fn about_request(class: impl FnOnce(&Classes) -> &Py<PyType>, request: u64, text: String) -> PyErr {
    Python::attach(|py| match CLASSES.get(py) {
        Some(classes) => PyErr::from_type(class(classes).bind(py).clone(), (text, request)),
        None => PyRuntimeError::new_err(text),
    })
}

/// The response to a request has not come in time.
pub(crate) fn no_response(request: u64, text: String) -> PyErr {
    about_request(|c| &c.no_response, request, text)
}

/// A general exception with this text.
pub(crate) fn general(text: impl Into<String>) -> PyErr {
    new(|c| &c.general, text.into())
}

/// The endpoint is closed.
pub(crate) fn closed(text: impl Into<String>) -> PyErr {
    new(|c| &c.closed, text.into())
}

/// The exception for a core error of a client that sends. A server that has gone reads no requests
/// any more.
pub(crate) fn raise_sending(error: Error) -> PyErr {
    match error {
        Error::ServerGone { .. } => new(|c| &c.reader_dead, error.to_string()),
        other => raise(other),
    }
}

/// The exception for a core error of a handler that answers.
pub(crate) fn raise_answering(error: Error) -> PyErr {
    match error {
        Error::ResponseTooLarge { .. } => new(|c| &c.too_large, error.to_string()),
        other => raise(other),
    }
}

/// The client of a duplex server has gone.
pub(crate) fn client_gone(text: impl Into<String>) -> PyErr {
    new(|c| &c.writer_dead, text.into())
}

/// No room for a frame now.
pub(crate) fn full(text: impl Into<String>) -> PyErr {
    new(|c| &c.full, text.into())
}

/// A frame size that is not a size.
pub(crate) fn invalid_size(text: impl Into<String>) -> PyErr {
    new(|c| &c.invalid_size, text.into())
}

/// The general exception or a more precise one, with the system's own error as its `__cause__`
/// (errno included).
fn with_cause(text: String, source: &io::Error) -> PyErr {
    let error = match source.kind() {
        io::ErrorKind::PermissionDenied => new(|c| &c.access_denied, text),
        io::ErrorKind::NotFound => new(|c| &c.not_found, text),
        _ => general(text),
    };
    Python::attach(|py| {
        let cause = match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, source.to_string())),
            None => PyOSError::new_err(source.to_string()),
        };
        error.set_cause(py, Some(cause));
    });
    error
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
