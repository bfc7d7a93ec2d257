//! The reader's half in legacy form: what is unread by the positions, the end of the ring, the
//! repair of `free` (W4, W10).

use crate::{
    layout::{FRAME_HEADER_SIZE, NativeWord, Word},
    memory::Region,
    ring::{Consumer, Credit, Fault, credit::CreditGuard, legacy::is_full_ring},
    sync::{End, Ordering, order},
};

/// What a reader knows of legacy form only.
#[derive(Debug, Default)]
pub(in crate::ring) struct Reading {
    read_count: u64,
    /// The last writer charges before it publishes, as native ones do. `free` alone distinguishes a
    /// full ring from an empty one.
    pub(in crate::ring) charged_first: bool,
    /// A legacy writer has come whose first frame may be unread: the numbers in a full ring may go
    /// back to 1.
    pub(in crate::ring) may_restart: bool,
}

/// How often the repair is repeated when the words change under it; only a hostile peer does that.
const REPAIR_ATTEMPTS: u32 = 1000;

impl Consumer {
    pub(in crate::ring) fn has_legacy_unread(&self, region: &Region, credit: &Credit) -> bool {
        match self.distance(region, region.load(Word::WritePos, Ordering::Acquire)) {
            Ok(0) => self.tie(region, &credit.lock()) > 0,
            Ok(_) | Err(_) => true,
        }
    }

    /// Edge E1, acquire end: everything before the position is complete.
    #[inline]
    fn published_position(region: &Region) -> u64 {
        region.load(Word::WritePos, order(End::E1Acquire, Ordering::Acquire))
    }

    /// Looks how much has been published in legacy form.
    pub(in crate::ring) fn refresh_in_legacy_form(
        &mut self,
        region: &Region,
        credit: &Credit,
    ) -> Result<(), Fault> {
        let write_pos = Self::published_position(region);
        let distance = self.distance(region, write_pos)?;
        self.available = if distance == 0 {
            self.resolve_tie(region, credit)?
        } else if distance + credit.held_bound(self.handed_out) > region.capacity()
            && distance + credit.lock().held(self.handed_out) > region.capacity()
        {
            // Unread bytes and frames still held never overlap (W13). The first look may be
            // outdated, the second is not.
            let expected = format!("at most {} bytes unread or held", region.capacity());
            return Err(Fault::field("payload_write_pos", write_pos, expected));
        } else {
            distance
        };
        region.note_published(self.handed_out + self.available);
        Ok(())
    }

    /// The position was where everything known ends: bytes that are unread nevertheless.
    #[inline(never)]
    fn resolve_tie(&self, region: &Region, credit: &Credit) -> Result<u64, Fault> {
        if self.tie(region, &credit.lock()) == 0 {
            return Ok(0);
        }
        // `free` is younger than the position it was compared with. A frame published in between
        // and the charge for the next one may add up to a full ring. At an unchanged position they
        // cannot (model `stale-tie`).
        Ok(match self.distance(region, region.load(Word::WritePos, Ordering::Acquire))? {
            0 => region.capacity(),
            moved => moved,
        })
    }

    /// Bytes from the read position to `write_pos`, modulo the ring.
    pub(in crate::ring) fn distance(&self, region: &Region, write_pos: u64) -> Result<u64, Fault> {
        let capacity = region.capacity();
        if write_pos > capacity {
            return Err(Fault::field("payload_write_pos", write_pos, format!("at most {capacity}")));
        }
        // P, which some legacy writers store after an exact fill, is the position 0.
        let write_pos = if write_pos == capacity { 0 } else { write_pos };
        Ok(if write_pos >= self.at { write_pos - self.at } else { write_pos + capacity - self.at })
    }

