//! Giving ring space back in ring order, whatever the order of release (W3).

use super::Region;
use crate::{
    layout::Word,
    sync::{AtomicBool, AtomicU64, End, Latch, LatchGuard, Ordering, order},
};
use std::collections::BTreeMap;

/// Rings below this credit every frame at once: a share of so little saves nothing.
const BATCHED_RING: u64 = 8192;
/// At most this share of the ring waits to be credited together.
const BATCH_SHARE: u64 = 16;
/// From so many frames on their count is told at a look, also by a reader that finds whatever it looks for.
const UNTOLD: u64 = 64;

/// Where the released prefix of everything handed out ends, and how far the control block knows of it.
///
/// Positions here count all bytes since the creation; they never wrap, and each region handed out is one interval.
///
/// The control block is two cache lines that the writer stores to for every frame, so that a reader of frames of ours
/// keeps away from it while it can: it stores its position when a frame is released or a further one is looked for in vain,
/// its count when a further one is looked for in vain or many are untold (the first one with the first credit), and while it
/// knows of further frames it credits in batches. Nothing is kept back once no further frame is known.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Released bytes below this may wait for the next flush.
    batch: u64,
    /// Further frames are known: the next flush is near.
    may_wait: AtomicBool,
    /// Position and count as of the last frame taken, and as the control block has them.
    read: Progress,
    told: Progress,
    /// Everything before this has been released.
    prefix: AtomicU64,
    /// Everything before this has been added to `payload_free_bytes`.
    credited: AtomicU64,
    /// Released intervals behind the prefix, start to end, waiting for an older one. The lock guards all of the above but
    /// `read` and `may_wait`, which only the reader stores.
    waiting: Latch<BTreeMap<u64, u64>>,
}

/// The reader's two words of the control block.
#[derive(Debug, Default)]
struct Progress {
    position: AtomicU64,
    count: AtomicU64,
}

impl Progress {
    fn get(&self) -> (u64, u64) {
        (self.position.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed))
    }

    fn set(&self, (position, count): (u64, u64)) {
        self.position.store(position, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
    }
}

/// Exclusive access: nothing is credited meanwhile.
pub(crate) struct CreditGuard<'a> {
    credit: &'a Credit,
    waiting: LatchGuard<'a, BTreeMap<u64, u64>>,
}

impl Credit {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            batch: if capacity < BATCHED_RING { 0 } else { capacity / BATCH_SHARE },
            may_wait: AtomicBool::new(false),
            read: Progress::default(),
            told: Progress::default(),
            prefix: AtomicU64::new(0),
            credited: AtomicU64::new(0),
            waiting: Latch::default(),
        }
    }

    pub(crate) fn lock(&self) -> CreditGuard<'_> {
        CreditGuard { credit: self, waiting: self.waiting.lock() }
    }

    /// Bytes handed out up to `handed_out` and not credited yet, or more: another thread may be crediting.
    pub(crate) fn held_at_most(&self, handed_out: u64) -> u64 {
        handed_out - self.credited.load(Ordering::Relaxed)
    }

    /// The reader has moved to that position and count. `true`: bytes were credited, and the writer may have to be woken.
    ///
    /// `more`: further frames are known. `exact`: the writer is of another implementation, which looks at the position.
    #[inline(always)]
    pub(crate) fn moved(&self, region: &Region, to: (u64, u64), more: bool, exact: bool) -> bool {
        self.read.set(to);
        let exact = exact || self.batch == 0;
        let may_wait = more && !exact;
        if may_wait || !(exact || self.may_wait.load(Ordering::Relaxed)) {
            if may_wait {
                self.may_wait.store(true, Ordering::Relaxed);
            }
            return false;
        }
        let mut guard = self.lock();
        // Under the lock: a release either comes before and is credited here, or sees this and credits itself.
        self.may_wait.store(false, Ordering::Relaxed);
        if exact {
            guard.tell(region);
        }
        guard.flush(region)
    }

    /// The reader has found a further frame at once: it tells of those before when they have become many.
    #[inline]
    pub(crate) fn tell_at_last(&self, region: &Region) {
        if self.read.count.load(Ordering::Relaxed).wrapping_sub(self.told.count.load(Ordering::Relaxed))
            >= UNTOLD
        {
            self.lock().tell(region);
        }
    }

    /// The reader waits for further frames: what it has taken is told, also while it is held.
    #[inline]
    pub(crate) fn tell(&self, region: &Region) {
        if self.read.get() != self.told.get() {
            self.lock().tell(region);
        }
    }

    /// Takes back the interval `start..end`. `true` if bytes were credited and the writer may have to be woken.
    ///
    /// `urgent`: the writer sleeps, or is about to.
    #[inline]
    pub(crate) fn release(
        &self,
        region: &Region,
        start: u64,
        end: u64,
        urgent: impl FnOnce() -> bool,
    ) -> bool {
        let mut guard = self.lock();
        if !guard.release(start, end) {
            return false;
        }
        let waits = self.may_wait.load(Ordering::Relaxed) && guard.uncredited() < self.batch && !urgent();
        !waits && guard.flush(region)
    }
}

