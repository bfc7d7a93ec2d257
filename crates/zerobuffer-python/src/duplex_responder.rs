//! `DuplexResponder`: what a handler's response writer stands on.

use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use zerobuffer::duplex::Responder;
use zerobuffer::{Error, Outcome};

use crate::errors::{general, raise_answering};
use crate::frame::release;
use crate::input::with_bytes;
use crate::number::FrameSize;
use crate::pin::{Hold, Pin, Region};
use crate::sending::COPY_ATTACHED;

/// Answers one request, until its handler returns.
#[pyclass(frozen, name = "DuplexResponder", module = "zerobuffer._zerobuffer")]
pub(crate) struct DuplexResponder {
    /// Taken out while an operation runs, detached; `None` for good once the handler has returned.
    responder: Mutex<Option<Responder>>,
    pending: Mutex<Option<Pending>>,
    sequence: u64,
    name: String,
}

/// A response that is being written in place.
struct Pending {
    view: Py<PyMemoryView>,
    size: usize,
    /// What the view shows where it is not memory of the ring: it is copied when it is sent.
    own: Option<Py<PyByteArray>>,
}

impl DuplexResponder {
    pub(crate) fn new(responder: Responder) -> Self {
        Self {
            sequence: responder.sequence(),
            name: responder.buffer().name().to_owned(),
            responder: Mutex::new(Some(responder)),
            pending: Mutex::new(None),
        }
    }

    /// The handler has returned.
    pub(crate) fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let responder = self.responder.lock().take();
        self.retire(py)?;
        if let Some(responder) = responder {
            finished(py, responder);
        }
        Ok(())
    }

    /// Ends the view of a pending response: what it shows may be another one by then.
    fn retire(&self, py: Python<'_>) -> PyResult<()> {
        let pending = self.pending.lock().take();
        pending.map_or(Ok(()), |pending| release(pending.view.bind(py).as_any()).map(drop))
    }

    fn take(&self) -> PyResult<Responder> {
        let taken = self.responder.lock().take();
        taken.ok_or_else(|| {
            general(format!(
                "'{}': request {} cannot be answered any more, its handler has returned (or another thread is answering)",
                self.name, self.sequence
            ))
        })
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut Responder) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let mut responder = self.take()?;
        let (outcome, responder) = py.detach(move || {
            let outcome = operation(&mut responder);
            (outcome, responder)
        });
        *self.responder.lock() = Some(responder);
        outcome.map_err(raise_answering)
    }
}

/// Sends a response: at once if nothing has to be waited for.
pub(crate) fn written(
    py: Python<'_>,
    mut responder: Responder,
    bytes: &[u8],
) -> (Result<Outcome, Error>, Responder) {
    if bytes.len() <= COPY_ATTACHED
        && let Some(outcome) = responder.try_write(bytes).transpose()
    {
        return (outcome, responder);
    }
    py.detach(move || {
        let outcome = responder.write(bytes);
        (outcome, responder)
    })
}

/// The handler has returned: without an answer, that is reported.
pub(crate) fn finished(py: Python<'_>, responder: Responder) {
    if responder.is_answered() {
        // Nothing is left to be done, and nothing waits.
        drop(responder);
    } else {
        py.detach(|| drop(responder));
    }
}

#[pymethods]
impl DuplexResponder {
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.retire(py)?;
        with_bytes(data, |bytes| {
            let (outcome, responder) = written(py, self.take()?, bytes);
            *self.responder.lock() = Some(responder);
            outcome.map(drop).map_err(raise_answering)
        })
    }

    /// A writable view of `size` bytes of the response ring. A response that has to wait for its
    /// turn or for room gets memory of its own. So does a second one, which goes nowhere.
    fn begin<'py>(&self, py: Python<'py>, size: FrameSize) -> PyResult<Bound<'py, PyMemoryView>> {
        let size = size.reserved()?;
        self.retire(py)?;
        let place = self.with(py, move |responder| {
            responder.begin(size)?;
            let mapping = responder.keep_alive().filter(|_| !responder.is_answered());
            Ok(mapping.zip(responder.pending().map(Region::of_pending)))
        })?;
        let (view, own) = if let Some((mapping, region)) = place {
            (Pin::export(py, region, Some(Hold::Mapping(mapping)))?.1, None)
        } else {
            let own = PyByteArray::new(py, &vec![0; size]);
            (PyMemoryView::from(own.as_any())?.unbind(), Some(own.unbind()))
        };
        *self.pending.lock() = Some(Pending { view: view.clone_ref(py), size, own });
        Ok(view.into_bound(py))
    }

    #[pyo3(signature = (size = None))]
    fn commit(&self, py: Python<'_>, size: Option<FrameSize>) -> PyResult<()> {
        let pending = self.pending.lock().as_ref().map(|pending| {
            let own = pending.own.as_ref().map(|own| own.bind(py).to_vec());
            (pending.size, own)
        });
        let Some((reserved, own)) = pending else {
            return Err(general(format!("'{}': there is no pending response to commit", self.name)));
        };
        let len = size.map_or(Ok(reserved), FrameSize::committed)?;
        self.retire(py)?;
        self.with(py, |responder| {
            if let (Some(own), Some(place)) = (own, responder.pending()) {
                place.iter_mut().zip(own).for_each(|(to, from)| *to = from);
            }
            responder.commit(len)
        })
        .map(drop)
    }

    fn abort(&self, py: Python<'_>) -> PyResult<bool> {
        self.retire(py)?;
        self.with(py, |responder| Ok(responder.abort()))
    }

    /// A copy of what `write` and `set_metadata` take, to be written later.
    #[staticmethod]
    fn copy<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        match data.cast_exact::<PyBytes>() {
            Ok(bytes) => Ok(bytes.clone()),
            Err(_) => with_bytes(data, |bytes| Ok(PyBytes::new(data.py(), bytes))),
        }
    }

    fn set_metadata(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        with_bytes(data, |bytes| self.with(py, |responder| responder.set_metadata(bytes)))
    }

    fn set_write_timeout_ns(&self, py: Python<'_>, nanoseconds: u64) -> PyResult<()> {
        let timeout = Duration::from_nanos(nanoseconds);
        self.with(py, |responder| {
            responder.set_write_timeout(Some(timeout));
            Ok(())
        })
    }

    /// The channel of the request.
    #[getter]
    fn channel(&self) -> PyResult<String> {
        let channel = self.responder.lock().as_ref().map(|responder| responder.channel().to_owned());
        channel.ok_or_else(|| general("the handler has returned"))
    }

    #[getter]
    fn is_client_connected(&self) -> bool {
        self.responder.lock().as_ref().is_some_and(Responder::is_client_connected)
    }

    /// (frames, bytes, waits, seconds blocked, utilization, capacity) of the response buffer.
    fn stats(&self) -> PyResult<(u64, u64, u64, f64, f64, u64)> {
        let handle = self.responder.lock().as_ref().map(Responder::buffer);
        let Some(handle) = handle else { return Err(general("the handler has returned")) };
        let stats = handle.stats();
        let blocked = stats.blocked.as_secs_f64();
        Ok((stats.frames, stats.bytes, stats.waits, blocked, handle.utilization(), handle.capacity()))
    }

    /// The sequence number of the request.
    #[getter]
    fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The response buffer's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }
}
