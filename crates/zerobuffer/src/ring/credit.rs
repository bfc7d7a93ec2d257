//! Giving ring space back in ring order, whatever the order of release (W3, N9).

use crate::{
    layout::{NativeWord, Word},
    memory::Region,
    sync::{AtomicU64, End, Latch, LatchGuard, Ordering, order},
};
use std::collections::BTreeMap;

/// How far everything handed out has been released.
///
/// Positions here count all bytes since the creation; they never wrap, and each region handed out
/// is one interval. Each release that moves the prefix credits it at once: what the other end may
/// need later is not known here.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Everything before this has been released and is credited.
    credited: AtomicU64,
    /// The lock guards `credited` too.
    ledger: Latch<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Released intervals behind the prefix, start to end, waiting for an older one.
    waiting: BTreeMap<u64, u64>,
    /// In native form, what has to be added to a position here for a byte of the stream.
    shift: Option<u64>,
}

/// Exclusive access: nothing is credited meanwhile.
pub(crate) struct CreditGuard<'a> {
    credit: &'a Credit,
    ledger: LatchGuard<'a, Ledger>,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Self { credited: AtomicU64::new(0), ledger: Latch::default() }
    }

    pub(crate) fn lock(&self) -> CreditGuard<'_> {
        CreditGuard { credit: self, ledger: self.ledger.lock() }
    }

    /// Bytes handed out up to `handed_out` and not credited yet, or more: another thread may be
    /// crediting.
    pub(crate) fn held_bound(&self, handed_out: u64) -> u64 {
        handed_out - self.credited.load(Ordering::Relaxed)
    }

    /// Takes back the interval `start..end`. `true` if bytes were credited and the writer may have
    /// to be woken.
    #[inline]
    pub(crate) fn release(&self, region: &Region, start: u64, end: u64) -> bool {
        let mut guard = self.lock();
        let credited = self.credited.load(Ordering::Relaxed);
        let Some(prefix) = guard.release(credited, start, end) else { return false };
        // Edge E2, release end: the bytes are read; the writer may overwrite them. Also the first
        // half of edge E4.
        if let Some(shift) = guard.ledger.shift {
            // Before the writer can know. A thread that sees a frame published into this space sees
            // the space here.
            self.credited.store(prefix, Ordering::Relaxed);
            let release = order(End::E2Release, Ordering::Release);
            region.native_store(NativeWord::CREDITED, prefix.wrapping_add(shift), release);
        } else {
            region.add_as(Word::PayloadFree, prefix - credited, order(End::E2Release, Ordering::SeqCst));
            self.credited.store(prefix, Ordering::Relaxed);
        }
        true
    }

    /// From now on credits are bytes of the stream. The answer is what is held, which must be
    /// nothing.
    pub(super) fn enter_native(&self, handed_out: u64, shift: u64) -> u64 {
        let mut guard = self.lock();
        let held = guard.held(handed_out);
        if held == 0 {
            guard.ledger.shift = Some(shift);
        }
        held
    }

    /// Back to legacy form; `leave` runs while nothing can be credited.
    pub(super) fn leave_native(&self, leave: impl FnOnce()) {
        let mut guard = self.lock();
        leave();
        guard.ledger.shift = None;
    }
}

impl CreditGuard<'_> {
    /// Adds an interval; where the released prefix ends now. `None`: an older one is not released
    /// yet.
    #[inline]
    fn release(&mut self, credited: u64, start: u64, end: u64) -> Option<u64> {
        if start != credited {
            self.ledger.waiting.insert(start, end);
            return None;
        }
        let mut prefix = end;
        while let Some(next) = self.ledger.waiting.remove(&prefix) {
            prefix = next;
        }
        Some(prefix)
    }

    /// Bytes handed out up to `handed_out` and not credited yet.
    pub(crate) fn held(&self, handed_out: u64) -> u64 {
        handed_out - self.credit.credited.load(Ordering::Relaxed)
    }

    /// How many released intervals wait for an older one.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.ledger.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::heap;

    #[test]
    fn only_the_released_prefix_is_credited() {
        let region = &heap::region(0, 128);
        region.subtract(Word::PayloadFree, 100);
        let credit = Credit::new();
        let release = |start, end| credit.release(region, start, end);
        assert!(!release(30, 60));
        assert!(!release(60, 100));
        let state = || {
            let guard = credit.lock();
            (region.load(Word::PayloadFree, Ordering::Relaxed), guard.held(100), guard.waiting())
        };
        assert_eq!(state(), (28, 100, 2));
        assert!(release(0, 30));
        assert_eq!(state(), (128, 0, 0));
    }

    #[test]
    fn each_release_credits_its_own_bytes() {
        let capacity = 1 << 20;
        let region = &heap::region(0, capacity);
        region.subtract(Word::PayloadFree, 3000);
        let credit = Credit::new();
        for (start, end) in [(0, 100), (100, 150), (150, 3000)] {
            assert!(credit.release(region, start, end));
            let free = region.load(Word::PayloadFree, Ordering::Relaxed);
            assert_eq!(free, capacity - 3000 + end, "nothing is kept back");
        }
    }
}
