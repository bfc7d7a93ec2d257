//! A value that is lent many times: each share keeps it alive as an `Arc` does, but lending takes
//! no atomic operation.

use super::{Arc, AtomicU64, Ordering};
use std::{fmt, ops::Deref, ptr::NonNull};

/// More shares than can ever be lent.
const ALL: u64 = 1 << 62;

/// A value, and how many of its shares have not been given back.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    outstanding: AtomicU64,
    value: T,
}

impl<T> Counted<T> {
    /// The value, and the one lender of its shares.
    pub(crate) fn new(value: T) -> (Arc<Self>, Lender<T>) {
        let this = Arc::new(Self { outstanding: AtomicU64::new(ALL), value });
        let lender = Lender::new(&this);
        (this, lender)
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Has all shares from the beginning, lends them, and gives the rest back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lender<T> {
    share: Share<T>,
    left: u64,
}

impl<T> Lender<T> {
    fn new(counted: &Arc<Counted<T>>) -> Self {
        let owner = Arc::into_raw(Arc::clone(counted));
        // SAFETY: an `Arc` points somewhere.
        Self { share: Share(unsafe { NonNull::new_unchecked(owner.cast_mut()) }), left: ALL - 1 }
    }

    #[inline]
    pub(crate) fn lend(&mut self) -> Share<T> {
        self.left -= 1;
        Share(self.share.0)
    }
}

impl<T> Drop for Lender<T> {
    fn drop(&mut self) {
        // All but the one that is dropped with it, so this is never the last.
        self.share.counted().outstanding.fetch_sub(self.left, Ordering::AcqRel);
    }
}

/// One share: what it points at lives at least as long.
pub(crate) struct Share<T>(NonNull<Counted<T>>);

// SAFETY: a share is used like an `Arc`, whose target is `Send` and `Sync`.
unsafe impl<T: Send + Sync> Send for Share<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Share<T> {}

impl<T> Share<T> {
    #[inline]
    fn counted(&self) -> &Counted<T> {
        // SAFETY: the `Arc` of the lender is dropped with the last share.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn to_arc(&self) -> Arc<Counted<T>> {
        // SAFETY: the pointer comes from `Arc::into_raw`, and that `Arc` lives as long as there are
        // shares.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }
}

impl<T> Deref for Share<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.counted()
    }
}

impl<T> Drop for Share<T> {
    #[inline]
    fn drop(&mut self) {
        if self.counted().outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the pointer comes from `Arc::into_raw`; the last share drops that `Arc`, and
            // is not used after this.
            drop(unsafe { Arc::from_raw(self.0.as_ptr()) });
        }
    }
}

impl<T> fmt::Debug for Share<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(any(loom, shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_outlives_its_lender_and_no_longer_than_the_last_share() {
        let (value, mut lender) = Counted::new(7);
        let (one, two) = (lender.lend(), lender.lend());
        let weak = Arc::downgrade(&value);
        drop((value, lender, one));
        assert_eq!((*two, weak.strong_count()), (7, 1));
        let kept = two.to_arc();
        drop(two);
        assert_eq!(weak.strong_count(), 1);
        drop(kept);
        assert_eq!(weak.strong_count(), 0, "nothing is leaked");

        let (value, lender) = Counted::new(7);
        let weak = Arc::downgrade(&value);
        drop((value, lender));
        assert_eq!(weak.strong_count(), 0, "without a share too");
    }
}
