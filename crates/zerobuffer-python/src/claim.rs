//! The writer behind its lock, and the frame that a thread has reserved in it.
//!
//! A reservation belongs to the thread that made it, though any thread may commit it. Others wait
//! for it. It ends by commit, abort or close, when its thread reserves or writes again, or when its
//! thread ends. It also ends when another thread has waited for it a whole time-out. So an
//! abandoned frame never blocks the writer for good. A reservation that is taken away from another
//! thread ends only once its view is released, which is done while attached. Bytes that can still
//! be written to are not reused.

use std::mem;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use zerobuffer::{Error, Keepalive, Patience, Writer};

use crate::frame::release;
use crate::pin::{Pin, Region, references};

thread_local! {
    /// Lives as long as its thread: a reservation whose token is gone has lost its owner.
    static TOKEN: Arc<()> = Arc::new(());
}

/// Whose reservation stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The calling thread's own.
    Caller,
    /// That of a thread that has ended.
    Nobody,
    /// Another thread's.
    Other,
}

/// How a reservation ended; shared with its maker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate(Arc<AtomicU8>);

/// What ends a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `commit_frame`, `abort_frame` or the like.
    AskedFor = 1,
    /// Something else took its place.
    Displaced = 2,
}

impl Fate {
    /// A caller has committed or aborted it.
    pub(crate) fn was_asked_for(&self) -> bool {
        self.0.load(Relaxed) == End::AskedFor as u8
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    fn set(&self, end: End) {
        self.0.store(end as u8, Relaxed);
    }
}

/// The core's writer and what hangs on its lock.
pub(crate) struct Inner {
    /// `None` once closed.
    pub(crate) writer: Option<Writer>,
    claim: Option<Claim>,
    generation: u64,
    /// Views of ended reservations. The next thread that is attached to the interpreter releases
    /// them.
    retired: Vec<Export>,
}

/// A reserved frame.
struct Claim {
    generation: u64,
    owner: Weak<()>,
    size: usize,
    fate: Fate,
    export: Option<Export>,
}

/// How Python sees a reserved frame.
pub(crate) struct Export {
    pub(crate) view: Py<PyMemoryView>,
    /// What the view, and all that was made from it, refer to.
    pub(crate) pin: Py<Pin>,
}

impl Export {
    /// Releases the view; `false`: others were made from it, which can still write.
    pub(crate) fn end(self, py: Python<'_>) -> PyResult<bool> {
        let released = release(self.view.bind(py).as_any())?;
        drop(self.view);
        // This reference and the claim's.
        Ok(released && references(self.pin.bind(py).as_any()) <= 2)
    }
}

/// The place of a reserved frame.
pub(crate) struct Reserved {
    pub(crate) generation: u64,
    pub(crate) fate: Fate,
    pub(crate) region: Region,
    pub(crate) mapping: Keepalive,
}

impl Claim {
    fn owner(&self) -> Owner {
        // During the end of a thread its token may be gone: then nothing is its own.
        match TOKEN.try_with(|token| Arc::as_ptr(token) == self.owner.as_ptr()) {
            Ok(true) => Owner::Caller,
            _ if self.owner.strong_count() == 0 => Owner::Nobody,
            _ => Owner::Other,
        }
    }
}

impl Inner {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer: Some(writer), claim: None, generation: 0, retired: Vec::new() }
    }

    /// Whether no frame is reserved.
    pub(crate) fn is_free(&self) -> bool {
        self.claim.is_none()
    }

    /// The reservation that stands in the way: which, whose, and how Python sees it.
    pub(crate) fn in_the_way(&self, py: Python<'_>) -> Option<(u64, Owner, Option<Export>)> {
        let claim = self.claim.as_ref()?;
        let export = claim.export.as_ref();
        let export =
            export.map(|Export { view, pin }| Export { view: view.clone_ref(py), pin: pin.clone_ref(py) });
        Some((claim.generation, claim.owner(), export))
    }

    /// Ends the reservation, if any; nothing is published.
    pub(crate) fn abandon(&mut self, end: End) -> bool {
        let Some(claim) = self.claim.take() else { return false };
        claim.fate.set(end);
        self.retired.extend(claim.export);
        self.writer.as_mut().is_some_and(Writer::abort)
    }

    /// Reserves a frame: as the policy says while there is patience, or, without any, only if there
    /// is room.
    pub(crate) fn reserve(
        &mut self,
        size: usize,
        patience: Option<&mut Patience<'_>>,
    ) -> Result<Reserved, Error> {
        let Some(writer) = self.writer.as_mut() else { return Err(Error::Closed { name: String::new() }) };
        match patience {
            None => writer.try_begin(size)?,
            Some(patience) => writer.begin_with(size, patience)?,
        }
        let mapping = writer.keep_alive();
        let Some(data) = writer.pending() else {
            return Err(Error::NothingPending { name: writer.name().to_owned() });
        };
        let region = Region::of_pending(data);
        self.generation += 1;
        let (generation, fate) = (self.generation, Fate::default());
        let owner = TOKEN.try_with(Arc::downgrade).unwrap_or_default();
        self.claim = Some(Claim { generation, owner, size, fate: fate.clone(), export: None });
        Ok(Reserved { generation, fate, region, mapping })
    }

    /// Remembers the view of a reservation, to be released with it. False if the reservation has
    /// ended meanwhile.
    pub(crate) fn remember(&mut self, generation: u64, export: Export) -> bool {
        match &mut self.claim {
            Some(claim) if claim.generation == generation => {
                claim.export = Some(export);
                true
            }
            _ => {
                self.retired.push(export);
                false
            }
        }
    }

    /// Size of the reserved frame: of a given reservation, or of whichever there is.
    pub(crate) fn reserved(&self, generation: Option<u64>) -> Option<usize> {
        let claim = self.claim.as_ref()?;
        (generation.is_none() || generation == Some(claim.generation)).then_some(claim.size)
    }

    /// Ends the reservation because it is being committed.
    pub(crate) fn settle(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.fate.set(End::AskedFor);
            self.retired.extend(claim.export);
        }
    }

    /// Views to release.
    pub(crate) fn take_retired(&mut self) -> Vec<Export> {
        mem::take(&mut self.retired)
    }

    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }
}
