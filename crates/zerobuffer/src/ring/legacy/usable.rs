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
    /// That is all of the ring, by a guess at the attach; nothing was charged since.
    is_doubtful: bool,
    /// The read position, modulo P, and the read count that go with it.
    read: (u64, u64),
}

impl Usable {
    /// `at`: the write position.
    pub(super) fn attach(region: &Region, at: u64) -> Self {
        let capacity = region.capacity();
        let (free, read) = settled(region);
        let distance = (at + capacity - read.0) % capacity;
        // Both positions are the same. A ring without room is full of unread frames then, or of
        // held ones. The counts tell which, where no end lets them drift.
        let written = region.load(Word::WrittenCount, Ordering::Acquire);
        let is_doubtful = distance == 0 && free == 0 && written != read.1;
        let unread = if is_doubtful { capacity } else { distance };
        // More than the ring itself cannot have been published.
        let uncharged = free.saturating_sub(capacity - distance).min(capacity);
        Self { seen: free, uncharged, early_credit: 0, unread, is_doubtful, read }
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
        } else if self.unread == capacity
            && (now.1 != self.read.1 || (self.is_doubtful && self.seen >= capacity))
        {
            // A whole lap: only the count tells it from standing still. Or all of it was held, and
            // has been given back.
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
        self.is_doubtful = false;
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

/// F, and position and count of the reader at the same time: it may be reading and giving back just
/// now. One that never lets go of them is hostile, and gets what was seen last.
fn settled(region: &Region) -> (u64, (u64, u64)) {
    const ATTEMPTS: u32 = 1000;
    let mut before = read(region);
    let mut free = region.load(Word::PayloadFree, Ordering::SeqCst);
    for _ in 0..ATTEMPTS {
        let after = read(region);
        if after == before {
            break;
        }
        before = after;
        free = region.load(Word::PayloadFree, Ordering::SeqCst);
    }
    (free, before)
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

    /// All of the ring was read and is held when a writer comes: nothing will move but F.
    #[test]
    fn a_ring_that_is_held_as_a_whole_is_usable_when_it_is_given_back() {
        for drift in [0, 1] {
            let region = &heap::region(0, 128);
            region.store(Word::PayloadFree, 0, Ordering::Relaxed);
            region.store(Word::WrittenCount, 4 + drift, Ordering::Relaxed);
            region.store(Word::ReadCount, 4, Ordering::Relaxed);
            let mut usable = Usable::attach(region, 0);
            assert_eq!(usable.refresh(region, 0).unwrap(), 0);
            region.add(Word::PayloadFree, 64);
            assert_eq!(usable.refresh(region, 0).unwrap(), if drift == 0 { 64 } else { 0 });
            region.add(Word::PayloadFree, 64);
            assert_eq!(usable.refresh(region, 0).unwrap(), 128, "drift {drift}");
        }
    }
}
