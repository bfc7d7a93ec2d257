//! `Frame`: one received frame, or, as in 1.x, a frame that user code built around a memoryview of
//! its own.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView};
use pyo3::{PyTraverseError, PyTypeInfo};

use crate::pin::{Attached, Hold, Pin, Region, is_shared};
use crate::receiving::Received;
use crate::source::Source;

/// A received frame: zero-copy access to its bytes in the ring.
///
/// Its ring space goes back to the writer when the frame is released or dropped, and no view or
/// array made from `data` is left. `Reader.release_frame`, `dispose` and leaving a `with` block
/// release it.
#[pyclass(frozen, subclass, weakref, name = "Frame", module = "zerobuffer.types")]
pub(crate) struct Frame {
    size: usize,
    sequence: u64,
    origin: Origin,
    /// A consumer may hold this object in place of a buffer: its bytes stay until it is gone.
    keeps: AtomicBool,
}

/// Whose frame it is.
enum Origin {
    Reader(Arc<Source>, Attached<State>),
    /// Built by user code; `None` once released. Locked for moments only, and never while Python
    /// code runs.
    User(Mutex<Option<Foreign>>),
}

/// What a received frame still has.
enum State {
    /// Nobody has asked for its bytes yet.
    Held(Received),
    /// With the memoryview that `data` gives out.
    Viewed { pin: Py<Pin>, view: Py<PyMemoryView> },
    /// Released.
    Disposed,
    /// Released, with an exporter that stays until this object is gone.
    Kept(Py<Pin>),
}

/// The parts of a frame built by user code.
struct Foreign {
    memory: Py<PyAny>,
    offset: isize,
    view: Option<Py<PyAny>>,
    on_dispose: Option<Py<PyAny>>,
}

impl Frame {
    /// Wraps a frame that the core delivered.
    #[inline]
    pub(crate) fn received(py: Python<'_>, frame: Received, source: Arc<Source>) -> Self {
        source.hand_out(py, frame.len());
        Self {
            size: frame.len(),
            sequence: frame.sequence(),
            origin: Origin::Reader(source, Attached::new(State::Held(frame))),
            keeps: AtomicBool::new(false),
        }
    }

    /// Of a received frame, what it shares with the others of its reader.
    fn source(&self) -> Option<&Arc<Source>> {
        match &self.origin {
            Origin::Reader(source, _) => Some(source),
            Origin::User(_) => None,
        }
    }

    /// A consumer has asked for the buffer as `np.ndarray(buffer=frame)` does. It lets go of the
    /// buffer at once and holds this object for the life of the array. From here on a release does
    /// not return the space before the object is gone.
    pub(crate) fn keep_for_object(&self) {
        self.keeps.store(true, Relaxed);
    }

    /// Takes the core frame of `source` back out, if nobody can have seen its bytes.
    pub(crate) fn take_back(&self, py: Python<'_>, source: &Arc<Source>) -> Option<Received> {
        let Origin::Reader(own, state) = &self.origin else { return None };
        if !Arc::ptr_eq(own, source) {
            return None;
        }
        state.with(py, |state| match mem::replace(state, State::Disposed) {
            State::Held(frame) => {
                source.take_in(py);
                Some(frame)
            }
            other => {
                *state = other;
                None
            }
        })
    }

