//! A mutex for some instructions at a time.

use super::{AtomicBool, Ordering, sleep, yield_now};
use std::{
    cell::UnsafeCell,
    fmt, hint,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// Looks of a waiting thread after which it gives its processor up, and after which it sleeps.
const SPINS: u32 = 100;
const LOOKS: u32 = 120;
/// A holder that is kept from running may need the very processor that a waiting thread of higher
/// priority uses.
const BACKOFF: Duration = Duration::from_micros(50);

/// A spin lock whose end wakes nobody: a waiting thread polls. For uses that are short and hardly
/// ever meet.
#[derive(Default)]
pub(crate) struct Latch<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time gets to the value, and shares it at most by a reference to its
// guard.
unsafe impl<T: Send + Sync> Sync for Latch<T> {}

impl<T> Latch<T> {
    #[inline]
    pub(crate) fn lock(&self) -> LatchGuard<'_, T> {
        if self.held.swap(true, Ordering::Acquire) {
            self.wait();
        }
        LatchGuard(self)
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        let mut looks = 0_u32;
        while self.held.load(Ordering::Relaxed) || self.held.swap(true, Ordering::Acquire) {
            match looks {
                0..SPINS => hint::spin_loop(),
                SPINS..LOOKS => yield_now(),
                _ => sleep(BACKOFF),
            }
            looks = looks.saturating_add(1);
        }
    }
}

impl<T> fmt::Debug for Latch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").finish_non_exhaustive()
    }
}

/// Exclusive access to the value of a [`Latch`].
pub(crate) struct LatchGuard<'a, T>(&'a Latch<T>);

impl<T> Deref for LatchGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the latch is held as long as the guard lives.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for LatchGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for LatchGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // On x86-64 a locked exchange, which is the fence that a credit needs behind it
        // (`fence_after_latch`).
        self.0.held.swap(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_thread_at_a_time_and_none_waits_for_ever() {
        const ROUNDS: u64 = 100_000;
        let latch = &Latch::<[u64; 2]>::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        let mut pair = latch.lock();
                        assert_eq!(pair[0], pair[1]);
                        pair[0] += 1;
                        hint::spin_loop();
                        pair[1] += 1;
                    }
                });
            }
        });
        assert_eq!(*latch.lock(), [4 * ROUNDS; 2]);
    }

    #[test]
    fn a_long_hold_is_waited_for() {
        let latch = &Latch::<u64>::default();
        thread::scope(|scope| {
            let mut held = latch.lock();
            let waiting = scope.spawn(move || *latch.lock());
            thread::sleep(Duration::from_millis(20));
            *held = 7;
            drop(held);
            assert_eq!(waiting.join().unwrap(), 7);
        });
    }
}
