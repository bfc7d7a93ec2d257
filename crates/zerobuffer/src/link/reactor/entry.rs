//! One registered endpoint: what it waits for, and whom to wake.

#[cfg(all(target_os = "linux", not(macos_sys)))]
use crate::sync::{End, is_done};
use crate::{
    sync::{AtomicBool, AtomicU64, Instant, Mutex, Ordering, lock},
    sys::{PerProcess, Semaphore},
};
use std::{fmt, task::Waker};

/// What an endpoint waits for.
pub(crate) trait Subject: Send + Sync {
    /// Whose tokens end the wait.
    fn semaphore(&self) -> &Semaphore;

    /// Whether something has changed that no token tells of. Asked about every wait slice while a
    /// future waits, so it may take system calls, though few.
    fn is_due(&self) -> bool;
}

/// One registered endpoint.
pub(super) struct Entry {
    subject: Box<dyn Subject>,
    /// Whom to wake. While there is one, the entry counts as a sleeper of the semaphore.
    waker: Mutex<Option<Waker>>,
    /// Whether there is one. Only the endpoint's own thread of control makes it true.
    armed: AtomicBool,
    /// In nanoseconds of [`since_start`]; `u64::MAX` is never.
    deadline: AtomicU64,
    /// The future looks at the first wait slice that ends after this. In nanoseconds of
    /// [`since_start`].
    look_by: AtomicU64,
    /// The waker was woken because the subject is due.
    due: AtomicBool,
    /// The shared thread sleeps on the semaphore too, or will notice that it has to.
    #[cfg_attr(
        not(all(target_os = "linux", not(macos_sys))),
        allow(dead_code, reason = "nothing is shared")
    )]
    pub(super) included: AtomicBool,
}

impl Entry {
    pub(super) fn new(subject: Box<dyn Subject>) -> Self {
        Self {
            subject,
            waker: Mutex::new(None),
            armed: AtomicBool::new(false),
            deadline: AtomicU64::new(u64::MAX),
            look_by: AtomicU64::new(u64::MAX),
            due: AtomicBool::new(false),
            included: AtomicBool::new(false),
        }
    }

    pub(super) fn semaphore(&self) -> &Semaphore {
        self.subject.semaphore()
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }

    pub(super) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::SeqCst)
    }

    pub(super) fn set_look(&self, by: Instant) {
        self.look_by.store(since_start(by), Ordering::SeqCst);
    }

    /// `true`: it was not armed before, so the waiting thread has to know.
    pub(super) fn arm(&self, waker: &Waker, deadline: Option<Instant>) -> bool {
        let deadline = deadline.map_or(u64::MAX, since_start);
        // Its code is the executor's, and runs without the lock.
        let waker = waker.clone();
        let mut place = lock(&self.waker);
        let former = place.replace(waker);
        let is_new = former.is_none();
        // Several tasks may wait by one entry: none puts the time of another off.
        let earliest = if is_new { deadline } else { self.deadline().min(deadline) };
        self.deadline.store(earliest, Ordering::SeqCst);
        if is_new {
            self.armed.store(true, Ordering::SeqCst);
            // A thread that sees a token posted after this sees the waker too.
            self.count_in();
        }
        drop(place);
        drop(former);
        is_new
    }

    /// Takes the waker out, for the future or for who wakes it.
    fn take(&self) -> Option<Waker> {
        let mut place = lock(&self.waker);
        let waker = place.take()?;
        self.armed.store(false, Ordering::SeqCst);
        self.count_out();
        Some(waker)
    }

    pub(super) fn disarm(&self) {
        if self.is_armed() {
            drop(self.take());
        }
    }

    /// Wakes the future, if it waits still.
    pub(super) fn fire(&self, due: bool) {
        if due {
            self.due.store(true, Ordering::SeqCst);
        }
        if let Some(waker) = self.take() {
            super::wake(waker);
        }
    }

    pub(super) fn was_due(&self) -> bool {
        self.due.load(Ordering::Relaxed) && self.due.swap(false, Ordering::SeqCst)
    }

    /// At the end of a wait slice: wakes the future if it has to look although no token came.
    /// `true`: it did.
    pub(super) fn ask(&self, now: u64) -> bool {
        let due = self.subject.is_due();
        let fires = due || self.look_by.load(Ordering::SeqCst) <= now;
        if fires {
            self.fire(due);
        }
        fires
    }

    /// A post wakes one sleeper, and may have woken the shared thread instead of a blocked call of
    /// the endpoint.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub(super) fn pass_on(&self) {
        if !self.is_armed() && is_done(End::PassOn) {
            self.semaphore().pass_on();
        }
    }

    #[cfg(all(target_os = "linux", not(macos_sys)))]
    fn count_in(&self) {
        if is_done(End::ArmSleeper) {
            self.semaphore().add_sleeper();
        }
    }

    #[cfg(all(target_os = "linux", not(macos_sys)))]
    fn count_out(&self) {
        if is_done(End::ArmSleeper) && is_done(End::DisarmSleeper) {
            self.semaphore().remove_sleeper();
        }
    }

    /// The kernel counts its sleepers.
    #[cfg(not(all(target_os = "linux", not(macos_sys))))]
    #[allow(clippy::unused_self, reason = "as on Linux")]
    fn count_in(&self) {}

    #[cfg(not(all(target_os = "linux", not(macos_sys))))]
    #[allow(clippy::unused_self, reason = "as on Linux")]
    fn count_out(&self) {}
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("armed", &self.is_armed()).finish_non_exhaustive()
    }
}

/// A time as a number that an atomic word holds.
pub(super) fn since_start(time: Instant) -> u64 {
    static START: PerProcess<Instant> = PerProcess::new();
    let start = *START.get(Instant::now);
    u64::try_from(time.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}
