//! `Loan`: `with writer.loan(size) as view:` writes in place and commits on success.

use parking_lot::Mutex;
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView, PyString};

use crate::claim::{Fate, Reserved};
use crate::errors::general;
use crate::number::FrameSize;
use crate::writer::Writer;

/// A frame to be written in place.
///
/// Entering it reserves the space. Leaving it publishes the frame, or nothing if an exception
/// leaves the block. `commit` publishes it before that, shortened perhaps, and `abort` gives it up.
/// It is used like the memoryview of its bytes: indexed, handed to whatever takes a buffer; `data`
/// is that memoryview.
#[pyclass(frozen, weakref, name = "Loan", module = "zerobuffer._zerobuffer")]
pub(crate) struct Loan {
    target: Target,
    size: FrameSize,
    /// Shape and dtype of `array()`, as `Writer.loan` was given them.
    layout: Option<(Py<PyAny>, Py<PyAny>)>,
    /// The reservation, while the block runs.
    open: Mutex<Option<Open>>,
}

/// What the frame goes to.
enum Target {
    Writer(Py<Writer>),
    /// Anything that reserves, commits and aborts as a writer does: the response to a request.
    Other(Py<PyAny>),
}

struct Open {
    generation: u64,
    fate: Fate,
    view: Py<PyMemoryView>,
}

impl Loan {
    /// `size` is a shape if there is a `dtype`.
    pub(crate) fn of(
        writer: &Bound<'_, Writer>,
        size: &Bound<'_, PyAny>,
        dtype: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        Self::new(Target::Writer(writer.clone().unbind()), size, dtype)
    }

    fn new(target: Target, size: &Bound<'_, PyAny>, dtype: Option<Py<PyAny>>) -> PyResult<Self> {
        let Some(dtype) = dtype else {
            return Ok(Self { target, size: size.extract()?, layout: None, open: Mutex::new(None) });
        };
        let py = size.py();
        let bytes = py
            .import(intern!(py, "zerobuffer._array"))?
            .call_method1(intern!(py, "size_of"), (size, &dtype))?;
        let layout = Some((size.clone().unbind(), dtype));
        Ok(Self { target, size: bytes.extract()?, layout, open: Mutex::new(None) })
    }

    fn reserve(&self, py: Python<'_>) -> PyResult<Open> {
        match &self.target {
            Target::Writer(writer) => {
                let (Reserved { generation, fate, .. }, view) = writer.get().reserve_view(py, self.size)?;
                Ok(Open { generation, fate, view: view.unbind() })
            }
            Target::Other(writer) => {
                let size = self.size.reserved()?;
                let view = writer.call_method1(py, intern!(py, "get_frame_buffer"), (size,))?;
                let view = view.into_bound(py).cast_into::<PyMemoryView>()?.unbind();
                Ok(Open { generation: 0, fate: Fate::default(), view })
            }
        }
    }

    fn publish(&self, py: Python<'_>, open: &Open, len: Option<usize>) -> PyResult<()> {
        match &self.target {
            Target::Writer(writer) => writer.get().commit(py, Some(open.generation), len),
            Target::Other(writer) => {
                let size = PyDict::new(py);
                size.set_item(intern!(py, "size"), len)?;
                writer.call_method(py, intern!(py, "commit_frame"), (), Some(&size)).map(drop)
            }
        }
    }

    fn give_up(&self, py: Python<'_>, open: &Open) -> PyResult<()> {
        match &self.target {
            Target::Writer(writer) => writer.get().abort(py, Some(open.generation)).map(drop),
            Target::Other(writer) => writer.call_method0(py, intern!(py, "abort_frame")).map(drop),
        }
    }

    /// Whether a call of the writer has ended the frame, on purpose.
    fn was_ended(&self, py: Python<'_>, open: &Open) -> bool {
        match &self.target {
            Target::Writer(_) => open.fate.was_asked_for(),
            // Its view is released then.
            Target::Other(_) => open.view.bind(py).getattr(intern!(py, "nbytes")).is_err(),
        }
    }

    /// The memoryview of the bytes, while there are any.
    pub(crate) fn open_view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        let view = self.open.lock().as_ref().map(|open| open.view.clone_ref(py));
        view.map(|view| view.into_bound(py)).ok_or_else(|| {
            PyValueError::new_err(
                "the loan is released, or was not entered: `with` reserves its bytes, the block's end, `commit` and \
                 `abort` release them",
            )
        })
    }

    fn take(&self) -> PyResult<Open> {
        self.open.lock().take().ok_or_else(|| general("the loan has ended, or was never entered"))
    }
}

