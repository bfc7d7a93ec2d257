//! The handle of an endpoint, until that is closed: what was counted stays, the ring is unmapped.

use std::mem;
use std::sync::OnceLock;

use parking_lot::RwLock;

/// A core handle, which keeps the ring mapped, or what is left of it.
#[derive(Debug)]
pub(crate) struct End<H, S> {
    handle: RwLock<Option<H>>,
    last: OnceLock<S>,
}

impl<H: Clone, S: Copy + Default> End<H, S> {
    pub(crate) fn new(handle: H) -> Self {
        Self { handle: RwLock::new(Some(handle)), last: OnceLock::new() }
    }

    /// The handle, unless the endpoint is closed.
    pub(crate) fn open(&self) -> Option<H> {
        self.handle.read().clone()
    }

    /// What `look` says of the handle; once closed, what it said last.
    pub(crate) fn summary(&self, look: impl FnOnce(&H) -> S) -> S {
        match &*self.handle.read() {
            Some(handle) => look(handle),
            None => self.last.get().copied().unwrap_or_default(),
        }
    }

    /// Takes another handle, or none for now, in place of the present one.
    pub(crate) fn replace(&self, handle: Option<H>) {
        let before = mem::replace(&mut *self.handle.write(), handle);
        drop(before);
    }

    /// Keeps what `look` says and lets go of the handle.
    pub(crate) fn close(&self, look: impl FnOnce(&H) -> S) {
        let mut slot = self.handle.write();
        let Some(handle) = slot.take() else { return };
        let _ = self.last.set(look(&handle));
        drop(slot);
        drop(handle);
    }
}
