//! `Loan`: `with writer.loan(size) as view:` writes in place and commits on success.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::number::FrameSize;
use crate::writer::Writer;

/// A frame to be written in place. Made by `Writer.loan`; entering it reserves the space, leaving it commits, or
/// publishes nothing if an exception leaves the block.
#[pyclass(frozen, name = "Loan", module = "zerobuffer._zerobuffer")]
pub(crate) struct Loan {
    writer: Py<Writer>,
    size: FrameSize,
    /// Which reservation is ours, while the block runs.
    generation: Mutex<Option<u64>>,
}

impl Loan {
    pub(crate) fn new(writer: Py<Writer>, size: FrameSize) -> Self {
        Self { writer, size, generation: Mutex::new(None) }
    }
}

#[pymethods]
impl Loan {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        let (generation, view) = self.writer.get().reserve_view(py, self.size)?;
        *self.generation.lock() = Some(generation);
        Ok(view)
    }

    #[pyo3(signature = (exc_type = None, exc_value = None, traceback = None))]
    #[expect(unused_variables, reason = "the signature of the protocol")]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Some(generation) = self.generation.lock().take() else { return Ok(()) };
        let writer = self.writer.get();
        if exc_type.is_some() {
            writer.abort(py, Some(generation))?;
        } else {
            writer.commit(py, Some(generation), None)?;
        }
        Ok(())
    }
}
