//! `Response`: the answer to a request, which is a frame.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::frame::Frame;
use crate::receiving::Received;
use crate::source::Source;

/// The answer to one request, in the response ring.
///
/// A frame, whose number is that of the request. Its space is returned when it is disposed or
/// dropped.
#[pyclass(frozen, subclass, extends = Frame, name = "Response", module = "zerobuffer")]
pub(crate) struct Response {
    request: u64,
}

impl Response {
    /// Wraps an answer that the core delivered.
    pub(crate) fn received(
        py: Python<'_>,
        response: zerobuffer::duplex::Response,
        source: &Arc<Source>,
    ) -> PyResult<Py<Self>> {
        let request = response.sequence();
        let frame = Frame::received(py, Received::Ring(response.into_frame()), Arc::clone(source));
        Py::new(py, PyClassInitializer::from(frame).add_subclass(Self { request }))
    }
}

#[pymethods]
impl Response {
    /// The sequence number of the request.
    #[getter]
    fn sequence(&self) -> u64 {
        self.request
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let frame = slf.as_super().get();
        let released = if frame.is_valid(slf.py()) { "" } else { ", released" };
        format!("Response(sequence={}, size={}{released})", slf.get().request, frame.size())
    }
}
