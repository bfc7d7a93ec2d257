//! The writer's half in legacy form: reserve a place, publish what was put there (W2, W10, W11).

use super::{
    placement::{MARKER, Place, Room, place},
    usable::Usable,
};
use crate::{
    layout::{FRAME_HEADER_SIZE, FrameHeader, Word},
    memory::{Region, Slot},
    ring::{Fault, Refusal, Shortage},
    sync::{End, Ordering, order},
};

/// The writer's private copies; the control block only receives them (W13).
#[derive(Debug)]
pub(in crate::ring) struct Writing {
    /// At least so many bytes are usable; the reader only ever adds.
    free: u64,
    usable: Usable,
    written_count: u64,
    /// Offset 0 holds the header of an abandoned loan.
    committed_to_start: bool,
}

impl Writing {
    /// Takes over where the control block says, and where the next frame goes; `walked` is the
    /// number that the chain of frames gives (W9).
    pub(in crate::ring) fn attach(region: &Region, walked: u64) -> Result<(Self, u64), Fault> {
        let capacity = region.capacity();
        let write_pos = region.load(Word::WritePos, Ordering::Acquire);
        if write_pos > capacity {
            return Err(Fault::field("payload_write_pos", write_pos, format!("at most {capacity}")));
        }
        let at = write_pos % capacity;
        // A predecessor's loan may still lie there, or a frame that it had all but published:
        // either binds its successor as it bound itself. Left there, it would tell the next
        // successor a number that is used up.
        let is_unpublished =
            |header: FrameHeader| header.unpublished_sequence().is_some() || header.sequence == walked;
        let mut writing = Self {
            free: 0,
            usable: Usable::attach(region, at),
            written_count: region.load(Word::WrittenCount, Ordering::Relaxed),
            committed_to_start: region
                .header(0)
                .is_some_and(|header| !header.is_wrap() && is_unpublished(header)),
        };
        writing.free = writing.usable.refresh(region, at)?;
        Ok((writing, at))
    }

    /// Bytes from `at` on in which a frame is simply put. They are usable, have room for a marker
    /// behind them, and are not at 0, where a header bears a mark.
    pub(in crate::ring) fn window(&self, capacity: u64, at: u64) -> u64 {
        if at == 0 || self.committed_to_start {
            0
        } else {
            self.free.min((capacity - at).saturating_sub(MARKER))
        }
    }

    /// Finds a place for a frame and stores its headers, which nobody reads before
    /// [`Self::publish`].
    pub(in crate::ring) fn reserve(
        &mut self,
        region: &Region,
        at: u64,
        total: u64,
        header: FrameHeader,
    ) -> Result<Result<Slot, Shortage>, Refusal> {
        let capacity = region.capacity();
        let room = Room { capacity, at, committed_to_start: self.committed_to_start };
        let found = place(room, total).map_err(|needed_capacity| Refusal::Unplaceable { needed_capacity })?;
        let needed = found.need();
        if self.free < needed {
            self.free = self.usable.refresh(region, at)?;
        }
        if self.free < needed {
            return Ok(Err(self.shortage(capacity, at, needed)));
        }
        self.store_headers(region, at, found, header)?;
        let Place { at, skip, total } = found;
        Ok(Ok(Slot { at, size: header.size, total, skip, room: 0 }))
    }

    fn shortage(&self, capacity: u64, at: u64, needed: u64) -> Shortage {
        let tail = capacity - at;
        let largest_gap = if self.free <= tail { self.free } else { tail.max(self.free - tail) };
        let held = self.usable.held(capacity);
        Shortage { needed, free: self.free, largest_gap, held, seen: self.usable.seen }
    }

    fn store_headers(
        &mut self,
        region: &Region,
        at: u64,
        place: Place,
        header: FrameHeader,
    ) -> Result<(), Fault> {
        if place.skip >= MARKER {
            put_header(region, at, FrameHeader::WRAP)?;
        } else if place.skip > 0 {
            // Too short for a marker: legacy readers survive zeroes.
            region.zero(at, place.skip);
        }
        self.committed_to_start |= place.at == 0;
        // A successor's walk over a lap begins at 0: it must not take this header for a published
        // one.
        put_header(region, place.at, if place.at == 0 { header.unpublished() } else { header })
    }

    /// Publishes the first bytes of a slot, and says where the next frame goes.
    ///
    /// `Ok(None)`: with so few bytes the end of the ring would be spoilt for the reader; the slot
    /// stays reserved.
    pub(in crate::ring) fn publish(
        &mut self,
        region: &Region,
        slot: &Slot,
        header: FrameHeader,
    ) -> Result<Option<u64>, Fault> {
        let capacity = region.capacity();
        let total = header.size + FRAME_HEADER_SIZE;
        let left = capacity - slot.at - total;
        if left != 0 && left < MARKER {
            return Ok(None);
        }
        if header.size != slot.size || slot.at == 0 {
            put_header(region, slot.at, header)?;
        }
        // W10: one charge for everything, then the position, then the count. A crash in between
        // leaves less free than is true, never more, and the reader restores it.
        let bytes = slot.skip + total;
        self.usable.charge(region, bytes, slot.skip)?;
        self.free = self.free.saturating_sub(bytes);
        self.committed_to_start &= slot.at != 0;
        let end = if left == 0 { 0 } else { slot.at + total };
        // Edge E1, release end: header and payload are complete.
        region.store(Word::WritePos, end, order(End::E1Release, Ordering::Release));
        self.written_count = self.written_count.wrapping_add(1 + u64::from(slot.skip >= MARKER));
        region.store(Word::WrittenCount, self.written_count, Ordering::Release);
        Ok(Some(end))
    }
}

fn put_header(region: &Region, at: u64, header: FrameHeader) -> Result<(), Fault> {
    if region.put_header(at, header) {
        return Ok(());
    }
    // Positions are private copies below P, and a header is only stored where at least 16 bytes are
    // left.
    Err(Fault::field("payload_write_pos", at, format!("at most {}", region.capacity() - FRAME_HEADER_SIZE)))
}
