//! The waker of the futures: one thread of the process sleeps for all of them (feature `async`).
//!
//! An endpoint registers with its first wait and stays registered until it ends. Before its future
//! is pending, it *arms* the registration. It leaves its waker there and counts as a sleeper of the
//! semaphore, so the peer's posts wake. Then it polls once more, as before any sleep on a semaphore
//! (edges E3 and E4). The thread that finds something to do for the future takes the waker out and
//! wakes it. A future that is dropped takes it out too. Unless something is armed, a post makes no
//! system call and the thread sleeps.
//!
//! Where one thread cannot wait for many semaphores, each registered endpoint has a thread of its
//! own ([`helper`]).

mod entry;
mod errand;
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod event;
mod helper;
mod seen;
mod waits;
mod wakers;
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod worker;

pub(crate) use entry::Subject;
pub(crate) use errand::Errand;
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub use event::EventFd;
pub(crate) use seen::Seen;
pub(crate) use waits::{LONGEST, Waits};
pub(crate) use wakers::{Wakers, wake};

use crate::{
    error::{Error, Result},
    sync::{Arc, Instant},
    sys::fork::Birth,
};
use entry::Entry;
use helper::Helper;
use std::{io, task::Waker};
#[cfg(all(target_os = "linux", not(macos_sys)))]
use worker::Seat;

/// An endpoint's place with the thread that waits for it. Ends with its drop.
#[derive(Debug)]
pub(crate) struct Registration {
    entry: Arc<Entry>,
    birth: Birth,
    driver: Driver,
}

/// The waiting entries.
#[derive(Debug)]
enum Driver {
    /// One thread for many.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    Shared(Seat),
    /// One thread for this one.
    Own(Helper),
}

impl Registration {
    pub(crate) fn new(name: &str, subject: impl Subject + 'static) -> Result<Self> {
        let entry = Arc::new(Entry::new(Box::new(subject)));
        let driver = Driver::of(&entry).map_err(|e| Error::os("start a waiting thread for", name, e))?;
        Ok(Self { entry, birth: Birth::now(), driver })
    }

    /// Has `waker` woken once there is a token, once the subject is due, or at `deadline`. What is
    /// there already is the caller's to look for after this.
    pub(crate) fn arm(&self, waker: &Waker, deadline: Option<Instant>) {
        if !self.birth.is_forked() && self.entry.arm(waker, deadline) {
            self.driver.armed(&self.entry);
        }
    }

    /// While armed: the waker is woken by the first end of a wait slice after that time.
    pub(crate) fn look_by(&self, time: Instant) {
        self.entry.set_look(time);
    }

    /// Nobody waits any more.
    pub(crate) fn disarm(&self) {
        // In a forked child a thread of the parent may have held the lock, and the semaphore is the
        // parent's.
        if !self.birth.is_forked() {
            self.entry.disarm();
        }
    }

    /// Whether the waker was woken since the last question because the subject is due.
    pub(crate) fn was_due(&self) -> bool {
        self.entry.was_due()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.disarm();
        if !self.birth.is_forked() {
            self.driver.leave(&self.entry);
        }
    }
}

impl Driver {
    fn of(entry: &Arc<Entry>) -> io::Result<Self> {
        #[cfg(all(target_os = "linux", not(macos_sys)))]
        if let Some(seat) = worker::seat(entry)? {
            return Ok(Self::Shared(seat));
        }
        Helper::start(entry).map(Self::Own)
    }

    fn armed(&self, entry: &Entry) {
        match self {
            #[cfg(all(target_os = "linux", not(macos_sys)))]
            Self::Shared(seat) => seat.armed(entry),
            Self::Own(helper) => helper.armed(),
        }
        // The parameter is the shared thread's alone.
        let _ = entry;
    }

    fn leave(&self, entry: &Arc<Entry>) {
        match self {
            #[cfg(all(target_os = "linux", not(macos_sys)))]
            Self::Shared(seat) => seat.leave(entry),
            Self::Own(helper) => helper.end(),
        }
        let _ = entry;
    }
}
