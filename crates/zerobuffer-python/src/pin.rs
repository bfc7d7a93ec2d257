//! Shared memory as a Python buffer and Python buffers as bytes: the one file with unsafe code.
//!
//! Beside that it has [`Attached`], what attached threads share without locked operations.
//!
//! A `Pin` owns what keeps its bytes in place (a core frame, a metadata handle, the mapping) and
//! exports them. Views refer to the pin, never to the `Frame`. When the last view is gone the pin
//! is deallocated, and only then does the core get the ring space back. There is no release hook,
//! so nothing can go wrong in one. The drop of the core frame takes the core's own leaf lock and
//! nothing else. A pin refers to no Python object, so it cannot be part of a cycle.
#![allow(unsafe_code)]

#[cfg(not(Py_GIL_DISABLED))]
use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::mem;
use std::slice;
use std::sync::Arc;

#[cfg(Py_GIL_DISABLED)]
use parking_lot::Mutex;
use pyo3::exceptions::{PyBufferError, PyOverflowError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView};

use crate::frame::Frame;
use crate::loan::Loan;
use crate::receiving::Received;
use crate::source::{Source, Ticket};

/// A value that attached threads use, one at a time.
///
/// Where there is a GIL, that keeps the others out, and a use takes no locked operation. A read of
/// a small frame took more than twenty of them. Elsewhere there is a mutex.
///
/// A use must not detach and must not run Python code: another thread could come in. Then that one
/// panics, and this one goes on.
pub(crate) struct Attached<T> {
    #[cfg(not(Py_GIL_DISABLED))]
    value: UnsafeCell<T>,
    #[cfg(not(Py_GIL_DISABLED))]
    is_used: Cell<bool>,
    #[cfg(Py_GIL_DISABLED)]
    value: Mutex<T>,
}

// SAFETY: both cells are touched by `with` and `get_mut` alone, and `get_mut` has the only
// reference. `with` is called attached, and no interpreter but the main one imports the module. So
// one GIL orders all reads and writes of `is_used`, and that all uses of the value. The value may
// be dropped by another thread than the one that made it: it is `Send`.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl<T: Send> Sync for Attached<T> {}

#[cfg(not(Py_GIL_DISABLED))]
impl<T> Attached<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), is_used: Cell::new(false) }
    }

    #[inline]
    pub(crate) fn with<R>(&self, _: Python<'_>, using: impl FnOnce(&mut T) -> R) -> R {
        struct Used<'a>(&'a Cell<bool>);
        impl Drop for Used<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        assert!(!self.is_used.replace(true), "a use of a value of attached threads has let another one in");
        let _used = Used(&self.is_used);
        // SAFETY: nobody else has a reference: each is made here, and none while `is_used` is set.
        using(unsafe { &mut *self.value.get() })
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

