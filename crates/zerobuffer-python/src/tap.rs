//! `TapBase`: the native half of `zerobuffer.Tap`.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use zerobuffer::Error;
use zerobuffer::observe::{self, TapFrame, TapState};

use crate::errors::raise;
use crate::logging;
use crate::pin::{Hold, Pin, Region};
use crate::wait::{Timeout, in_slices, nothing};

/// The native half of `zerobuffer.Tap`.
#[pyclass(frozen, subclass, name = "TapBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct Tap {
    name: String,
    capacity: u64,
    /// Held while a slice of a wait runs, detached; never while attached except for moments.
    inner: Mutex<Option<Inner>>,
    closed: AtomicBool,
    /// The metadata of the frame that was seen last.
    metadata: Mutex<Option<Py<PyBytes>>>,
}

struct Inner {
    tap: observe::Tap,
    /// Read before, for the next answer.
    metadata: Option<Vec<u8>>,
}

/// A frame: its bytes, its number, how many lie between it and the one before.
type Seen = (Py<PyMemoryView>, u64, Option<u64>);

/// What a slice of a wait has found: a frame, and the metadata, if they have changed.
type Found = Option<(TapFrame, Option<Vec<u8>>)>;

impl Tap {
    fn gone(&self) -> Error {
        Error::Closed { name: self.name.clone() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut observe::Tap) -> Result<T, Error>) -> Result<T, Error> {
        let mut guard = self.inner.lock();
        let inner = guard.as_mut().ok_or_else(|| self.gone())?;
        look(&mut inner.tap)
    }

    /// One slice of a wait.
    fn slice(&self, newest: bool, bytes: &mut Vec<u8>, slice: Duration) -> Result<Found, Error> {
        let Some(mut guard) = self.inner.try_lock_for(slice) else { return Ok(None) };
        let inner = guard.as_mut().ok_or_else(|| self.gone())?;
        let found = if newest { inner.tap.latest(bytes, slice) } else { inner.tap.next(bytes, slice) };
        let seen = found?.map(|frame| {
            // What cannot be read says nothing of the frame.
            let metadata = inner.tap.metadata().ok().flatten();
            let is_new = metadata != inner.metadata;
            inner.metadata.clone_from(&metadata);
            (frame, is_new.then(|| metadata.unwrap_or_default()))
        });
        MutexGuard::unlock_fair(guard);
        Ok(seen)
    }
}

#[pymethods]
impl Tap {
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let tap = py.detach(|| observe::Tap::open(name));
        logging::flush(py)?;
        let tap = tap.map_err(raise)?;
        Ok(Self {
            name: name.to_owned(),
            capacity: tap.capacity(),
            inner: Mutex::new(Some(Inner { tap, metadata: None })),
            closed: AtomicBool::new(false),
            metadata: Mutex::new(None),
        })
    }

    /// The next frame, or the newest one; None if there is none in time.
    fn _see(&self, py: Python<'_>, newest: bool, timeout: Option<f64>) -> PyResult<Option<Seen>> {
        let deadline = Timeout::from_seconds(timeout)?.start();
        let mut bytes = Vec::new();
        let slice = || {
            if self.closed.load(SeqCst) {
                return Err(self.gone());
            }
            self.slice(newest, &mut bytes, deadline.slice())
        };
        let Some((frame, metadata)) = in_slices(py, &deadline, slice, nothing)? else { return Ok(None) };
        if let Some(metadata) = metadata {
            let metadata = PyBytes::new(py, &metadata).unbind();
            let before = self.metadata.lock().replace(metadata);
            drop(before);
        }
        let region = Region::of_pending(&mut bytes);
        let (_, view) = Pin::export(py, region, Some(Hold::Copy(bytes)))?;
        Ok(Some((view, frame.sequence, frame.skipped)))
    }

    /// The metadata of the frame that was seen last; empty if there are none.
    fn _seen_metadata(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        self.metadata.lock().as_ref().map(|metadata| metadata.clone_ref(py))
    }

    /// The metadata block as it is now: None if never written.
    fn get_metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let metadata = py.detach(|| self.with(|tap| tap.metadata())).map_err(raise)?;
        Ok(metadata.map(|metadata| PyBytes::new(py, &metadata)))
    }

    /// Frames that were missed; None if their numbers do not tell.
    #[getter]
    fn missed(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        py.detach(|| self.with(|tap| Ok(tap.missed()))).map_err(raise)
    }

    /// "live", "no writer", "overrun" or "ended".
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        let state = py.detach(|| self.with(observe::Tap::state)).map_err(raise)?;
        Ok(match state {
            TapState::NoWriter => "no writer",
            TapState::Overrun => "overrun",
            TapState::Ended => "ended",
            _ => "live",
        })
    }

    /// Why only unread frames are seen; None if all are.
    #[getter]
    fn unsupported(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        py.detach(|| self.with(|tap| Ok(tap.unsupported()))).map_err(raise)
    }

    /// The buffer's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Size of the ring in bytes.
    #[getter]
    fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether `close` has run.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Closes the tap; a waiting call of another thread ends within 100 ms. Idempotent.
    fn close(&self, py: Python<'_>) {
        self.closed.store(true, SeqCst);
        let inner = py.detach(|| self.inner.lock().take());
        drop(inner);
    }
}
