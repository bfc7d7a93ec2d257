//! Ends a `sem_wait` at its deadline, by posting the semaphore from a thread that sleeps till then.
//!
//! One thread per semaphore that is ever waited for, made at the first wait and joined at the end.
//! It sleeps on a condition variable; setting it to a time before that of its sleep, and the end,
//! are all that wakes it early. Waits that their token ends leave it asleep, so a stream costs it
//! one wake-up per slice.

use super::handle::Handle;
use crate::sys::{block_signals, fork::Birth};
use std::{
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::Instant,
};

/// A bound on the waits for one semaphore.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    shared: Arc<Shared>,
    /// Taken by the end.
    join: Option<JoinHandle<()>>,
    birth: Birth,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When to post. `None`: nobody waits.
    deadline: Option<Instant>,
    /// Until when the thread sleeps; `None` while it is awake or sleeps without an end.
    asleep_until: Option<Instant>,
    ended: bool,
}

/// A wait under way.
pub(crate) struct Ringing {
    shared: Arc<Shared>,
}

impl Alarm {
    /// The semaphore is posted at `deadline`, unless the result is stopped before.
    pub(crate) fn set(&self, semaphore: &Arc<Handle>, deadline: Instant) -> io::Result<Ringing> {
        let mut thread = hold(&self.thread);
        let shared = if let Some(thread) = thread.as_ref() {
            Arc::clone(&thread.shared)
        } else {
            let made = Thread::start(Arc::clone(semaphore))?;
            Arc::clone(&thread.insert(made).shared)
        };
        drop(thread);
        let mut state = hold(&shared.state);
        state.deadline = Some(deadline);
        // A thread that wakes earlier looks at the deadline by itself.
        if state.asleep_until.is_none_or(|until| until > deadline) {
            shared.changed.notify_one();
        }
        drop(state);
        Ok(Ringing { shared })
    }
}

impl Ringing {
    /// Ends the bound. `true`: it has rung, and its token is in the semaphore or was the one that
    /// was taken.
    pub(crate) fn stop(self) -> bool {
        hold(&self.shared.state).deadline.take().is_none()
    }
}

impl Thread {
    fn start(semaphore: Arc<Handle>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let builder = Builder::new().name("zerobuffer alarm".to_owned()).stack_size(64 * 1024);
        let join = builder.spawn(move || {
            block_signals();
            theirs.run(&semaphore);
        })?;
        Ok(Self { shared, join: Some(join), birth: Birth::now() })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A forked child has no such thread, and the lock may have been held by it at the fork.
        if self.birth.is_forked() {
            mem::forget(self.join.take());
            return;
        }
        hold(&self.shared.state).ended = true;
        self.shared.changed.notify_one();
        if let Some(join) = self.join.take() {
            // It does not panic.
            let _ = join.join();
        }
    }
}

impl Shared {
    fn run(&self, semaphore: &Handle) {
        let mut state = hold(&self.state);
        while !state.ended {
            let now = Instant::now();
            match state.deadline {
                Some(deadline) if deadline <= now => {
                    state.deadline = None;
                    // Under the lock: the thread that stops a wait knows whether this has happened.
                    semaphore.post();
                }
                Some(deadline) => {
                    state.asleep_until = Some(deadline);
                    let woken = self.changed.wait_timeout(state, deadline - now);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                    state.asleep_until = None;
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Nothing here panics with a lock held.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
