//! Core errors as the exceptions of `zerobuffer.exceptions`; the texts are the core's.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use zerobuffer::Error;

/// The exception classes, imported from the Python half on first use.
mod classes {
    #![allow(missing_docs, reason = "named and documented in zerobuffer/exceptions.py")]
    use pyo3::import_exception;
    import_exception!(zerobuffer.exceptions, ZeroBufferException);
    import_exception!(zerobuffer.exceptions, WriterDeadException);
    import_exception!(zerobuffer.exceptions, ReaderDeadException);
    import_exception!(zerobuffer.exceptions, WriterAlreadyConnectedException);
    import_exception!(zerobuffer.exceptions, ReaderAlreadyConnectedException);
    import_exception!(zerobuffer.exceptions, BufferFullException);
    import_exception!(zerobuffer.exceptions, FrameTooLargeException);
    import_exception!(zerobuffer.exceptions, InvalidFrameSizeException);
    import_exception!(zerobuffer.exceptions, SequenceError);
    import_exception!(zerobuffer.exceptions, MetadataAlreadyWrittenException);
}

/// The exception for a core error.
pub(crate) fn raise(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::InvalidConfig { .. } => PyValueError::new_err(text),
        Error::ReaderAlreadyConnected { .. } | Error::ClientAlreadyConnected { .. } => {
            classes::ReaderAlreadyConnectedException::new_err(text)
        }
        Error::WriterAlreadyConnected { .. } | Error::CrashNotNoticed { .. } | Error::Replaced { .. } => {
            classes::WriterAlreadyConnectedException::new_err(text)
        }
        Error::EmptyFrame { .. } => classes::InvalidFrameSizeException::new_err(text),
        Error::FrameTooLarge { .. } | Error::Unplaceable { .. } => {
            classes::FrameTooLargeException::new_err(text)
        }
        Error::Full { .. } => classes::BufferFullException::new_err(text),
        Error::WriterGone { .. } | Error::ServerGone { .. } => classes::WriterDeadException::new_err(text),
        Error::ReaderGone { .. } => classes::ReaderDeadException::new_err(text),
        Error::Sequence { expected, got, .. } => classes::SequenceError::new_err((expected, got)),
        Error::MetadataAlreadyWritten { .. } => classes::MetadataAlreadyWrittenException::new_err(text),
        Error::Os { source, .. } => with_cause(text, &source),
        _ => classes::ZeroBufferException::new_err(text),
    }
}

/// A general exception with this text.
pub(crate) fn general(text: impl Into<String>) -> PyErr {
    classes::ZeroBufferException::new_err(text.into())
}

/// The exception for a core error of a client that sends. A server that has gone reads no requests any more.
pub(crate) fn raise_sending(error: Error) -> PyErr {
    match error {
        Error::ServerGone { .. } => classes::ReaderDeadException::new_err(error.to_string()),
        other => raise(other),
    }
}

/// The client of a duplex server has gone.
pub(crate) fn client_gone(text: impl Into<String>) -> PyErr {
    classes::WriterDeadException::new_err(text.into())
}

/// No room for a frame now.
pub(crate) fn full(text: impl Into<String>) -> PyErr {
    classes::BufferFullException::new_err(text.into())
}

/// A frame size that is not a size.
pub(crate) fn invalid_size(text: impl Into<String>) -> PyErr {
    classes::InvalidFrameSizeException::new_err(text.into())
}

/// The general exception, with the system's own error as its `__cause__` (errno included).
fn with_cause(text: String, source: &std::io::Error) -> PyErr {
    let error = classes::ZeroBufferException::new_err(text);
    Python::attach(|py| {
        let cause = match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, source.to_string())),
            None => PyOSError::new_err(source.to_string()),
        };
        error.set_cause(py, Some(cause));
    });
    error
}
