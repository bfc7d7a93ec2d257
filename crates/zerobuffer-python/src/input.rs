//! What may be written: the rules for arguments that carry bytes.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyInt, PyMapping, PySet, PyString};

use crate::pin::{Place, Refused, View};

/// Bytes taken from an argument.
pub(crate) enum Input<'a> {
    /// A `bytes` object: given, or made from an iterable of ints or by `__bytes__`.
    Bytes(Bound<'a, PyBytes>),
    /// Any other object with the buffer protocol, read in place.
    View(View<'a>),
}

/// Gives `take` the bytes of an argument: in place, or of a copy if they lie in pieces.
pub(crate) fn with_bytes<T>(data: &Bound<'_, PyAny>, take: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    match Input::take(data, &mut Place::new())? {
        Input::Bytes(bytes) => take(bytes.as_bytes()),
        Input::View(view) => match view.bytes() {
            Some(bytes) => take(bytes),
            None => take(&view.to_vec()?),
        },
    }
}

impl<'a> Input<'a> {
    /// Reads an argument. Fails before anything is written.
    pub(crate) fn take(data: &Bound<'a, PyAny>, place: &'a mut Place) -> PyResult<Self> {
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return Ok(Self::Bytes(bytes.clone()));
        }
        let place = match View::acquire(data, place) {
            Ok(view) => return checked(data, view),
            // NumPy has dtypes that its buffers cannot express (datetime64, for one).
            Err(Refused { error: Some(error), .. }) if !is_array(data)? => return Err(error),
            Err(Refused { place, .. }) => place,
        };
        if is_refused(data) {
            return Err(wrong_type(data));
        }
        let py = data.py();
        if is_array(data)? {
            let bytes = py
                .import(intern!(py, "zerobuffer._array"))?
                .call_method1(intern!(py, "bytes_of_array"), (data,))?;
            return match View::acquire(&bytes, place) {
                Ok(view) => Ok(Self::View(view)),
                Err(Refused { error, .. }) => Err(error.unwrap_or_else(|| wrong_type(data))),
            };
        }
        if data.hasattr(intern!(py, "__bytes__"))? || data.try_iter().is_ok() {
            let bytes = py.get_type::<PyBytes>().call1((data,))?;
            return Ok(Self::Bytes(bytes.cast_into::<PyBytes>()?));
        }
        Err(wrong_type(data))
    }
}

fn checked<'a>(data: &Bound<'_, PyAny>, view: View<'a>) -> PyResult<Input<'a>> {
    if view.has_objects() {
        return Err(PyTypeError::new_err(format!(
            "the items of this '{}' are Python objects (dtype object), whose bytes are addresses: convert them first",
            data.get_type().name()?
        )));
    }
    Ok(Input::View(view))
}

/// What is an array without the buffer protocol: NumPy's own, of a Series, a tensor, a picture.
fn is_array(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = data.py();
    let kind = data.get_type();
    Ok(kind.hasattr(intern!(py, "__array_interface__"))?
        || kind.hasattr(intern!(py, "__array__"))?
        || kind.hasattr(intern!(py, "__dlpack__"))?)
}

/// `bytes(7)` would be seven zero bytes, `bytes("x")` has no encoding, and a dict or a set would be
/// its keys, in any order. None is what the caller meant.
fn is_refused(data: &Bound<'_, PyAny>) -> bool {
    data.is_none()
        || data.is_instance_of::<PyString>()
        || data.is_instance_of::<PyInt>()
        || data.is_instance_of::<PyDict>()
        || data.is_instance_of::<PySet>()
        || data.is_instance_of::<PyFrozenSet>()
        || data.cast::<PyMapping>().is_ok()
        || is_abstract_set(data).unwrap_or(false)
}

/// `dict.keys()` and the like.
fn is_abstract_set(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = data.py();
    data.is_instance(&py.import(intern!(py, "collections.abc"))?.getattr(intern!(py, "Set"))?)
}

fn wrong_type(data: &Bound<'_, PyAny>) -> PyErr {
    let name = data.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "a bytes-like object, an array, an iterable of ints or an object with __bytes__ is required, not '{name}'"
    ))
}
