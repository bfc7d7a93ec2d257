//! What `zerobuffer.observe` stands on: looking at buffers from outside, and removing what the dead
//! have left.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use zerobuffer::observe::{self, BufferInfo, Peer};

use crate::errors::raise;
use crate::logging;

fn describe<'py>(py: Python<'py>, info: &BufferInfo) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    let peer = |peer: Option<Peer>| peer.map(|Peer { pid, alive, level, .. }| (pid, alive, level));
    fields.set_item("name", &info.name)?;
    fields.set_item("metadata_size", info.metadata_size)?;
    fields.set_item("payload_size", info.payload_size)?;
    fields.set_item("free", info.free)?;
    fields.set_item("written", info.written_count)?;
    fields.set_item("read", info.read_count)?;
    fields.set_item("writer", peer(info.writer))?;
    fields.set_item("reader", peer(info.reader))?;
    fields.set_item("metadata", info.metadata.as_ref().map(|bytes| PyBytes::new(py, bytes)))?;
    fields.set_item("mode", info.mode)?;
    fields.set_item("uid", info.uid)?;
    fields.set_item("defects", info.defects.clone())?;
    Ok(fields)
}

/// The state of one buffer, by field names.
#[pyfunction]
#[pyo3(name = "_inspect")]
pub(crate) fn inspect<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let info = py.detach(|| observe::inspect(name));
    logging::flush(py)?;
    describe(py, &info.map_err(raise)?)
}

/// The state of all buffers that this user can look at.
#[pyfunction]
#[pyo3(name = "_list")]
pub(crate) fn list(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let buffers = py.detach(observe::list);
    logging::flush(py)?;
    buffers.map_err(raise)?.iter().map(|info| describe(py, info)).collect()
}

/// What a left-over is: name, objects, bytes, why it is dead; and what was removed, if `remove` is
/// given.
type LeftOver = (String, Vec<PathBuf>, u64, String, Vec<PathBuf>);

/// What dead processes have left; removed with `remove`.
#[pyfunction]
#[pyo3(name = "_left_behind")]
pub(crate) fn left_behind(py: Python<'_>, name: Option<&str>, remove: bool) -> PyResult<Vec<LeftOver>> {
    let found = py.detach(|| {
        let wanted =
            observe::orphans()?.into_iter().filter(|orphan| name.is_none_or(|name| name == orphan.name));
        wanted
            .map(|orphan| {
                let removed = if remove { observe::remove(&orphan)? } else { Vec::new() };
                Ok((orphan.name, orphan.objects, orphan.bytes, orphan.reason, removed))
            })
            .collect::<Result<Vec<_>, zerobuffer::Error>>()
    });
    logging::flush(py)?;
    found.map_err(raise)
}
