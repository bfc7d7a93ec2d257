//! The writer behind its lock, and the frame that a thread has reserved in it.
//!
//! A reservation belongs to the thread that made it, though any thread may commit it. Others wait for it. It ends by
//! commit, abort or close, when its thread reserves or writes again, when its thread ends, or when another thread has
//! waited for it in vain: an abandoned frame never blocks the writer for good (P7).

use std::mem;
use std::sync::{Arc, Weak};

use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use zerobuffer::{Error, Keepalive, Writer};

use crate::pin::Region;

thread_local! {
    /// Lives as long as its thread: a reservation whose token is gone has lost its owner.
    static TOKEN: Arc<()> = Arc::new(());
}

/// What to do about a reservation of another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Leave it alone.
    Polite,
    /// End it: it has been waited for long enough.
    Evict,
}

/// The core's writer and what hangs on its lock.
pub(crate) struct Inner {
    /// `None` once closed.
    pub(crate) writer: Option<Writer>,
    claim: Option<Claim>,
    generation: u64,
    /// Views of ended reservations, to be released by whoever is attached to the interpreter next.
    retired: Vec<Py<PyMemoryView>>,
}

/// A reserved frame.
struct Claim {
    generation: u64,
    owner: Weak<()>,
    size: usize,
    view: Option<Py<PyMemoryView>>,
}

/// The place of a reserved frame.
pub(crate) struct Reserved {
    pub(crate) generation: u64,
    pub(crate) region: Region,
    pub(crate) mapping: Keepalive,
}

impl Claim {
    fn is_mine(&self) -> bool {
        // During the end of a thread its token may be gone: then nothing is its own.
        TOKEN.try_with(|token| Arc::as_ptr(token) == self.owner.as_ptr()).unwrap_or(false)
    }

    fn is_orphaned(&self) -> bool {
        self.owner.strong_count() == 0
    }
}

impl Inner {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer: Some(writer), claim: None, generation: 0, retired: Vec::new() }
    }

    /// Whether this thread may write now; ends a reservation that stands in the way if it may be ended.
    pub(crate) fn is_free(&mut self, turn: Turn) -> bool {
        let free = match &self.claim {
            None => true,
            Some(claim) => turn == Turn::Evict || claim.is_mine() || claim.is_orphaned(),
        };
        if free && self.claim.is_some() {
            self.abandon();
        }
        free
    }

    /// Ends the reservation, if any; nothing is published.
    pub(crate) fn abandon(&mut self) -> bool {
        let Some(claim) = self.claim.take() else { return false };
        self.retired.extend(claim.view);
        self.writer.as_mut().is_some_and(Writer::abort)
    }

    /// Reserves a frame; with `now` without waiting.
    pub(crate) fn reserve(&mut self, size: usize, now: bool) -> Result<Reserved, Error> {
        let Some(writer) = self.writer.as_mut() else { return Err(Error::Closed { name: String::new() }) };
        if now {
            writer.try_begin(size)?;
        } else {
            writer.begin(size)?;
        }
        let mapping = writer.keep_alive();
        let Some(data) = writer.pending() else {
            return Err(Error::NothingPending { name: writer.name().to_owned() });
        };
        let region = Region::of_pending(data);
        self.generation += 1;
        let owner = TOKEN.try_with(Arc::downgrade).unwrap_or_default();
        self.claim = Some(Claim { generation: self.generation, owner, size, view: None });
        Ok(Reserved { generation: self.generation, region, mapping })
    }

    /// Remembers the view of a reservation, to be released with it. False if the reservation has ended meanwhile.
    pub(crate) fn remember_view(&mut self, generation: u64, view: Py<PyMemoryView>) -> bool {
        match &mut self.claim {
            Some(claim) if claim.generation == generation => {
                claim.view = Some(view);
                true
            }
            _ => {
                self.retired.push(view);
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
            self.retired.extend(claim.view);
        }
    }

    /// Views to release.
    pub(crate) fn take_retired(&mut self) -> Vec<Py<PyMemoryView>> {
        mem::take(&mut self.retired)
    }

    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }
}
