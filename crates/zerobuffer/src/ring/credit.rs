//! Giving ring space back in ring order, whatever the order of release (W3).

use super::Region;
use crate::{
    layout::Word,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
};
use std::collections::BTreeMap;

/// Where the released prefix of everything handed out ends.
///
/// Positions here count all bytes since the creation; they never wrap, and each region handed out is one interval.
#[derive(Debug, Default)]
pub(crate) struct Credit {
    /// Everything before this has been added to `payload_free_bytes`.
    credited: AtomicU64,
    /// Released intervals behind it, start to end, waiting for an older one.
    waiting: Mutex<BTreeMap<u64, u64>>,
}

/// Exclusive access: nothing is credited meanwhile.
pub(crate) struct CreditGuard<'a> {
    credit: &'a Credit,
    waiting: MutexGuard<'a, BTreeMap<u64, u64>>,
}

impl Credit {
    pub(crate) fn lock(&self) -> CreditGuard<'_> {
        CreditGuard { credit: self, waiting: lock(&self.waiting) }
    }

    /// Bytes handed out up to `handed_out` and not credited yet, or more: another thread may be crediting.
    pub(crate) fn held_at_most(&self, handed_out: u64) -> u64 {
        handed_out - self.credited.load(Ordering::Relaxed)
    }

    /// Takes back the interval `start..end`. `true` if bytes were credited and the writer may have to be woken.
    pub(crate) fn release(&self, region: &Region, start: u64, end: u64) -> bool {
        let mut guard = self.lock();
        let credited = self.credited.load(Ordering::Relaxed);
        if start != credited {
            guard.waiting.insert(start, end);
            return false;
        }
        let mut prefix = end;
        while let Some(next) = guard.waiting.remove(&prefix) {
            prefix = next;
        }
        // Edge E2, release end: the bytes are read; the writer may overwrite them. Also the first half of edge E4.
        region.add(Word::PayloadFree, prefix - credited);
        self.credited.store(prefix, Ordering::Relaxed);
        true
    }
}

impl CreditGuard<'_> {
    /// Bytes handed out up to `handed_out` and not credited yet.
    pub(crate) fn held(&self, handed_out: u64) -> u64 {
        handed_out - self.credit.credited.load(Ordering::Relaxed)
    }

    /// How many released intervals wait for an older one.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::region::heap, *};

    #[test]
    fn only_the_released_prefix_is_credited() {
        let region = &heap::region(0, 128);
        region.subtract(Word::PayloadFree, 100);
        let credit = Credit::default();
        assert!(!credit.release(region, 30, 60));
        assert!(!credit.release(region, 60, 100));
        let state = || {
            let guard = credit.lock();
            (region.load(Word::PayloadFree, Ordering::Relaxed), guard.held(100), guard.waiting())
        };
        assert_eq!(state(), (28, 100, 2));
        assert!(credit.release(region, 0, 30));
        assert_eq!(state(), (128, 0, 0));
    }
}
