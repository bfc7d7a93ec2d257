//! Sleeping until another process changes a word, as the kernel does it: looking and falling asleep
//! are one step.

use super::{machine, semaphore::VALUE};
use crate::sync::{AtomicU64, Ordering, yield_now};
use std::{cell::RefCell, ptr, time::Duration};

#[cfg(loom)]
use loom::thread;
#[cfg(shuttle)]
use shuttle::thread;

struct Sleeper {
    word: *const AtomicU64,
    thread: thread::Thread,
}

std::thread_local!(static SLEEPERS: RefCell<Vec<Sleeper>> = const { RefCell::new(Vec::new()) });

/// Sleeps while the low half is 0; `timeout` counts only once a process has died. No signal ever
/// comes.
pub(crate) fn sleep(word: &AtomicU64, timeout: Duration) -> bool {
    if timeout.is_zero() {
        return false;
    }
    // The newest value, whatever this thread has seen, and nothing is ordered by it.
    if word.fetch_add(0, Ordering::Relaxed) & VALUE != 0 {
        return false;
    }
    if machine::has_slices() {
        machine::pass(timeout);
        yield_now();
        machine::end_if_dead();
        return false;
    }
    let thread = thread::current();
    let own = thread.id();
    SLEEPERS.with_borrow_mut(|sleepers| sleepers.push(Sleeper { word, thread }));
    thread::park();
    // A thread may wake without having been woken.
    SLEEPERS.with_borrow_mut(|sleepers| sleepers.retain(|sleeper| sleeper.thread.id() != own));
    machine::end_if_dead();
    false
}

/// Words to sleep on, each as long as its low half is what was expected.
#[cfg(feature = "async")]
pub(crate) struct WaitSet<'w>(Vec<(&'w AtomicU64, u32)>);

/// How a sleep has ended.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) enum Sleep {
    Ended,
    Changed,
    Refused(std::io::Error),
}

#[cfg(feature = "async")]
impl<'w> WaitSet<'w> {
    pub(crate) const MOST: usize = 128;

    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, word: &'w AtomicU64, expected: u32) -> bool {
        self.0.push((word, expected));
        true
    }

    /// As the kernel does it: one word after the other is looked at, and wakes from then on.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> Sleep {
        let ended = self.sleep_on_all(timeout);
        let own = thread::current().id();
        SLEEPERS.with_borrow_mut(|sleepers| sleepers.retain(|sleeper| sleeper.thread.id() != own));
        machine::end_if_dead();
        ended
    }

    fn sleep_on_all(&self, timeout: Option<Duration>) -> Sleep {
        for &(word, expected) in &self.0 {
            if word.fetch_add(0, Ordering::Relaxed) & VALUE != u64::from(expected) {
                return Sleep::Changed;
            }
            SLEEPERS.with_borrow_mut(|sleepers| sleepers.push(Sleeper { word, thread: thread::current() }));
        }
        let own = thread::current().id();
        let sleeps = SLEEPERS.with_borrow(|sleepers| {
            sleepers.iter().filter(|sleeper| sleeper.thread.id() == own).count() == self.0.len()
        });
        match timeout {
            _ if !sleeps => {}
            Some(timeout) if timeout.is_zero() => {}
            Some(timeout) if machine::has_slices() => {
                machine::pass(timeout);
                yield_now();
            }
            _ => thread::park(),
        }
        Sleep::Ended
    }
}

/// Wakes one sleeper.
pub(crate) fn wake(word: &AtomicU64) {
    let sleeper = SLEEPERS.with_borrow_mut(|sleepers| {
        let at = sleepers.iter().position(|sleeper| ptr::eq(sleeper.word, word))?;
        Some(sleepers.remove(at))
    });
    if let Some(sleeper) = sleeper {
        sleeper.thread.unpark();
    }
}

/// Sleeps on nothing until the thread is unparked, or all are woken.
pub(crate) fn park() {
    let thread = thread::current();
    let own = thread.id();
    SLEEPERS.with_borrow_mut(|sleepers| sleepers.push(Sleeper { word: ptr::null(), thread }));
    thread::park();
    SLEEPERS.with_borrow_mut(|sleepers| sleepers.retain(|sleeper| sleeper.thread.id() != own));
    machine::end_if_dead();
}

/// Wakes all, whatever they wait for.
pub(crate) fn wake_all() {
    for sleeper in SLEEPERS.take() {
        sleeper.thread.unpark();
    }
}

/// Forgets the sleepers of an execution that failed.
pub(crate) fn forget() {
    drop(SLEEPERS.take());
}
