//! What the frames of one reader share: its handle, and a count of released frames that views still
//! hold.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zerobuffer::{Error, Metadata, ReaderStats};

use crate::ends::End;
use crate::errors::raise;
use crate::logging;
use crate::receiving::Watched;

/// Bytes in front of every frame.
const HEADER: usize = 16;

/// Pins of all readers of the process that outlived their frame: a stalled *writer* looks at this
/// one.
static PINNED_ANYWHERE: AtomicUsize = AtomicUsize::new(0);

/// What a reader says of itself, also once it is closed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) stats: ReaderStats,
    pub(crate) utilization: f64,
    pub(crate) capacity: u64,
}

impl Summary {
    fn of(handle: &Watched) -> Self {
        Self { stats: handle.stats(), utilization: handle.utilization(), capacity: handle.capacity() }
    }
}

/// Shared by a reader and all its frames.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    /// The reader, seen without its lock.
    end: End<Watched, Summary>,
    /// The metadata of a closed reader, for frames that outlive it.
    metadata: OnceLock<Vec<u8>>,
    /// `reclaim_on_release=True`: released space is reused at once, views or not.
    pub(crate) reclaim: bool,
    /// Frames hold space that the writer may wait for.
    holds_space: bool,
    /// Frames that were released or dropped while views of them lived on.
    pinned: AtomicUsize,
    /// `Frame` objects that nobody has released or dropped.
    held: Tally,
    /// Size of the last frame.
    last_size: AtomicUsize,
    /// The value of `pinned` that a collection has already been spent on.
    collected: AtomicUsize,
    warned: AtomicBool,
}

