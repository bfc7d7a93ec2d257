//! What an endpoint is, whichever role it has: its memory, its wake-ups, its presence, its end.

use crate::{
    error::{Error, Result},
    memory::Region,
    stats::Counters,
    sync::{AtomicBool, Mutex, Ordering, lock},
    sys::{Presence, Role, Semaphore, fork::Birth, process},
};

/// One end of a buffer, shared by the endpoint, its handles and its frames.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) region: Region,
    /// "A frame is there": posted by the writer, waited for by the reader.
    pub(crate) data: Semaphore,
    /// "Space was returned": posted by the reader, waited for by the writer.
    pub(crate) space: Semaphore,
    pub(crate) birth: Birth,
    interrupted: AtomicBool,
    closed: AtomicBool,
    /// Until the close: frames and handles must not keep a closed endpoint "present".
    pub(crate) presence: Mutex<Option<Presence>>,
    pub(crate) counters: Counters,
    pub(crate) own_pid: u64,
}

impl Link {
    pub(crate) fn new(
        role: Role,
        name: &str,
        region: Region,
        [data, space]: [Semaphore; 2],
        presence: Option<Presence>,
    ) -> Self {
        Self {
            role,
            name: name.to_owned(),
            region,
            data,
            space,
            birth: Birth::now(),
            interrupted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            presence: Mutex::new(presence),
            counters: Counters::default(),
            own_pid: process::own_pid(),
        }
    }

    /// Whether [`Self::ensure_open`] finds nothing.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.is_forked() && !self.is_interrupted()
    }

    /// Fails in a forked child, and while the endpoint is interrupted.
    pub(crate) fn ensure_open(&self) -> Result<()> {
        self.ensure_own()?;
        if self.is_interrupted() { Err(Error::closed(&self.name)) } else { Ok(()) }
    }

    /// Fails in a forked child.
    pub(crate) fn ensure_own(&self) -> Result<()> {
        if self.is_forked() { Err(Error::forked(&self.name)) } else { Ok(()) }
    }

    /// Whether this is a forked child, in which the endpoint cannot be used.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.birth.is_forked()
    }

    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// Whether the endpoint may still act: neither closed nor a forked child's.
    pub(crate) fn is_active(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && !self.is_forked()
    }

    /// What this endpoint waits for.
    fn awaited(&self) -> &Semaphore {
        if self.role == Role::Reader { &self.data } else { &self.space }
    }

    /// Ends the blocked call and all later ones until [`Self::resume`].
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        if self.is_active() {
            self.awaited().post();
        }
    }

    /// Allows calls again. The wake-up of the interrupt may still lie there: surplus ones do no
    /// harm.
    pub(crate) fn resume(&self) {
        self.interrupted.store(false, Ordering::SeqCst);
    }

    /// From now on the endpoint touches nothing that a successor may own. `false`: it had ended
    /// before, or belongs to the parent of this process.
    pub(crate) fn begin_end(&self) -> bool {
        !self.is_forked() && !self.closed.swap(true, Ordering::AcqRel)
    }

    /// The last step of the end: gives up presence and wake-ups.
    pub(crate) fn retire(&self) {
        lock(&self.presence).take();
        self.data.retire();
        self.space.retire();
    }
}