    /// Both positions are the same: nothing is unread, or the whole ring (W4).
    fn tie(&self, region: &Region, credits: &CreditGuard<'_>) -> u64 {
        let capacity = region.capacity();
        if credits.held(self.handed_out) > 0 {
            return 0;
        }
        // Edge E5, acquire end.
        match region.load(Word::PayloadFree, order(End::E5Acquire, Ordering::SeqCst)) {
            free if free == capacity || (free != 0 && self.legacy.charged_first) => 0,
            // A legacy writer publishes its position before it charges: only the frames themselves
            // tell. With a native writer this must not be asked: an unpublished loan behind a
            // marker could look like a full lap. A ring without room may also be one whose writer
            // is entering the native form.
            free => {
                let owed = (free != 0).then_some(free);
                // Without room at all, what was counted and not read may be of several writers that
                // came and went between two looks. While a writer owes something, a frame that was
                // read long ago could be taken for the first of another one.
                let count = || region.load(Word::WrittenCount, Ordering::SeqCst);
                let may_restart = self.legacy.may_restart || (free == 0 && count() != self.legacy.read_count);
                // Frames in native form may look like such a chain. The form is asked before the
                // walk, so no header of such a frame is read while its writer stores it. It is
                // asked after the walk too, since a writer may have entered meanwhile.
                let is_legacy = || region.native_add(NativeWord::FORM, 0, Ordering::SeqCst).is_multiple_of(2);
                // A writer that enters the native form has taken `free` away and not yet changed
                // the form. The frames there are leftovers. It tells the coming form, and the count
                // at that time. Frames counted since then are of a writer that came in its place.
                let told = |word| region.native_load(word, Ordering::SeqCst);
                let is_entering = || {
                    told(NativeWord::ENTERING) == told(NativeWord::FORM).wrapping_add(1)
                        && told(NativeWord::ENTERING_AT) == count()
                };
                let full = !is_entering()
                    && is_legacy()
                    && is_full_ring(region, self.at, self.expected, may_restart, owed)
                    && is_legacy();
                if full { capacity } else { 0 }
            }
        }
    }

    /// Skips the unused end of the ring: behind a marker, or too short for a header. `true`: bytes
    /// were credited.
    pub(in crate::ring) fn wrap(
        &mut self,
        region: &Region,
        credit: &Credit,
        tail: u64,
    ) -> Result<bool, Fault> {
        if tail > self.available || self.at == 0 {
            let expected = format!("a frame at offset {}, {} bytes are published", self.at, self.available);
            return Err(Fault::field("frame payload size", 0, expected));
        }
        self.at = 0;
        self.available -= tail;
        self.handed_out += tail;
        self.legacy.read_count = self.legacy.read_count.wrapping_add(u64::from(tail >= FRAME_HEADER_SIZE));
        self.tell_legacy(region, 0);
        // The writer may be waiting for just this (W11).
        Ok(credit.release(region, self.handed_out - tail, self.handed_out))
    }

    /// A frame was taken.
    #[inline]
    pub(in crate::ring) fn took_legacy(&mut self, region: &Region) {
        // After an exact fill P instead of 0: it rescues old Python writers (W2).
        let read_pos = self.at;
        if self.at == region.capacity() {
            self.at = 0;
        }
        self.legacy.read_count = self.legacy.read_count.wrapping_add(1);
        self.tell_legacy(region, read_pos);
    }

    /// Stores position and count, before the credit that covers them. So a position that is behind
    /// never points at bytes that the writer may overwrite. And a buffer that was read never looks
    /// untouched to a successor (W9).
    #[inline]
    fn tell_legacy(&self, region: &Region, read_pos: u64) {
        region.store(Word::ReadPos, read_pos, Ordering::Release);
        region.store(Word::ReadCount, self.legacy.read_count, Ordering::Release);
    }

    /// Whether `free` and the position are as they must be while no writer is attached. A hint:
    /// nothing is locked.
    pub(in crate::ring) fn is_legacy_settled(&self, region: &Region, credit: &Credit) -> bool {
        let credits = credit.lock();
        let write_pos = region.load(Word::WritePos, Ordering::Acquire);
        let free = region.load(Word::PayloadFree, Ordering::SeqCst);
        write_pos != region.capacity()
            && self.true_free(region, &credits, write_pos).is_ok_and(|true_free| free == true_free)
    }

