//! Shuttle's atomics, which a dead process cannot change: its threads unwind, and their destructors
//! must leave no trace.

use super::machine;
use crate::sync::Ordering;
use shuttle::sync::atomic;

#[derive(Debug, Default)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    fn change<T>(&self, nothing: T, change: impl FnOnce(&atomic::AtomicU64) -> T) -> T {
        if machine::is_dead() { nothing } else { change(&self.0) }
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.change(0, |word| word.load(order))
    }

    pub(crate) fn store(&self, new: u64, order: Ordering) {
        self.change((), |word| word.store(new, order));
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.change(0, |word| word.fetch_add(value, order))
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.change(0, |word| word.fetch_sub(value, order))
    }

    pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
        self.change(0, |word| word.fetch_and(value, order))
    }

    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.change(Err(old), |word| word.compare_exchange(old, new, success, failure))
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        old: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.change(Ok(old), |word| word.compare_exchange_weak(old, new, success, failure))
    }
}
