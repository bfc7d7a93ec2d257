//! How much of the ring a writer in legacy form may use: by `payload_free_bytes`, and by what the
//! reader has passed.
//!
//! A reader whose credits are no atomic operations lets the first drift upwards. The second keeps
//! its unread frames.

use crate::{
    layout::Word,
    memory::Region,
    ring::Fault,
    sync::{End, Ordering, order},
};

/// What the writer knows of the space, as of its last look.
#[derive(Debug)]
pub(super) struct Usable {
    /// F at the last look.
    pub(super) seen: u64,
    /// Bytes that a crashed predecessor published without charging them.
    uncharged: u64,
    /// Bytes skipped by the last wrap, which legacy readers give back before the frames in front of
    /// it.
    early_credit: u64,
    /// Bytes published, skipped ends included, that the reader has not passed.
    unread: u64,
    /// The read position, modulo P, and the read count that go with it.
    read: (u64, u64),
}

impl Usable {
    /// `at`: the write position.
    pub(super) fn attach(region: &Region, at: u64) -> Self {
        let capacity = region.capacity();
        let free = region.load(Word::PayloadFree, Ordering::SeqCst);
        let read = read(region);
        let distance = (at + capacity - read.0) % capacity;
        // Both positions are the same: a ring without room is full, and any other is read to its
        // end.
        let unread = if distance == 0 && free == 0 { capacity } else { distance };
        // More than the ring itself cannot have been published.
        let uncharged = free.saturating_sub(capacity - distance).min(capacity);
        Self { seen: free, uncharged, early_credit: 0, unread, read }
    }

    /// Bytes that may be charged now, looked up in shared memory.
    pub(super) fn refresh(&mut self, region: &Region, at: u64) -> Result<u64, Fault> {
        let capacity = region.capacity();
        // Edge E2, acquire end: what the reader gave back it no longer reads. Edge E4, second half.
        let order = order(End::E4Writer, order(End::E2Acquire, Ordering::SeqCst));
        self.seen = region.load(Word::PayloadFree, order);
        check(self.seen)?;
        let now = read(region);
        let passed = (now.0 + capacity - self.read.0) % capacity;
        if passed != 0 {
            self.unread = self.unread.saturating_sub(passed);
        } else if self.unread == capacity && now.1 != self.read.1 {
            // A whole lap: only the count tells it from standing still.
            self.unread = 0;
        }
        self.read = now;
        let free = self.seen.saturating_sub(self.uncharged);
        if free >= capacity - at {
            self.early_credit = 0;
        }
        Ok(free.saturating_sub(self.early_credit).min(capacity - self.unread.min(capacity)))
    }

    /// Charges `bytes`, `skip` of which were skipped.
    pub(super) fn charge(&mut self, region: &Region, bytes: u64, skip: u64) -> Result<(), Fault> {
        // Edge E5, release end: a reader that finds the ring full by this word reads complete
        // frames.
        let before = region.subtract_as(Word::PayloadFree, bytes, order(End::E5Release, Ordering::SeqCst));
        if before < bytes || check(before).is_err() {
            region.add(Word::PayloadFree, bytes);
            return Err(Fault::field("payload_free_bytes", before, format!("{bytes} or more")));
        }
        self.unread += bytes;
        if skip > 0 {
            self.early_credit = skip;
        }
        Ok(())
    }

    /// Bytes that are neither free nor unread.
    pub(super) fn held(&self, capacity: u64) -> u64 {
        capacity.saturating_sub(self.seen).saturating_sub(self.unread)
    }
}

/// Drift makes F larger than the ring; a subtraction too many makes it larger than any drift.
fn check(free: u64) -> Result<(), Fault> {
    const MOST: u64 = 1 << 62;
    if free < MOST {
        Ok(())
    } else {
        Err(Fault::field("payload_free_bytes", free, "at most the ring's size"))
    }
}

/// Position, modulo P, and count of the reader.
fn read(region: &Region) -> (u64, u64) {
    let position = region.load(Word::ReadPos, Ordering::Acquire);
    (position % region.capacity(), region.load(Word::ReadCount, Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::heap;

    #[test]
    fn what_is_unread_is_not_usable_whatever_the_drift_of_free() {
        let region = &heap::region(0, 256);
        let mut usable = Usable::attach(region, 0);
        usable.charge(region, 200, 0).unwrap();
        // A lost charge: F stands too high by 200.
        region.add(Word::PayloadFree, 200);
        assert_eq!(usable.refresh(region, 200).unwrap(), 56);
        usable.charge(region, 56, 0).unwrap();
        region.add(Word::PayloadFree, 56);
        assert_eq!(usable.refresh(region, 0).unwrap(), 0, "full, at equal positions");
        region.store(Word::ReadPos, 200, Ordering::Relaxed);
        region.store(Word::ReadCount, 1, Ordering::Relaxed);
        assert_eq!(usable.refresh(region, 0).unwrap(), 200);
    }

    #[test]
    fn the_count_shows_a_whole_lap() {
        let region = &heap::region(0, 256);
        let mut usable = Usable::attach(region, 0);
        usable.charge(region, 256, 0).unwrap();
        region.add(Word::PayloadFree, 256);
        assert_eq!(usable.refresh(region, 0).unwrap(), 0);
        region.store(Word::ReadCount, 1, Ordering::Relaxed);
        assert_eq!(usable.refresh(region, 0).unwrap(), 256);
    }
}