    /// The object that exports the bytes: what `np.asarray(frame)` refers to.
    pub(crate) fn exporter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let view = self.view(py)?;
        let Origin::Reader(_, state) = &self.origin else { return Ok(view) };
        let pin = state.with(py, |state| match state {
            State::Viewed { pin, .. } => Some(pin.clone_ref(py)),
            State::Held(_) | State::Disposed | State::Kept(_) => None,
        });
        pin.map(|pin| pin.into_bound(py).into_any()).ok_or_else(disposed)
    }

    /// What exports the bytes in the shape that the metadata say; without metadata, or `NumPy`, as
    /// one row of bytes.
    pub(crate) fn described<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let exporter = slf.get().exporter(py)?;
        let metadata = match slf.get().source() {
            Some(source) => source.metadata_copy(py)?,
            None => None,
        };
        let Some(metadata) = metadata else { return Ok(exporter) };
        let described = py
            .import(intern!(py, "zerobuffer._array"))?
            .call_method1(intern!(py, "described"), (&exporter, metadata))?;
        Ok(if described.is_none() { exporter } else { described })
    }

    /// The memoryview of the bytes, made on first use, and again if its user has released it (`with
    /// frame.data as d`).
    fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = match &self.origin {
            Origin::Reader(_, state) => state,
            Origin::User(foreign) => return foreign_view(py, foreign, self.size),
        };
        loop {
            let found = state.with(py, |state| match state {
                State::Held(frame) => Some(Found::Bytes(Region::of_frame(frame))),
                State::Viewed { pin, view } => Some(Found::View(pin.clone_ref(py), view.clone_ref(py))),
                State::Disposed | State::Kept(_) => None,
            });
            let region = match found.ok_or_else(disposed)? {
                Found::Bytes(region) => region,
                Found::View(pin, view) => return renewed(py, state, &pin, view.into_bound(py)),
            };
            // Made outside the state (allocation may run finalisers) and without a hold. If another
            // thread is faster, or releases the frame meanwhile, this pin was never seen by anybody
            // and is dropped.
            let (pin, view) = Pin::export(py, region, None)?;
            let answer = view.bind(py).clone().into_any();
            let made = Made { pin, view };
            let left = state.with(py, |state| match mem::replace(state, State::Disposed) {
                State::Held(frame) => {
                    made.pin.get().fill(py, Hold::Frame(frame, None));
                    *state = State::Viewed { pin: made.pin, view: made.view };
                    None
                }
                other => {
                    *state = other;
                    Some(made)
                }
            });
            if left.is_none() {
                return Ok(answer);
            }
        }
    }

    /// Lets go of everything; `explicit` if a caller asked for it (and not the last reference that
    /// went).
    fn let_go(&self, py: Python<'_>, explicit: bool) -> PyResult<()> {
        let (source, state) = match &self.origin {
            Origin::Reader(source, state) => (source, state),
            Origin::User(foreign) => {
                let foreign = foreign.lock().take();
                return foreign.map_or(Ok(()), |foreign| foreign.let_go(py));
            }
        };
        let before = state.with(py, |state| mem::replace(state, State::Disposed));
        match before {
            State::Held(frame) => {
                source.take_in(py);
                drop(frame);
                Ok(())
            }
            State::Viewed { pin, view } => {
                source.take_in(py);
                // A view that only this frame refers to needs no release: it goes with the frame.
                if explicit && is_shared(view.bind(py).as_any()) {
                    release(view.bind(py).as_any())?;
                }
                view.drop_ref(py);
                let keeps = explicit && self.keeps.load(Relaxed);
                // Without any other view the space returns with the pin, now.
                if keeps || is_shared(pin.bind(py).as_any()) {
                    if explicit && source.reclaim {
                        pin.get().reclaim(py);
                    }
                    pin.get().outlive(py, source);
                }
                if keeps {
                    state.with(py, |state| *state = State::Kept(pin));
                } else {
                    pin.drop_ref(py);
                }
                Ok(())
            }
            State::Kept(pin) => {
                if explicit {
                    state.with(py, |state| *state = State::Kept(pin));
                }
                Ok(())
            }
            State::Disposed => Ok(()),
        }
    }
}

/// What `data` begins with.
enum Found {
    Bytes(Region),
    View(Py<Pin>, Py<PyMemoryView>),
}

/// What `data` has made.
struct Made {
    pin: Py<Pin>,
    view: Py<PyMemoryView>,
}

/// The view that was made before, or another one if its user has released that.
fn renewed<'py>(
    py: Python<'py>,
    state: &Attached<State>,
    pin: &Py<Pin>,
    view: Bound<'py, PyMemoryView>,
) -> PyResult<Bound<'py, PyAny>> {
    if view.getattr(intern!(py, "nbytes")).is_ok() {
        return Ok(view.into_any());
    }
    let renewed = PyMemoryView::from(pin.bind(py).as_any())?;
    let new = renewed.clone().unbind();
    let before = state.with(py, |state| match state {
        State::Viewed { view, .. } => Some(mem::replace(view, new)),
        _ => None,
    });
    before.map(|_| renewed.into_any()).ok_or_else(disposed)
}

fn foreign_view<'py>(
    py: Python<'py>,
    foreign: &Mutex<Option<Foreign>>,
    size: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (memory, offset) = match &*foreign.lock() {
        Some(Foreign { view: Some(view), .. }) => return Ok(view.bind(py).clone()),
        Some(foreign) => (foreign.memory.clone_ref(py), foreign.offset),
        None => return Err(disposed()),
    };
    let end = offset.saturating_add(isize::try_from(size)?);
    let view = memory.bind(py).get_item(pyo3::types::PySlice::new(py, offset, end, 1))?;
    if let Some(foreign) = &mut *foreign.lock() {
        foreign.view = Some(view.clone().unbind());
    }
    Ok(view)
}

impl Foreign {
    fn let_go(self, py: Python<'_>) -> PyResult<()> {
        let called = match &self.on_dispose {
            Some(callback) => callback.call0(py).map(drop),
            None => Ok(()),
        };
        for view in [self.view.as_ref(), Some(&self.memory)].into_iter().flatten() {
            let view = view.bind(py);
            if PyMemoryView::is_type_of(view) {
                release(view)?;
            }
        }
        called
    }
}

/// Releases a memoryview; one that a consumer of the buffer protocol still uses is left to that
/// consumer: `false`.
pub(crate) fn release(view: &Bound<'_, PyAny>) -> PyResult<bool> {
    match view.call_method0(intern!(view.py(), "release")) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyBufferError>(view.py()) => Ok(false),
        Err(error) => Err(error),
    }
}

