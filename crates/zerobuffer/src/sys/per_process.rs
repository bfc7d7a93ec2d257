//! What each process has one of, a forked child one of its own.

use super::fork::Birth;
use std::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// A value that is made at the first use in each process, and then stays. A forked child makes its
/// own. It touches nothing of its parent's, since a thread that the child does not have may have
/// held a lock of it.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static> {
    newest: AtomicPtr<Made<T>>,
}

#[derive(Debug)]
struct Made<T> {
    birth: Birth,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This process's value. Of two threads that come first at once, one drops what it made.
    pub(crate) fn get(&'static self, make: impl Fn() -> T) -> &'static T {
        let mut newest = self.newest.load(Ordering::Acquire);
        loop {
            // SAFETY: the pointer is null or a box that is never freed.
            if let Some(made) = unsafe { newest.as_ref::<'static>() }
                && !made.birth.is_forked()
            {
                return &made.value;
            }
            let fresh = Box::into_raw(Box::new(Made { birth: Birth::now(), value: make() }));
            match self.newest.compare_exchange(newest, fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => newest = fresh,
                Err(now) => {
                    // SAFETY: made above, and nobody has seen it.
                    drop(unsafe { Box::from_raw(fresh) });
                    newest = now;
                }
            }
        }
    }
}