/// A loan of anything that reserves, commits and aborts as a writer does.
#[pyfunction]
#[pyo3(name = "_loan", signature = (writer, size, dtype = None))]
pub(crate) fn loan(writer: Py<PyAny>, size: &Bound<'_, PyAny>, dtype: Option<Py<PyAny>>) -> PyResult<Loan> {
    Loan::new(Target::Other(writer), size, dtype)
}

#[pymethods]
impl Loan {
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let py = slf.py();
        let this = slf.get();
        if this.open.lock().is_some() {
            return Err(general("the loan has been entered already"));
        }
        let open = this.reserve(py)?;
        let before = this.open.lock().replace(open);
        drop(before);
        Ok(slf)
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
        let open = self.open.lock().take();
        let Some(open) = open else { return Ok(()) };
        // By `commit_frame` or `abort_frame`, inside the block.
        if self.was_ended(py, &open) {
            return Ok(());
        }
        if exc_type.is_some() { self.give_up(py, &open) } else { self.publish(py, &open, None) }
    }

    /// Publishes the frame, or its first `size` bytes; the end of the block then does nothing.
    #[pyo3(signature = (size = None))]
    fn commit(&self, py: Python<'_>, size: Option<FrameSize>) -> PyResult<()> {
        let len = size.map(FrameSize::reserved).transpose()?;
        let open = self.take()?;
        let committed = self.publish(py, &open, len);
        // A wrong size leaves the frame of a writer reserved.
        if committed.is_err() && matches!(self.target, Target::Writer(_)) && !open.fate.has_ended() {
            let before = self.open.lock().replace(open);
            drop(before);
        }
        committed
    }

    /// Gives the frame up: nothing is published, and the end of the block does nothing.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.take()?;
        self.give_up(py, &open)
    }

    /// The memoryview of the bytes.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.open_view(py)
    }

    /// The bytes as a `NumPy` array. `shape` and `dtype` default to those that `Writer.loan` was
    /// given.
    #[pyo3(signature = (shape = None, dtype = None))]
    fn array<'py>(
        slf: &Bound<'py, Self>,
        shape: Option<Bound<'py, PyAny>>,
        dtype: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let own = slf.get().layout.as_ref().map(|(shape, dtype)| (shape.bind(py), dtype.bind(py)));
        let shape = shape.or_else(|| own.map(|(shape, _)| shape.clone()));
        let dtype = dtype.or_else(|| own.map(|(_, dtype)| dtype.clone()));
        py.import(intern!(py, "zerobuffer._array"))?
            .call_method1(intern!(py, "loan_array"), (slf.get().open_view(py)?, shape, dtype))
    }

    /// Number of bytes.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.open_view(py)?.len()
    }

    /// As `memoryview.cast`.
    #[pyo3(signature = (format, shape = None))]
    fn cast<'py>(
        &self,
        py: Python<'py>,
        format: &str,
        shape: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let view = self.open_view(py)?;
        match shape {
            Some(shape) => view.call_method1(intern!(py, "cast"), (format, shape)),
            None => view.call_method1(intern!(py, "cast"), (format,)),
        }
    }

    /// A copy of the bytes.
    fn tobytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.open_view(py)?.call_method0(intern!(py, "tobytes"))
    }

    /// Whether the frame can still be written.
    #[getter]
    fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.open_view(py)?.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.open_view(py)?.get_item(key)
    }

    fn __setitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.open_view(py)?.set_item(key, value)
    }

    fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<bool> {
        self.open_view(py)?.eq(other)
    }

    /// What else a memoryview has: `format`, `shape`, `hex` and so on.
    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if name.to_str()?.starts_with('_') || slf.get().open.lock().is_none() {
            return Err(PyAttributeError::new_err(format!("'Loan' object has no attribute '{name}'")));
        }
        slf.get().open_view(py)?.getattr(name)
    }

    fn __repr__(&self) -> String {
        let state = if self.is_open() { "open" } else { "closed" };
        match &self.target {
            Target::Writer(writer) => format!("Loan(buffer={:?}, {state})", writer.get().name()),
            Target::Other(_) => format!("Loan({state})"),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.target {
            Target::Writer(writer) => visit.call(writer)?,
            Target::Other(writer) => visit.call(writer)?,
        }
        if let Some((shape, dtype)) = &self.layout {
            visit.call(shape)?;
            visit.call(dtype)?;
        }
        Ok(())
    }
}
