//! Wakers that threads share.
//!
//! To clone, drop or wake one runs the executor's code, which may call this library. So none of it
//! happens under a lock: a waker is cloned before, and woken or dropped after.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

/// The wakers of tasks, by what each of them waits for.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Vec<(u64, Waker)>);

impl Wakers {
    /// Has `waker` woken for `key`. The one before it is returned, to be dropped without the lock.
    #[must_use = "a waker is dropped without the lock"]
    pub(crate) fn put(&mut self, key: u64, waker: Waker) -> Option<Waker> {
        let known = self.0.iter_mut().find(|(known, _)| *known == key);
        if let Some((_, place)) = known {
            return Some(mem::replace(place, waker));
        }
        self.0.push((key, waker));
        None
    }

    #[must_use = "a waker is dropped without the lock"]
    pub(crate) fn take(&mut self, key: u64) -> Option<Waker> {
        let at = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Those of which `wanted` holds.
    #[must_use = "a waker is dropped without the lock"]
    pub(crate) fn take_all(&mut self, wanted: impl Fn(u64) -> bool) -> Vec<Waker> {
        self.0.extract_if(.., |(key, _)| wanted(*key)).map(|(_, waker)| waker).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Wakes a task. An executor that panics must not keep the other tasks from being woken.
pub(crate) fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        log::error!(target: "zerobuffer::reactor", "a waker has panicked");
    }
}