impl Source {
    pub(crate) fn new(handle: impl Into<Watched>, reclaim: bool) -> Arc<Self> {
        let handle = handle.into();
        Arc::new(Self {
            name: handle.name().to_owned(),
            holds_space: matches!(handle, Watched::Ring(_)),
            end: End::new(handle),
            metadata: OnceLock::new(),
            reclaim,
            pinned: AtomicUsize::new(0),
            held: Tally::default(),
            last_size: AtomicUsize::new(0),
            collected: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn summary(&self) -> Summary {
        self.end.summary(Summary::of)
    }

    /// Ends blocked calls.
    pub(crate) fn interrupt(&self) {
        if let Some(handle) = self.end.open() {
            handle.interrupt();
        }
    }

    pub(crate) fn is_writer_connected(&self) -> bool {
        self.end.open().is_some_and(|handle| handle.is_writer_connected())
    }

    /// The metadata block, while the reader is open.
    pub(crate) fn metadata(&self) -> Result<Option<Metadata>, Error> {
        self.end.open().map_or(Ok(None), |handle| handle.metadata())
    }

    /// A copy of the metadata, also after the end of the reader.
    pub(crate) fn metadata_copy<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if let Some(kept) = self.metadata.get() {
            return Ok(Some(PyBytes::new(py, kept)));
        }
        let metadata = self.metadata().map_err(raise)?;
        Ok(metadata.map(|block| PyBytes::new(py, block.data())))
    }

    /// Lets go of the ring; its counters stay, and the metadata if `frames` are left that may ask
    /// for them.
    pub(crate) fn close(self: &Arc<Self>) {
        if Arc::strong_count(self) > 1
            && let Ok(Some(metadata)) = self.metadata()
        {
            let _ = self.metadata.set(metadata.data().to_vec());
        }
        self.end.close(Summary::of);
    }

    /// A frame of `size` bytes was handed out.
    #[inline]
    pub(crate) fn hand_out(&self, py: Python<'_>, size: usize) {
        self.held.change(py, 1);
        self.last_size.store(size, Relaxed);
    }

    /// It was released, or dropped.
    #[inline]
    pub(crate) fn take_in(&self, py: Python<'_>) {
        self.held.change(py, -1);
    }

    /// Frames whose space is not back yet: in their user's hands, or in those of views.
    pub(crate) fn in_hand(&self) -> usize {
        self.held.get() + self.pinned.load(Relaxed)
    }

    /// Called when a read has waited a whole slice for nothing. Garbage cycles may hold the space
    /// that the writer waits for, or the caller may. Collects once per set of pinned frames, and
    /// warns once if the space stays in use.
    pub(crate) fn stalled(&self, py: Python<'_>) -> PyResult<()> {
        let (pinned, held) = (self.pinned.load(Relaxed), self.held.get());
        if (pinned == 0 && held == 0) || !self.holds_space {
            return Ok(());
        }
        if pinned != 0 && self.collected.swap(pinned, Relaxed) != pinned {
            py.import(intern!(py, "gc"))?.call_method0(intern!(py, "collect"))?;
            self.collected.store(self.pinned.load(Relaxed), Relaxed);
        }
        if self.warned.load(Relaxed) {
            return Ok(());
        }
        let Some(text) = self.complaint() else { return Ok(()) };
        if self.warned.swap(true, Relaxed) {
            return Ok(());
        }
        logging::READER.warning(py, &text)?;
        let category = py.get_type::<PyRuntimeWarning>();
        py.import("warnings")?.call_method1("warn", (text, category, 2))?;
        Ok(())
    }

    /// What to say of the space that frames of this reader hold, if a writer can be waiting for it.
    fn complaint(&self) -> Option<String> {
        let (pinned, held) = (self.pinned.load(Relaxed), self.held.get());
        let Summary { utilization, capacity, .. } = self.summary();
        let name = &self.name;
        let used = utilization * 100.0;
        // A nearly empty ring does not keep the writer waiting: then the silence has another
        // reason.
        if pinned > 0 && utilization >= 0.25 {
            return Some(format!(
                "buffer '{name}': {pinned} released frame(s) are still held by memoryviews or arrays made from \
                 them; the ring is {used:.0} % in use and the writer may be waiting for that space. Drop the \
                 views, copy the data, or create the Reader with reclaim_on_release=True"
            ));
        }
        // Frames in hand are nothing wrong as long as one more fits beside them.
        let size = self.last_size.load(Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a share of a size, to compare with another")]
        let crowded = (1.0 - utilization) * (capacity as f64) < (size + HEADER) as f64;
        (held > 0 && crowded).then(|| {
            format!(
                "buffer '{name}': {held} frame(s) of this reader are held, the ring of {capacity} bytes is {used:.0} % \
                 in use, and another frame of {size} bytes has no room: the writer waits. Release each frame when it \
                 has been used (`with frame:` inside the loop), or create the Reader with a larger payload_size"
            )
        })
    }
}

/// Called when a write has waited a whole slice for nothing. The reader may live in this process,
/// its views in garbage.
pub(crate) fn writer_stalled(py: Python<'_>, seen: &mut usize) -> PyResult<()> {
    let pinned = PINNED_ANYWHERE.load(Relaxed);
    if pinned != 0 && pinned != *seen {
        py.import("gc")?.call_method0("collect")?;
        *seen = PINNED_ANYWHERE.load(Relaxed);
    }
    Ok(())
}

/// A number that attached threads change: where there is a GIL, without a locked operation.
#[derive(Debug, Default)]
struct Tally(AtomicUsize);

impl Tally {
    #[inline]
    fn change(&self, _: Python<'_>, by: isize) {
        if cfg!(Py_GIL_DISABLED) {
            self.0.fetch_add(by.cast_unsigned(), Relaxed);
        } else {
            self.0.store(self.0.load(Relaxed).wrapping_add_signed(by), Relaxed);
        }
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Counts one exported frame whose `Frame` object is released or gone; what is left are views.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Source>);

impl Ticket {
    pub(crate) fn new(source: &Arc<Source>) -> Self {
        source.pinned.fetch_add(1, Relaxed);
        PINNED_ANYWHERE.fetch_add(1, Relaxed);
        Self(Arc::clone(source))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.pinned.fetch_sub(1, Relaxed);
        PINNED_ANYWHERE.fetch_sub(1, Relaxed);
    }
}