#[cfg(Py_GIL_DISABLED)]
impl<T> Attached<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { value: Mutex::new(value) }
    }

    #[inline]
    pub(crate) fn with<R>(&self, _: Python<'_>, using: impl FnOnce(&mut T) -> R) -> R {
        using(&mut *self.value.lock())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> fmt::Debug for Attached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

/// What keeps the bytes of a region in place.
#[derive(Debug)]
pub(crate) enum Hold {
    /// A frame: its ring space is returned when the pin goes. Counted once the `Frame` object is
    /// released or gone, and what is left are views.
    Frame(Received, Option<Ticket>),
    /// The metadata block.
    Metadata(#[allow(dead_code, reason = "held for its drop")] zerobuffer::Metadata),
    /// A copy that belongs to nobody else.
    Copy(#[allow(dead_code, reason = "held for its drop")] Vec<u8>),
    /// The mapping alone: what the bytes mean is somebody else's business.
    Mapping(#[allow(dead_code, reason = "held for its drop")] zerobuffer::Keepalive),
}

/// Where some shared bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    start: *mut u8,
    len: usize,
    readonly: bool,
}

// SAFETY: a region is an address and a length; the code that dereferences it answers for the bytes
// (see `Pin`).
unsafe impl Send for Region {}
// SAFETY: as above; there is no interior state.
unsafe impl Sync for Region {}

impl Region {
    /// The bytes of a received frame, writable as they were in 1.x.
    pub(crate) fn of_frame(frame: &mut Received) -> Self {
        Self::of_pending(frame.data_mut())
    }

    /// The bytes of a frame that is being written.
    pub(crate) fn of_pending(data: &mut [u8]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), readonly: false }
    }

    /// The bytes of the metadata block, which must not be changed.
    pub(crate) fn of_metadata(metadata: &zerobuffer::Metadata) -> Self {
        let data = metadata.data();
        Self { start: data.as_ptr().cast_mut(), len: data.len(), readonly: true }
    }
}

/// Exports a region for as long as any view of it lives.
#[pyclass(frozen, name = "_Pin", module = "zerobuffer._zerobuffer")]
#[derive(Debug)]
pub(crate) struct Pin {
    region: Region,
    hold: Attached<Option<Hold>>,
}

impl Pin {
    /// A memoryview of `region`. Without a `hold` the caller must keep the bytes in place until
    /// `fill`.
    pub(crate) fn export(
        py: Python<'_>,
        region: Region,
        hold: Option<Hold>,
    ) -> PyResult<(Py<Self>, Py<PyMemoryView>)> {
        let pin = Bound::new(py, Self { region, hold: Attached::new(hold) })?;
        let view = PyMemoryView::from(pin.as_any())?;
        Ok((pin.unbind(), view.unbind()))
    }

    /// Hands the pin what keeps its bytes in place.
    pub(crate) fn fill(&self, py: Python<'_>, hold: Hold) {
        let before = self.hold.with(py, |place| place.replace(hold));
        drop(before);
    }

    /// The `Frame` object is gone; from here on only views hold the space.
    pub(crate) fn outlive(&self, py: Python<'_>, source: &Arc<Source>) {
        self.hold.with(py, |hold| {
            if let Some(Hold::Frame(_, ticket)) = hold {
                ticket.get_or_insert_with(|| Ticket::new(source));
            }
        });
    }

    /// Returns the space now and keeps the memory mapped: live views will show whatever comes next
    /// (`reclaim_on_release`). A frame in private memory has no space to return.
    pub(crate) fn reclaim(&self, py: Python<'_>) {
        let before = self.hold.with(py, |hold| match hold {
            Some(Hold::Frame(frame, _)) => {
                let mapping = frame.keep_alive()?;
                hold.replace(Hold::Mapping(mapping))
            }
            _ => None,
        });
        drop(before);
    }

    /// Copies the bytes of `source` into the region, which must be as long.
    pub(crate) fn copy_from(&self, py: Python<'_>, source: &View<'_>) -> PyResult<()> {
        if source.len() != self.region.len {
            return Err(PyBufferError::new_err("the buffer changed its size while it was written"));
        }
        let len = signed(self.region.len)?;
        // SAFETY: the region has `len` writable bytes that the pin keeps mapped. `source.raw` is a
        // buffer that Python filled and that stays acquired. Both lengths are equal, so nothing is
        // written past the end.
        let code = unsafe {
            ffi::PyBuffer_ToContiguous(self.region.start.cast::<c_void>(), source.as_ptr(), len, C_ORDER)
        };
        check(py, code)
    }
}

#[pymethods]
impl Pin {
    /// Fills in a request for the buffer.
    ///
    /// # Safety
    /// Called by the interpreter only, with a `view` it owns.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let Region { start, len, readonly } = slf.get().region;
        let len = signed(len)?;
        // SAFETY: `view` is the interpreter's own request. The bytes stay mapped and in place while
        // the pin lives, and the request keeps a reference to it (`view.obj`). Their content is
        // shared with a peer by the protocol, which leaves frames alone that nobody has released.
        let code = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                start.cast::<c_void>(),
                len,
                c_int::from(readonly),
                flags,
            )
        };
        check(slf.py(), code)
    }
}