fn disposed() -> PyErr {
    PyValueError::new_err("the frame has been released: its data cannot be accessed any more")
}

#[pymethods]
impl Frame {
    #[new]
    #[pyo3(signature = (memory_view, offset, size, sequence, on_dispose = None))]
    fn new(
        memory_view: Py<PyAny>,
        offset: isize,
        size: usize,
        sequence: u64,
        on_dispose: Option<Py<PyAny>>,
    ) -> Self {
        let foreign = Foreign { memory: memory_view, offset, view: None, on_dispose };
        let origin = Origin::User(Mutex::new(Some(foreign)));
        Self { size, sequence, origin, keeps: AtomicBool::new(false) }
    }

    /// The frame's bytes in the ring: a writable memoryview, no copy. `ValueError` after release.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.view(py)
    }

    /// Number of bytes.
    #[getter]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Sequence number, counted by the writer from 1.
    #[getter]
    fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the frame has data: False once released.
    #[getter]
    pub(crate) fn is_valid(&self, py: Python<'_>) -> bool {
        let has_bytes = match &self.origin {
            Origin::Reader(_, state) => {
                state.with(py, |state| matches!(state, State::Held(_) | State::Viewed { .. }))
            }
            Origin::User(foreign) => foreign.lock().is_some(),
        };
        self.size > 0 && has_bytes
    }

    /// Releases the frame and its memoryview; further calls do nothing.
    pub(crate) fn dispose(&self, py: Python<'_>) -> PyResult<()> {
        self.let_go(py, true)
    }

    /// A copy of the buffer's metadata, for `zerobuffer.video`.
    #[getter]
    fn _metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.source().map_or(Ok(None), |source| source.metadata_copy(py))
    }

    /// The frame as a `NumPy` array, without a copy. `shape` and `dtype` default to what the
    /// buffer's metadata says.
    #[pyo3(signature = (shape = None, dtype = None))]
    fn array<'py>(
        slf: &Bound<'py, Self>,
        shape: Option<Bound<'py, PyAny>>,
        dtype: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        // NumPy takes a refused buffer for "no buffer at all" and would make an array of objects.
        slf.get().view(py)?;
        let metadata = match slf.get().source() {
            Some(source) if dtype.is_none() || shape.is_none() => source.metadata_copy(py)?,
            _ => None,
        };
        py.import(intern!(py, "zerobuffer._array"))?
            .call_method1(intern!(py, "frame_array"), (slf.get().exporter(py)?, shape, dtype, metadata))
    }

    /// `NumPy` calls this once the buffer is refused, so `np.asarray` of a released frame raises
    /// `ValueError`.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let array = Self::array(slf, None, None)?;
        py.import(intern!(py, "zerobuffer._array"))?
            .call_method1(intern!(py, "converted"), (array, dtype, copy))
    }

    /// A `DLPack` capsule of what `array()` returns: of bytes, unless the metadata say more (needs
    /// `NumPy`).
    #[pyo3(signature = (**options))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let array = Self::array(slf, None, None)?;
        array.call_method(intern!(py, "__dlpack__"), (), options)
    }

    /// The device of `__dlpack__`: (1, 0), the CPU.
    #[expect(clippy::unused_self, reason = "a method by protocol")]
    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }

    fn __len__(&self) -> usize {
        self.size
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let view = self.view(py)?;
        let bytes = view.call_method0(intern!(py, "tobytes"))?;
        Ok(bytes.cast_into::<PyBytes>()?)
    }

    fn __repr__(&self) -> String {
        format!("Frame(sequence={}, size={})", self.sequence, self.size)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
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
        self.let_go(py, true)
    }

    /// Only a frame of user code can be part of a cycle (through `on_dispose`): a received one
    /// refers to its pin.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Origin::User(foreign) = &self.origin
            && let Some(foreign) = foreign.try_lock()
            && let Some(foreign) = &*foreign
        {
            visit.call(&foreign.memory)?;
            visit.call(&foreign.view)?;
            visit.call(&foreign.on_dispose)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        dispose_quietly(self);
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let is_over = match &mut self.origin {
            Origin::Reader(source, state) => match state.get_mut() {
                State::Disposed => true,
                // The core takes its space back with what is dropped here next.
                State::Held(_) => {
                    Python::attach(|py| source.take_in(py));
                    true
                }
                State::Viewed { .. } | State::Kept(_) => false,
            },
            Origin::User(foreign) => foreign.get_mut().is_none(),
        };
        if !is_over {
            dispose_quietly(self);
        }
    }
}

/// Disposal where no exception can be raised; an exception that is on its way stays untouched.
fn dispose_quietly(frame: &Frame) {
    Python::attach(|py| {
        let passing = PyErr::take(py);
        if let Err(error) = frame.let_go(py, false) {
            error.write_unraisable(py, None);
        }
        if let Some(error) = passing {
            error.restore(py);
        }
    });
}
