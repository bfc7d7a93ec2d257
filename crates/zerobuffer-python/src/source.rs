//! What the frames of one reader share: its handle, and a count of released frames that views still hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use zerobuffer::ReaderHandle;

use crate::logging;

/// Pins of all readers of the process that outlived their frame: a stalled *writer* looks at this one.
static PINNED_ANYWHERE: AtomicUsize = AtomicUsize::new(0);

/// Shared by a reader and all its frames.
#[derive(Debug)]
pub(crate) struct Source {
    /// The reader, seen without its lock.
    pub(crate) handle: ReaderHandle,
    /// `reclaim_on_release=True`: released space is reused at once, views or not.
    pub(crate) reclaim: bool,
    /// Frames that were released or dropped while views of them lived on.
    pinned: AtomicUsize,
    /// The value of `pinned` that a collection has already been spent on.
    collected: AtomicUsize,
    warned: AtomicBool,
}

impl Source {
    pub(crate) fn new(handle: ReaderHandle, reclaim: bool) -> Arc<Self> {
        Arc::new(Self {
            handle,
            reclaim,
            pinned: AtomicUsize::new(0),
            collected: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
        })
    }

    /// Called when a read has waited a whole slice in vain (P5): garbage cycles may hold the space that the writer
    /// waits for. Collects once per set of pinned frames, and warns once if they stay.
    pub(crate) fn stalled(&self, py: Python<'_>) -> PyResult<()> {
        let pinned = self.pinned.load(Relaxed);
        if pinned == 0 || self.collected.swap(pinned, Relaxed) == pinned {
            return Ok(());
        }
        py.import("gc")?.call_method0("collect")?;
        let pinned = self.pinned.load(Relaxed);
        self.collected.store(pinned, Relaxed);
        // A nearly empty ring does not keep the writer waiting: then the silence has another reason.
        let used = self.handle.utilization();
        if pinned == 0 || used < 0.25 || self.warned.swap(true, Relaxed) {
            return Ok(());
        }
        let text = format!(
            "buffer '{}': {pinned} released frame(s) are still held by memoryviews or arrays made from frame.data; \
             the ring is {:.0} % in use and the writer may be waiting for that space. Drop the views, copy the data, \
             or create the Reader with reclaim_on_release=True",
            self.handle.name(),
            used * 100.0
        );
        logging::READER.warning(py, &text)?;
        let category = py.get_type::<PyRuntimeWarning>();
        py.import("warnings")?.call_method1("warn", (text, category, 2))?;
        Ok(())
    }
}

/// Called when a write has waited a whole slice in vain: the reader may live in this process, its views in garbage.
pub(crate) fn writer_stalled(py: Python<'_>, seen: &mut usize) -> PyResult<()> {
    let pinned = PINNED_ANYWHERE.load(Relaxed);
    if pinned != 0 && pinned != *seen {
        py.import("gc")?.call_method0("collect")?;
        *seen = PINNED_ANYWHERE.load(Relaxed);
    }
    Ok(())
}

/// Membership of one exported frame: with its `Frame` object at first, pinned once that is gone.
#[derive(Debug)]
pub(crate) struct Ticket {
    source: Arc<Source>,
    pinned: AtomicBool,
}

impl Ticket {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self { source, pinned: AtomicBool::new(false) }
    }

    /// The `Frame` object is released or gone; what is left are views.
    pub(crate) fn outlive(&self) {
        if !self.pinned.swap(true, Relaxed) {
            self.source.pinned.fetch_add(1, Relaxed);
            PINNED_ANYWHERE.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if *self.pinned.get_mut() {
            self.source.pinned.fetch_sub(1, Relaxed);
            PINNED_ANYWHERE.fetch_sub(1, Relaxed);
        }
    }
}
