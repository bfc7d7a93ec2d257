//! Threads that the library makes, and what each process has one of.

use super::machine;
use std::{any::Any, cell::RefCell, collections::HashMap, io, marker::PhantomData, ptr};

#[cfg(loom)]
use loom::thread;
#[cfg(shuttle)]
use shuttle::thread;

/// Makes threads in the process of who starts them.
pub(crate) struct Builder(thread::Builder);

impl Builder {
    pub(crate) fn new() -> Self {
        Self(thread::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    /// The checker's own will do.
    pub(crate) fn stack_size(self, _: usize) -> Self {
        self
    }

    pub(crate) fn spawn(self, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let pid = machine::own_pid();
        self.0.spawn(move || drop(machine::process(pid, body))).map(drop)
    }
}

/// A value that is made at the first use in each process of an execution.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    /// Its address tells it from others.
    _place: u8,
    made: PhantomData<fn() -> T>,
}

type Key = (usize, u64);

std::thread_local!(static MADE: RefCell<HashMap<Key, &'static dyn Any>> = RefCell::default());

impl<T: 'static> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { _place: 0, made: PhantomData }
    }

    pub(crate) fn get(&'static self, make: impl Fn() -> T) -> &'static T {
        let key = (ptr::from_ref(self).addr(), machine::own_pid());
        let known = || MADE.with_borrow(|made| made.get(&key)?.downcast_ref::<T>());
        if let Some(value) = known() {
            return value;
        }
        // To make it may let another thread of the process run.
        let fresh = Box::leak(Box::new(make()));
        known().unwrap_or_else(|| {
            MADE.with_borrow_mut(|made| made.insert(key, fresh));
            fresh
        })
    }
}

/// Each execution begins without any.
pub(crate) fn forget() {
    MADE.take();
}

pub(crate) fn block_signals() {}

pub(crate) fn may_wait_for_many() -> bool {
    true
}
