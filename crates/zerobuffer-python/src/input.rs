//! What may be written: the rules for arguments that carry bytes (P4).

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

use crate::pin::View;

/// Bytes taken from an argument.
pub(crate) enum Input<'py> {
    /// A `bytes` object: given, or made from an iterable of ints or by `__bytes__`.
    Bytes(Bound<'py, PyBytes>),
    /// Any other object with the buffer protocol, read in place.
    View(View),
}

/// Gives `take` the bytes of an argument: in place, or of a copy if they lie in pieces.
pub(crate) fn with_bytes<T>(data: &Bound<'_, PyAny>, take: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    match Input::take(data)? {
        Input::Bytes(bytes) => take(bytes.as_bytes()),
        Input::View(view) => match view.bytes() {
            Some(bytes) => take(bytes),
            None => take(&view.to_vec(data.py())?),
        },
    }
}

impl<'py> Input<'py> {
    /// Reads an argument. Fails before anything is written.
    pub(crate) fn take(data: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return Ok(Self::Bytes(bytes.clone()));
        }
        if let Some(view) = View::acquire(data)? {
            return Ok(Self::View(view));
        }
        let py = data.py();
        // `bytes(7)` would be seven zero bytes and `bytes("x")` has no encoding: neither is what the caller meant.
        let refused = data.is_none() || data.is_instance_of::<PyString>() || data.is_instance_of::<PyInt>();
        if !refused && (data.hasattr(intern!(py, "__bytes__"))? || data.try_iter().is_ok()) {
            let bytes = py.get_type::<PyBytes>().call1((data,))?;
            return Ok(Self::Bytes(bytes.cast_into::<PyBytes>()?));
        }
        let name = data.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "a bytes-like object, an iterable of ints or an object with __bytes__ is required, not '{name}'"
        )))
    }
}
