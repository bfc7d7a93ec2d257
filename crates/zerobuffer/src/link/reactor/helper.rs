//! A waiting thread for one endpoint, where no thread can wait for many semaphores: macOS, Windows,
//! Linux before 5.16, and sandboxes that forbid the call.
//!
//! The thread takes the token that ends its wait, and gives it back before it wakes the future,
//! which counts it.

use super::entry::{Entry, since_start};
use crate::{
    config::WAIT_SLICE,
    sync::{Arc, Builder, Condvar, Instant, Mutex, PoisonError, lock},
    sys,
};
use std::{io, time::Duration};

/// The endpoint's side.
#[derive(Debug)]
pub(super) struct Helper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entry: Arc<Entry>,
    /// The endpoint is gone.
    ended: Mutex<bool>,
    /// It is, or the entry was armed.
    changed: Condvar,
}

impl Helper {
    pub(super) fn start(entry: &Arc<Entry>) -> io::Result<Self> {
        let (ended, changed) = (Mutex::new(false), Condvar::new());
        let shared = Arc::new(Shared { entry: Arc::clone(entry), ended, changed });
        let running = Arc::clone(&shared);
        Builder::new()
            .name("zerobuffer-wait".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || running.run())
            .map(drop)?;
        Ok(Self(shared))
    }

    /// The entry was armed.
    pub(super) fn armed(&self) {
        // With the lock the thread either sees it, or is asleep already.
        let _ended = lock(&self.0.ended);
        self.0.changed.notify_all();
    }

    /// The endpoint is gone; the thread ends within a wait slice.
    pub(super) fn end(&self) {
        *lock(&self.0.ended) = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        sys::block_signals();
        while self.is_wanted() {
            let entry = &self.entry;
            let left = Duration::from_nanos(entry.deadline().saturating_sub(since_start(Instant::now())));
            if entry.semaphore().wait(left.min(WAIT_SLICE)) {
                entry.semaphore().post();
                entry.fire(false);
                continue;
            }
            let now = since_start(Instant::now());
            if entry.deadline() <= now {
                entry.fire(false);
            } else {
                entry.ask(now);
            }
        }
    }

    /// Sleeps while nothing is armed. `false`: the endpoint is gone.
    fn is_wanted(&self) -> bool {
        let mut ended = lock(&self.ended);
        while !*ended && !self.entry.is_armed() {
            ended = self.changed.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
        !*ended
    }
}