    /// What `payload_free_bytes` must be when no writer is in the middle of something.
    fn true_free(&self, region: &Region, credits: &CreditGuard<'_>, write_pos: u64) -> Result<u64, Fault> {
        let unread = match self.distance(region, write_pos)? {
            0 => self.tie(region, credits),
            distance => distance,
        };
        let used = unread + credits.held(self.handed_out);
        region.capacity().checked_sub(used).ok_or_else(|| {
            Fault::field(
                "payload_write_pos",
                write_pos,
                format!("at most {} bytes in use", region.capacity()),
            )
        })
    }

    /// Restores `free` exactly and clears a dead writer's registration (W10). The caller holds the
    /// writer's presence byte, so no writer attaches meanwhile. `false`: a live writer is
    /// registered, nothing was done.
    pub(in crate::ring) fn repair_legacy(
        &self,
        region: &Region,
        credit: &Credit,
        is_dead: impl Fn(u64) -> bool,
    ) -> Result<bool, Fault> {
        let credits = credit.lock();
        for _ in 0..REPAIR_ATTEMPTS {
            let pid = region.load(Word::WriterPid, Ordering::SeqCst);
            if pid != 0 && !is_dead(pid) {
                return Ok(false);
            }
            let write_pos = region.load(Word::WritePos, Ordering::SeqCst);
            let free = region.load(Word::PayloadFree, Ordering::SeqCst);
            let true_free = self.true_free(region, &credits, write_pos)?;
            // A legacy writer registers before it does anything else.
            if region.load(Word::WriterPid, Ordering::SeqCst) != pid {
                continue;
            }
            if free != true_free && !region.exchange(Word::PayloadFree, free, true_free) {
                continue;
            }
            region.exchange(Word::WritePos, region.capacity(), 0);
            region.native_store(NativeWord::ENTERING, 0, Ordering::Relaxed);
            // Edge E8, release end: the next writer finds the ring repaired.
            let repaired = order(End::E8Release, Ordering::SeqCst);
            if pid == 0 || region.exchange_as(Word::WriterPid, pid, 0, repaired) {
                return Ok(true);
            }
        }
        let pid = region.load(Word::WriterPid, Ordering::Relaxed);
        Err(Fault::field("writer_pid", pid, "a value that stays"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::FrameHeader, memory::heap, ring::native::enter};

    fn filled(size: u64, free: u64) -> (Region, Credit, Consumer) {
        let region = heap::region(0, size);
        // The first frame fills the ring, and its writer dies before it counts it.
        assert!(region.put_header(0, FrameHeader { size: size - FRAME_HEADER_SIZE, sequence: 1 }));
        region.store(Word::PayloadFree, free, Ordering::Relaxed);
        let mut consumer = Consumer::new(false);
        consumer.set_writer(true, false);
        (region, Credit::new(), consumer)
    }

    #[test]
    fn a_buffer_that_was_read_does_not_look_untouched() {
        let size = 8192;
        let (region, credit, mut consumer) = filled(size, 0);
        consumer.refresh(&region, &credit).unwrap();
        let span = consumer.next(&region, &credit, |_| false).unwrap().span.unwrap();
        credit.release(&region, span.start, span.end);
        let words = [Word::PayloadFree, Word::WritePos, Word::ReadCount];
        assert_eq!(words.map(|word| region.load(word, Ordering::Relaxed)), [size, 0, 1]);
    }

    /// A writer that dies while it enters the native form has taken `free` away, and published
    /// nothing.
    #[test]
    fn a_ring_without_room_and_without_frames_is_empty() {
        let (region, credit, mut consumer) = (heap::region(0, 256), Credit::new(), Consumer::new(false));
        region.store(Word::PayloadFree, 0, Ordering::Relaxed);
        region.store(Word::WriterPid, 7, Ordering::Relaxed);
        consumer.refresh(&region, &credit).unwrap();
        assert!(!consumer.has_available() && !consumer.has_unread(&region, &credit));
        assert!(consumer.repair(&region, &credit, |pid| pid == 7).unwrap());
        let words = [Word::PayloadFree, Word::WriterPid];
        assert_eq!(words.map(|word| region.load(word, Ordering::Relaxed)), [256, 0]);
    }

    /// The same beside what looks like a frame that fills the ring: its writer began it and died.
    #[test]
    fn a_frame_that_was_begun_is_none_where_a_writer_died_on_its_way_into_native_form() {
        let (region, credit, mut consumer) = filled(256, 0);
        // An earlier writer died before it counted a frame, so the counts tell nothing.
        region.store(Word::WrittenCount, 3, Ordering::Relaxed);
        region.native_store(NativeWord::ENTERING_AT, 3, Ordering::Relaxed);
        region.native_store(NativeWord::ENTERING, 1, Ordering::Relaxed);
        region.store(Word::WriterPid, 7, Ordering::Relaxed);
        consumer.refresh(&region, &credit).unwrap();
        assert!(!consumer.has_available());
        assert!(consumer.repair(&region, &credit, |pid| pid == 7).unwrap());
        let words = [Word::PayloadFree, Word::WriterPid];
        assert_eq!(words.map(|word| region.load(word, Ordering::Relaxed)), [256, 0]);
        assert_eq!(region.native_load(NativeWord::ENTERING, Ordering::Relaxed), 0);
        consumer.refresh(&region, &credit).unwrap();
        assert!(!consumer.has_available() && !consumer.has_unread(&region, &credit));
    }

    /// It came in beside a native one that was about to enter, which looks back and stays in legacy
    /// form. Charges and the native one's way back are additions, so their order does not matter.
    #[test]
    fn a_legacy_writer_that_dies_beside_one_that_enters_native_form_loses_no_frame() {
        let (ring, old, own) = (256, 7, 8);
        for (size, charged, counted) in [
            (ring - FRAME_HEADER_SIZE, true, false),
            (ring - FRAME_HEADER_SIZE, true, true),
            (40, false, false),
            (40, true, false),
            (40, true, true),
        ] {
            for charged_first in [false, true] {
                let (region, credit, mut consumer) =
                    (heap::region(0, ring), Credit::new(), Consumer::new(false));
                let total = size + FRAME_HEADER_SIZE;
                let publish = || {
                    assert!(region.put_header(0, FrameHeader { size, sequence: 1 }));
                    region.store(Word::WritePos, total % ring, Ordering::Relaxed);
                };
                let charge = || {
                    if charged {
                        region.subtract(Word::PayloadFree, total);
                    }
                };
                region.store(Word::WriterPid, old, Ordering::Relaxed);
                if charged_first {
                    publish();
                    charge();
                }
                assert!(enter(&region, 0, 1, own, false).unwrap().is_none());
                if !charged_first {
                    publish();
                    charge();
                }
                region.store(Word::WrittenCount, counted.into(), Ordering::Relaxed);
                assert_eq!(region.native_load(NativeWord::FORM, Ordering::Relaxed), 0);
                let case = format!("{size} bytes, charged {charged} ({charged_first}), counted {counted}");
                assert!(consumer.repair(&region, &credit, |pid| pid == old).unwrap(), "{case}");
                consumer.refresh(&region, &credit).unwrap();
                let span = consumer.next(&region, &credit, |_| false).unwrap().span;
                assert_eq!(span.map(|span| (span.size, span.sequence)), Some((size, 1)), "{case}");
            }
        }
    }

    /// A legacy writer died before it counted the frame that fills the ring, and before its token.
    /// Neither the repair nor a legacy successor that is there first loses the frame.
    #[test]
    fn a_frame_that_fills_the_ring_and_is_not_counted_is_not_lost() {
        let size = 256;
        for succeeded in [false, true] {
            let (region, credit, mut consumer) = filled(size, 0);
            region.store(Word::WriterPid, 7, Ordering::Relaxed);
            consumer.set_writer(false, false);
            if succeeded {
                region.store(Word::WriterPid, 8, Ordering::Relaxed);
                consumer.set_writer(false, true);
            } else {
                assert!(consumer.repair(&region, &credit, |pid| pid == 7).unwrap());
                let words = [Word::PayloadFree, Word::WriterPid];
                assert_eq!(words.map(|word| region.load(word, Ordering::Relaxed)), [0, 0]);
            }
            consumer.refresh(&region, &credit).unwrap();
            let span = consumer.next(&region, &credit, |_| false).unwrap().span.unwrap();
            assert_eq!((span.size, span.sequence), (size - FRAME_HEADER_SIZE, 1), "{succeeded}");
        }
    }
}
