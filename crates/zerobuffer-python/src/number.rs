//! Whole numbers as arguments: one that is too large is wrong in the way that any other wrong
//! number is.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

use crate::errors::invalid_size;

/// The size of a frame: of a number beyond 64 bits the largest or the smallest, which are no sizes
/// either.
#[derive(Clone, Copy)]
pub(crate) struct FrameSize(i64);

impl FrameSize {
    /// Bytes to be reserved.
    pub(crate) fn reserved(self) -> PyResult<usize> {
        let Self(size) = self;
        usize::try_from(size)
            .map_err(|_| invalid_size(format!("a frame cannot have {size} bytes: at least 1 is needed")))
    }

    /// Bytes of a reserved frame that are published.
    pub(crate) fn committed(self) -> PyResult<usize> {
        usize::try_from(self.0).map_err(|_| invalid_size(format!("{} bytes cannot be committed", self.0)))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for FrameSize {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.extract() {
            Ok(size) => Ok(Self(size)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Ok(Self(if object.lt(0)? { i64::MIN } else { i64::MAX }))
            }
            Err(error) => Err(error),
        }
    }
}

/// A number that is an option of an endpoint: `ValueError` if its type has no such number.
#[derive(Clone, Copy)]
pub(crate) struct Natural<T>(pub(crate) T);

impl<'a, 'py, T> FromPyObject<'a, 'py> for Natural<T>
where
    T: FromPyObject<'a, 'py>,
{
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let number = object.extract::<T>().map_err(Into::<PyErr>::into);
        number.map(Self).map_err(|error| {
            if error.is_instance_of::<PyOverflowError>(object.py()) {
                return PyValueError::new_err(format!("{} is out of range", &*object));
            }
            error
        })
    }
}
