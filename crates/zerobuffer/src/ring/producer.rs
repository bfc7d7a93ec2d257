//! The writer's half of the ring: reserve a place, publish what was put there (W2, W10, W11).

use super::{
    Fault,
    placement::{MARKER, Placement, Room, next_place, place},
};
use crate::{
    layout::{FRAME_HEADER_SIZE, FrameHeader, Word},
    memory::{Place, Region, Slot},
    sync::{End, Ordering, order},
};

/// How far ahead of its position a writer of small frames asks for cache lines.
const AHEAD: u64 = 512;

/// The writer's private copies; the control block only receives them (W13).
#[derive(Debug)]
pub(crate) struct Producer {
    /// Write position, below P.
    at: u64,
    /// At least so many bytes are free; the reader only ever adds.
    free: u64,
    /// F as it was when it was last looked up.
    seen: u64,
    next_sequence: u64,
    written_count: u64,
    /// The reader is of this implementation.
    ours: bool,
    /// Offset 0 holds the header of an abandoned loan.
    committed_to_start: bool,
    /// Old readers only: bytes skipped by the last wrap, which they give back before the frames in front of it.
    early_credit: u64,
    /// Old readers only: bytes that a crashed predecessor published without charging them.
    uncharged: u64,
}

/// The outcome of a reservation.
#[derive(Debug)]
pub(crate) enum Step {
    Ready(Slot),
    Wait(Shortage),
    /// A bare wrap was published: post the data semaphore and reserve again.
    Wrapped,
}

/// What a frame lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shortage {
    /// So much must be free.
    pub(crate) needed: u64,
    /// So much is usable.
    pub(crate) free: u64,
    /// F at the last look. Beside an old reader less of it is usable.
    pub(crate) seen: u64,
}

