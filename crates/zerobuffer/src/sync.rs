//! The one place that says which atomics and locks the protocol code runs on.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence, fence},
};

/// Locks; what is guarded stays consistent at every step, so that a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sequentially consistent fence behind an atomic read-modify-write, which on x86-64 is one already.
#[inline]
pub(crate) fn fence_after_rmw() {
    if cfg!(target_arch = "x86_64") { compiler_fence(Ordering::SeqCst) } else { fence(Ordering::SeqCst) }
}
