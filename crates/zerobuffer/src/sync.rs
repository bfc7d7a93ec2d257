//! The one place that says which atomics, locks and clock the protocol code runs on. They are those
//! of std, or, under `cfg(loom)` and `cfg(shuttle)`, those of a model checker (`tests/loom`,
//! `tests/shuttle`).

mod counted;
mod edge;
#[cfg(not(any(loom, shuttle)))]
mod latch;

pub(crate) use counted::{Counted, Lender, Share};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use edge::End;
#[cfg(any(loom, shuttle))]
pub use edge::End;
#[cfg(feature = "async")]
pub(crate) use edge::is_done;
pub(crate) use edge::order;
#[cfg(loom)]
pub use edge::{ENDS, weaken};
#[cfg(all(shuttle, feature = "async"))]
pub use edge::{STEPS, leave_out};
pub(crate) use std::sync::{Arc, PoisonError, atomic::Ordering};

#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, compiler_fence, fence},
    },
    thread::{sleep, yield_now},
    time::Instant,
};

#[cfg(loom)]
pub(crate) use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
    },
    thread::yield_now,
};

#[cfg(shuttle)]
pub(crate) use {
    crate::sys::AtomicU64,
    shuttle::{
        sync::{Mutex, MutexGuard, atomic::AtomicBool},
        thread::yield_now,
    },
};

#[cfg(any(loom, shuttle))]
pub(crate) use crate::sys::{Instant, sleep};

/// What the thread that waits for futures is made of, and what an endpoint's own one waits with.
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
pub(crate) use std::{sync::Condvar, thread::Builder};

#[cfg(all(feature = "async", any(loom, shuttle)))]
pub(crate) use crate::sys::Builder;
#[cfg(all(feature = "async", loom))]
pub(crate) use loom::sync::Condvar;
#[cfg(all(feature = "async", shuttle))]
pub(crate) use shuttle::sync::Condvar;

#[cfg(not(any(loom, shuttle)))]
pub(crate) use latch::{Latch, LatchGuard};

/// The model checkers' own lock, since they do not wait by looking again.
#[cfg(any(loom, shuttle))]
#[derive(Debug, Default)]
pub(crate) struct Latch<T>(Mutex<T>);

#[cfg(any(loom, shuttle))]
pub(crate) type LatchGuard<'a, T> = MutexGuard<'a, T>;

#[cfg(any(loom, shuttle))]
impl<T> Latch<T> {
    pub(crate) fn lock(&self) -> LatchGuard<'_, T> {
        lock(&self.0)
    }
}

/// Locks; what is guarded stays consistent at every step, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sequentially consistent fence behind the end of a latch, which on x86-64 is one already.
#[cfg(not(any(loom, shuttle)))]
#[inline]
pub(crate) fn fence_after_latch() {
    if cfg!(target_arch = "x86_64") { compiler_fence(Ordering::SeqCst) } else { fence(Ordering::SeqCst) }
}

/// All of shuttle's memory is sequentially consistent; loom's is not.
#[cfg(any(loom, shuttle))]
pub(crate) fn fence_after_latch() {
    edge::fence(End::E4Reader);
}

/// Loom orders a sequentially consistent fence with other fences only. Unlike the language it does
/// not order one with a sequentially consistent load. So the writer's look at a credit has a fence
/// there.
#[inline(always)]
pub(crate) fn order_look() {
    #[cfg(loom)]
    edge::fence(End::E4Writer);
}