impl CreditGuard<'_> {
    /// Adds an interval. `false`: an older one is not released yet.
    #[inline]
    fn release(&mut self, start: u64, end: u64) -> bool {
        if start != self.credit.prefix.load(Ordering::Relaxed) {
            self.waiting.insert(start, end);
            return false;
        }
        let mut prefix = end;
        while let Some(next) = self.waiting.remove(&prefix) {
            prefix = next;
        }
        self.credit.prefix.store(prefix, Ordering::Relaxed);
        true
    }

    /// Released bytes that are not credited yet.
    fn uncredited(&self) -> u64 {
        self.credit.prefix.load(Ordering::Relaxed) - self.credit.credited.load(Ordering::Relaxed)
    }

    /// Stores position and count.
    fn tell(&mut self, region: &Region) {
        self.tell_position(region);
        let count = self.credit.read.count.load(Ordering::Relaxed);
        if self.credit.told.count.load(Ordering::Relaxed) != count {
            region.store(Word::ReadCount, count, Ordering::Release);
            self.credit.told.count.store(count, Ordering::Relaxed);
        }
    }

    fn tell_position(&mut self, region: &Region) {
        let position = self.credit.read.position.load(Ordering::Relaxed);
        if self.credit.told.position.load(Ordering::Relaxed) != position {
            region.store(Word::ReadPos, position, Ordering::Release);
            self.credit.told.position.store(position, Ordering::Relaxed);
        }
    }

    /// Stores the position, then credits what is released. `true`: that was something.
    ///
    /// In this order a position that is behind never points at bytes that the writer may overwrite (W9). The count, in
    /// the other cache line, waits for the next look: here the reader's next locked operation would wait for it. Only the
    /// first one does not: a buffer without counts looks untouched to a writer that attaches.
    fn flush(&mut self, region: &Region) -> bool {
        if self.credit.told.count.load(Ordering::Relaxed) == 0 {
            self.tell(region);
        } else {
            self.tell_position(region);
        }
        let bytes = self.uncredited();
        if bytes == 0 {
            return false;
        }
        // Edge E2, release end: the bytes are read; the writer may overwrite them. Also the first half of edge E4.
        region.add_as(Word::PayloadFree, bytes, order(End::E2Release, Ordering::SeqCst));
        self.credit.credited.store(self.credit.prefix.load(Ordering::Relaxed), Ordering::Relaxed);
        true
    }

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
        let credit = Credit::new(128);
        let release = |start, end| credit.release(region, start, end, || false);
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
    fn credits_wait_while_further_frames_are_known_and_nobody_needs_them() {
        let capacity = BATCHED_RING;
        let region = &heap::region(0, capacity);
        region.subtract(Word::PayloadFree, 2000);
        let credit = Credit::new(capacity);
        let words = || {
            [Word::ReadPos, Word::ReadCount, Word::PayloadFree]
                .map(|word| region.load(word, Ordering::Relaxed))
        };
        let free = capacity - 2000;
        assert!(!credit.moved(region, (100, 1), true, false));
        assert!(!credit.release(region, 0, 100, || false));
        assert_eq!(words(), [0, 0, free], "not told yet");
        assert_eq!(credit.lock().held(100), 100, "what is not credited counts as held");
        assert!(!credit.moved(region, (150, 2), true, false));
        assert!(credit.release(region, 100, 150, || true));
        assert_eq!(words(), [150, 2, free + 150], "the writer sleeps");
        assert!(!credit.moved(region, (700, 3), true, false));
        assert!(credit.release(region, 150, 700, || false));
        assert_eq!(words(), [700, 2, free + 700], "a whole batch, without the count");
        assert!(!credit.moved(region, (800, 4), true, false));
        assert!(!credit.release(region, 700, 800, || false));
        assert!(credit.moved(region, (900, 5), false, false));
        assert_eq!(words(), [900, 2, free + 800], "no further frame is known");
        assert!(credit.release(region, 800, 900, || false));
        assert_eq!(words(), [900, 2, free + 900]);
        assert!(!credit.moved(region, (1000, 6), false, false));
        assert_eq!(words(), [900, 2, free + 900], "nothing was kept back");
        credit.tell(region);
        assert_eq!(words(), [1000, 6, free + 900], "the next frame is looked for while one is held");
        assert!(!credit.moved(region, (1100, 7), true, true));
        assert_eq!(words(), [1100, 7, free + 900], "another implementation looks at the position");
    }

    #[test]
    fn many_untold_frames_are_told_at_the_next_look() {
        let region = &heap::region(0, BATCHED_RING);
        let credit = Credit::new(BATCHED_RING);
        let told = || [Word::ReadPos, Word::ReadCount].map(|word| region.load(word, Ordering::Relaxed));
        credit.moved(region, (1, UNTOLD - 1), true, false);
        credit.tell_at_last(region);
        assert_eq!(told(), [0; 2], "few");
        for count in UNTOLD..3 * UNTOLD {
            credit.moved(region, (count, count), true, false);
        }
        assert_eq!(told(), [0; 2], "not before a look");
        credit.tell_at_last(region);
        assert_eq!(told(), [3 * UNTOLD - 1; 2]);
    }

    /// A release on one thread while the reader takes the last frame that it knows of on another: one of both credits.
    #[test]
    fn nothing_is_kept_back_beside_a_release_of_the_same_moment() {
        const ROUNDS: u64 = 200_000;
        let region = &heap::region(0, BATCHED_RING);
        let credit = &Credit::new(BATCHED_RING);
        let (begun, done) = (&AtomicU64::new(0), &AtomicU64::new(0));
        let wait_for = |counter: &AtomicU64, value| {
            while counter.load(Ordering::Acquire) < value {
                std::hint::spin_loop();
            }
        };
        let kept_back = std::thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    wait_for(begun, round + 1);
                    credit.release(region, round * 20, round * 20 + 10, || false);
                    done.store(round + 1, Ordering::Release);
                }
            });
            (0..ROUNDS)
                .filter(|&round| {
                    let (start, end) = (round * 20, round * 20 + 20);
                    region.subtract(Word::PayloadFree, 20);
                    credit.moved(region, (round, 2 * round), true, false);
                    begun.store(round + 1, Ordering::Release);
                    credit.moved(region, (round, 2 * round + 1), false, false);
                    wait_for(done, round + 1);
                    let held = credit.lock().held(end);
                    credit.release(region, start + 10, end, || false);
                    held != 10
                })
                .count()
        });
        assert_eq!(kept_back, 0, "of {ROUNDS} rounds");
    }
}