/// Why a frame can never be reserved.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    TooLarge,
    Unplaceable { needed_capacity: u64 },
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Producer {
    /// Takes over where the control block says; `walked` comes from the chain walk (W9), and is the next number too unless
    /// the reader takes any.
    pub(crate) fn attach(
        region: &Region,
        ours: bool,
        walked: u64,
        next_sequence: u64,
    ) -> Result<Self, Fault> {
        let capacity = region.capacity();
        let write_pos = region.load(Word::WritePos, Ordering::Acquire);
        if write_pos > capacity {
            return Err(Fault::field("payload_write_pos", write_pos, format!("at most {capacity}")));
        }
        let mut producer = Self {
            at: write_pos % capacity,
            free: 0,
            seen: 0,
            next_sequence,
            written_count: region.load(Word::WrittenCount, Ordering::Relaxed),
            ours,
            committed_to_start: false,
            early_credit: 0,
            uncharged: 0,
        };
        // A predecessor's loan may still lie there, or a frame that it had all but published: either binds its successor
        // as it bound itself. Left there, it would tell the next successor a number that is used up.
        let is_unpublished =
            |header: FrameHeader| header.unpublished_sequence().is_some() || header.sequence == walked;
        producer.committed_to_start =
            region.header(0).is_some_and(|header| !header.is_wrap() && is_unpublished(header));
        if !ours {
            let free = region.load(Word::PayloadFree, Ordering::SeqCst);
            let read_pos = region.load(Word::ReadPos, Ordering::Acquire).min(capacity);
            let unread = (producer.at + capacity - read_pos % capacity) % capacity;
            // More than the ring itself cannot have been published.
            producer.uncharged = free.saturating_sub(capacity - unread).min(capacity);
        }
        producer.usable(region)?;
        Ok(producer)
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Chooses the number of the next frame; only for a reader that announces free sequences (W8 level 2).
    pub(crate) fn set_next_sequence(&mut self, sequence: u64) {
        self.next_sequence = sequence;
    }

    fn room(&self, region: &Region) -> Room {
        Room {
            capacity: region.capacity(),
            at: self.at,
            ours: self.ours,
            committed_to_start: self.committed_to_start,
        }
    }

    /// Bytes that may be charged now, looked up in shared memory.
    fn usable(&mut self, region: &Region) -> Result<u64, Fault> {
        let capacity = region.capacity();
        // Edge E2, acquire end: what the reader gave back it no longer reads. Edge E4, second half.
        let order = order(End::E4Writer, order(End::E2Acquire, Ordering::SeqCst));
        let free = region.load(Word::PayloadFree, order);
        self.seen = free;
        if free > self.most_free(region) {
            let expected = format!("at most {}", self.most_free(region));
            return Err(Fault::field("payload_free_bytes", free, expected));
        }
        if self.ours {
            return Ok(free);
        }
        let free = free.saturating_sub(self.uncharged);
        if free >= capacity - self.at {
            self.early_credit = 0;
        }
        Ok(free.saturating_sub(self.early_credit))
    }

    /// The bound of `payload_free_bytes`: what was never charged is credited nevertheless.
    fn most_free(&self, region: &Region) -> u64 {
        region.capacity() + self.uncharged
    }

    /// Whether `needed` bytes are free; looks into shared memory only if the private count says no.
    fn has(&mut self, region: &Region, needed: u64) -> Result<bool, Fault> {
        if self.free < needed {
            self.free = self.usable(region)?;
        }
        Ok(self.free >= needed)
    }

    /// [`Self::reserve`] where the frame goes to the write position, in room that is known to be free: what most frames find.
    /// `None` says nothing of what else there is.
    #[inline(always)]
    pub(crate) fn reserve_here(&mut self, region: &Region, size: u64) -> Option<Slot> {
        region.prefetch_control();
        let place = next_place(self.room(region), size)?;
        if place.total > self.free || place.at == 0 {
            return None;
        }
        let header = FrameHeader { size, sequence: self.next_sequence };
        region.put_header(place.at, header).then_some(Slot { place, size })
    }

    /// Finds a place for `size` payload bytes and stores its headers, which nobody reads before [`Self::publish`].
    pub(crate) fn reserve(&mut self, region: &Region, size: u64) -> Result<Step, Refusal> {
        region.prefetch_control();
        let room = self.room(region);
        let found = match place(room, size) {
            Placement::At(place) => place,
            Placement::AfterBareWrap { tail } => return self.bare_wrap(region, tail, size),
            Placement::Unplaceable { needed_capacity } => {
                return Err(Refusal::Unplaceable { needed_capacity });
            }
            Placement::TooLarge => return Err(Refusal::TooLarge),
        };
        let needed = found.need();
        if !self.has(region, needed)? {
            return Ok(Step::Wait(Shortage { needed, free: self.free, seen: self.seen }));
        }
        self.store_headers(region, found, size)?;
        Ok(Step::Ready(Slot { place: found, size }))
    }

    /// Asks for the lines of the frames to come as soon as this one is published: each charge waits for the stores before
    /// it, so that without this every line of a small frame would cost its whole way from the reader's cache.
    #[inline]
    fn prefetch(&self, region: &Region, place: Place) {
        if self.free < 2 * AHEAD {
            return;
        }
        if place.total <= AHEAD {
            region.prefetch_to_write(place.at + AHEAD, place.total);
        } else {
            region.prefetch_to_write(place.at + place.total, FRAME_HEADER_SIZE);
        }
    }

    fn store_headers(&mut self, region: &Region, place: Place, size: u64) -> Result<(), Fault> {
        if place.skip > 0 {
            self.skip_tail(region, place.skip)?;
        }
        self.committed_to_start |= place.at == 0;
        let header = FrameHeader { size, sequence: self.next_sequence };
        // A successor's walk over a lap begins at 0: it must not take this header for a published one.
        put_header(region, place.at, if place.at == 0 { header.unpublished() } else { header })
    }

    /// Marks the end of the ring as unused. A tail too short for a marker is zeroed, which old readers survive.
    fn skip_tail(&self, region: &Region, skip: u64) -> Result<(), Fault> {
        if skip >= MARKER {
            return put_header(region, self.at, FrameHeader::WRAP);
        }
        region.zero(self.at, skip);
        Ok(())
    }

    /// Moves to the start of the ring before there is room for the frame, so that the reader gives the end back (W11).
    fn bare_wrap(&mut self, region: &Region, tail: u64, size: u64) -> Result<Step, Refusal> {
        if !self.has(region, tail)? {
            return Ok(Step::Wait(Shortage { needed: tail, free: self.free, seen: self.seen }));
        }
        if self.free >= tail + FRAME_HEADER_SIZE {
            // An abandoned loan's header may lie at 0 and complete a lap with the marker. This one is too long for that.
            let header = FrameHeader { size, sequence: self.next_sequence };
            put_header(region, 0, header.unpublished())?;
        }
        self.skip_tail(region, tail)?;
        self.charge(region, tail)?;
        self.advance(region, 0, u64::from(tail >= MARKER));
        Ok(Step::Wrapped)
    }

    /// Publishes the first `len` bytes of a slot. The caller posts the data semaphore afterwards.
    ///
    /// `Ok(None)`: with so few bytes the end of the ring would be spoilt for an old reader; the slot stays reserved.
    #[inline(always)]
    pub(crate) fn publish(&mut self, region: &Region, slot: &Slot, len: u64) -> Result<Option<u64>, Fault> {
        let mut place = slot.place;
        let sequence = self.next_sequence;
        if len != slot.size {
            place.total = len + FRAME_HEADER_SIZE;
            let left = region.capacity() - place.at - place.total;
            place.sliver = if left < MARKER { left } else { 0 };
            if place.sliver > 0 && !self.ours {
                return Ok(None);
            }
        }
        if len != slot.size || place.at == 0 {
            put_header(region, place.at, FrameHeader { size: len, sequence })?;
        }
        // W10: one charge for everything, then the position, then the count. A crash in between leaves less free than
        // is true, never more, and the reader restores it.
        self.charge(region, place.need())?;
        if !self.ours && place.skip > 0 {
            self.early_credit = place.skip;
        }
        self.committed_to_start &= place.at != 0;
        let end = place.at + place.total + place.sliver;
        let end = if end == region.capacity() { 0 } else { end };
        self.advance(region, end, 1 + u64::from(place.skip >= MARKER));
        self.next_sequence = sequence.wrapping_add(1);
        self.prefetch(region, place);
        Ok(Some(sequence))
    }

    fn charge(&mut self, region: &Region, bytes: u64) -> Result<(), Fault> {
        // Edge E5, release end: a reader that finds the ring full by this word reads complete frames.
        let before = region.subtract_as(Word::PayloadFree, bytes, order(End::E5Release, Ordering::SeqCst));
        if before < bytes || before > self.most_free(region) {
            region.add(Word::PayloadFree, bytes);
            let expected = format!("{bytes} to {}", self.most_free(region));
            return Err(Fault::field("payload_free_bytes", before, expected));
        }
        self.free = if self.ours { before - bytes } else { self.free.saturating_sub(bytes) };
        Ok(())
    }

    fn advance(&mut self, region: &Region, to: u64, count: u64) {
        self.at = to;
        // Edge E1, release end: header and payload are complete.
        region.store(Word::WritePos, to, order(End::E1Release, Ordering::Release));
        self.written_count = self.written_count.wrapping_add(count);
        region.store(Word::WrittenCount, self.written_count, Ordering::Release);
    }
}

fn put_header(region: &Region, at: u64, header: FrameHeader) -> Result<(), Fault> {
    if region.put_header(at, header) {
        return Ok(());
    }
    // Positions are private copies below P, and a header is only stored where at least 16 bytes are left.
    Err(Fault::field("payload_write_pos", at, format!("at most {}", region.capacity() - FRAME_HEADER_SIZE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{memory::heap, ring::next_sequence};

    /// The position and the number after a frame of `size` bytes.
    fn write(producer: &mut Producer, region: &Region, size: u64) -> (u64, u64) {
        let Ok(Step::Ready(slot)) = producer.reserve(region, size) else {
            panic!("no room for {size} bytes")
        };
        let sequence = producer.publish(region, &slot, size).unwrap().unwrap();
        (slot.at(), sequence)
    }

    #[test]
    fn a_frame_that_was_all_but_published_is_replaced() {
        let region = &heap::region(0, 128);
        let attach = |number| Producer::attach(region, true, number, number).unwrap();
        let mut first = attach(1);
        assert_eq!(write(&mut first, region, 50), (0, 1));
        assert_eq!(write(&mut first, region, 13), (66, 2));
        // Both are read. A third wraps, and its writer dies between its header and its charge.
        region.add(Word::PayloadFree, 95);
        region.store(Word::ReadPos, 95, Ordering::Relaxed);
        assert!(region.put_header(95, FrameHeader::WRAP));
        assert!(region.put_header(0, FrameHeader { size: 18, sequence: 3 }));
        let next = |at| next_sequence(region, at, at, 3, false);
        assert_eq!(next(95), 3);
        // The next one would fit at the position, and leave the dead frame at 0.
        assert_eq!(write(&mut attach(3), region, 5), (0, 3));
        assert_eq!(next(21), 4);
    }
}