// `Frame` lives in frame.rs; its buffer slots are here because they are unsafe code.
#[pymethods]
impl Frame {
    /// Redirects a request (`memoryview(frame)`, `np.asarray(frame)`) to the exporter behind
    /// `frame.data`.
    ///
    /// # Safety
    /// Called by the interpreter only, with a `view` it owns.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let py = slf.py();
        // A request that takes a shape gets the one that the metadata say.
        let shaped = flags & SHAPED == SHAPED && flags & CONTIGUOUS == 0;
        let exporter = if shaped { Self::described(slf) } else { slf.get().exporter(py) };
        let exporter = match exporter {
            Ok(exporter) => exporter,
            Err(error) => return Err(PyBufferError::new_err(error.value(py).to_string())),
        };
        // SAFETY: `view` is the interpreter's own request, passed on unchanged. `view.obj` becomes
        // the exporter, so a consumer that keeps the buffer holds that and not the frame.
        let code = unsafe { ffi::PyObject_GetBuffer(exporter.as_ptr(), view, flags) };
        check(py, code)?;
        if flags & ffi::PyBUF_ANY_CONTIGUOUS == ffi::PyBUF_ANY_CONTIGUOUS {
            slf.get().keep_for_object();
        }
        Ok(())
    }

    /// Never called, as the exporter answers the requests. Since the slot exists, consumers hold a
    /// buffer for as long as they use the memory. `np.frombuffer` holds the bare object of a type
    /// without it.
    ///
    /// # Safety
    /// None.
    #[expect(clippy::unused_self, reason = "a slot of the type")]
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {}
}

// As for `Frame`.
#[pymethods]
impl Loan {
    /// Redirects a request (`np.frombuffer(loan)`, `socket.recv_into(loan)`) to the memoryview of
    /// the reservation.
    ///
    /// # Safety
    /// Called by the interpreter only, with a `view` it owns.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let py = slf.py();
        let exporter = match slf.get().open_view(py) {
            Ok(exporter) => exporter,
            Err(error) => return Err(PyBufferError::new_err(error.value(py).to_string())),
        };
        // SAFETY: `view` is the interpreter's own request, passed on unchanged; `view.obj` becomes
        // the memoryview, which cannot be released before the consumer lets go.
        let code = unsafe { ffi::PyObject_GetBuffer(exporter.as_ptr(), view, flags) };
        check(py, code)
    }

    /// As for `Frame`.
    ///
    /// # Safety
    /// None.
    #[expect(clippy::unused_self, reason = "a slot of the type")]
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {}
}

/// Where a buffer is acquired. It stays where it is meanwhile, since the answer may point into
/// itself.
pub(crate) struct Place(ffi::Py_buffer);

impl Place {
    pub(crate) fn new() -> Self {
        Self(ffi::Py_buffer::new())
    }
}

/// A buffer that Python code handed us, acquired until dropped.
pub(crate) struct View<'a> {
    raw: &'a mut ffi::Py_buffer,
    attached: Python<'a>,
}

/// Why there is no view. The place is free for another attempt.
pub(crate) struct Refused<'a> {
    pub(crate) place: &'a mut Place,
    /// `None`: nothing is offered.
    pub(crate) error: Option<PyErr>,
}

impl<'a> View<'a> {
    /// Whether the type of an object has the buffer protocol.
    pub(crate) fn is_offered(object: &Bound<'_, PyAny>) -> bool {
        // SAFETY: a check of the type's slots.
        unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
    }

    /// Acquires the buffer of an object, with strides if that is what it has. Of a frame all bytes.
    pub(crate) fn acquire(object: &Bound<'a, PyAny>, place: &'a mut Place) -> Result<Self, Refused<'a>> {
        // What is written most often has a buffer, and is no frame.
        let is_known =
            object.is_exact_instance_of::<PyByteArray>() || object.is_exact_instance_of::<PyMemoryView>();
        if !is_known {
            if let Ok(frame) = object.cast::<Frame>() {
                return match frame.get().exporter(object.py()) {
                    Ok(exporter) => Self::acquire(&exporter, place),
                    Err(error) => Err(Refused { place, error: Some(error) }),
                };
            }
            if !Self::is_offered(object) {
                return Err(Refused { place, error: None });
            }
        }
        let raw = &raw mut place.0;
        // SAFETY: `raw` is a valid place for the answer. It is borrowed, so it does not move, until
        // the view is dropped, which releases it.
        let code = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), raw, ffi::PyBUF_FULL_RO) };
        match check(object.py(), code) {
            Ok(()) => Ok(Self { raw: &mut place.0, attached: object.py() }),
            Err(error) => Err(Refused { place, error: Some(error) }),
        }
    }

    /// For reading calls; CPython before 3.11 declares their argument as mutable.
    fn as_ptr(&self) -> *mut ffi::Py_buffer {
        (&raw const *self.raw).cast_mut()
    }

    /// Length in bytes, whatever the shape and the item size.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.raw.len).unwrap_or(0)
    }

    /// Whether the items are, or contain, references to Python objects: their bytes are addresses.
    pub(crate) fn has_objects(&self) -> bool {
        if self.raw.format.is_null() {
            return false;
        }
        let format = self.raw.format;
        // SAFETY: a format that is not null is a string that the exporter keeps while the buffer is
        // acquired. Its second byte is read if the first one does not end it.
        if unsafe { *format.cast::<u8>() == b'B' && *format.add(1) == 0 } {
            return false;
        }
        // SAFETY: as above.
        let format = unsafe { CStr::from_ptr(format) }.to_bytes();
        // Names of fields stand between colons.
        format.split(|&byte| byte == b':').step_by(2).any(|types| types.contains(&b'O'))
    }

    /// The bytes, if they lie in one piece in C order.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: `raw` was filled by a successful acquisition.
        if unsafe { ffi::PyBuffer_IsContiguous(&raw const *self.raw, C_ORDER) } == 0 {
            return None;
        }
        if self.raw.buf.is_null() || self.raw.len == 0 {
            return Some(&[]);
        }
        // SAFETY: a contiguous buffer of `len` bytes that the exporter keeps in place while it is
        // acquired. Another thread may write into it meanwhile, as with every consumer of the
        // buffer protocol: then torn bytes are sent.
        Some(unsafe { slice::from_raw_parts(self.raw.buf.cast::<u8>(), self.len()) })
    }

    /// The bytes of any layout, copied in C order.
    pub(crate) fn to_vec(&self) -> PyResult<Vec<u8>> {
        let mut copy = vec![0u8; self.len()];
        let len = signed(copy.len())?;
        // SAFETY: `copy` has `len` bytes; `raw` is acquired.
        let code = unsafe {
            ffi::PyBuffer_ToContiguous(copy.as_mut_ptr().cast::<c_void>(), self.as_ptr(), len, C_ORDER)
        };
        check(self.attached, code)?;
        Ok(copy)
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // SAFETY: `raw` was acquired and has not been released before. The thread is attached for
        // as long as the view has the token.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.raw) }
    }
}

fn signed(len: usize) -> PyResult<ffi::Py_ssize_t> {
    ffi::Py_ssize_t::try_from(len).map_err(|_| PyOverflowError::new_err("buffer too large"))
}

fn check(py: Python<'_>, code: c_int) -> PyResult<()> {
    if code == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
}

/// Which interpreter of the process this is; the first one has 0.
pub(crate) fn interpreter_id(py: Python<'_>) -> PyResult<i64> {
    // SAFETY: the thread is attached, so there is a current interpreter.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if id < 0 { Err(PyErr::fetch(py)) } else { Ok(id) }
}

/// Whether anybody besides the caller refers to an object.
pub(crate) fn is_shared(object: &Bound<'_, PyAny>) -> bool {
    references(object) > 1
}

/// How many references there are to an object.
pub(crate) fn references(object: &Bound<'_, PyAny>) -> ffi::Py_ssize_t {
    // SAFETY: reads the count of a live object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

/// What a request says that takes shape, strides and format as they are.
const SHAPED: c_int = ffi::PyBUF_STRIDES | ffi::PyBUF_FORMAT;
/// What it says beside that if it takes one arrangement only.
const CONTIGUOUS: c_int =
    (ffi::PyBUF_C_CONTIGUOUS | ffi::PyBUF_F_CONTIGUOUS | ffi::PyBUF_ANY_CONTIGUOUS) & !ffi::PyBUF_STRIDES;

/// Row by row, the last index fastest.
#[allow(
    clippy::cast_possible_wrap,
    clippy::unnecessary_cast,
    reason = "ASCII; the sign of `c_char` depends on the target"
)]
const C_ORDER: c_char = b'C' as c_char;

const _: () = assert!(mem::size_of::<ffi::Py_ssize_t>() == mem::size_of::<usize>());
