//! The writer's half in native form: find a place, publish what was put there by one store (N6, N7,
//! N14).

use super::runs::{Gap, Jump, Runs};
use crate::{
    layout::{ENTRIES, FAILURE, FrameHeader, NativeWord, ROUNDING, rounded},
    memory::{Region, Slot, order_stores},
    ring::{Fault, Shortage},
    sync::{End, Ordering, order, order_look},
};

/// A place for frames to come is this large at the least, or an eighth of a smaller ring.
const DEPTH: u64 = 128 * 1024;
/// With the whole ring, a lap has so many claims at the most, where frames have one size.
const CLAIMS_OF_A_LAP: u64 = ENTRIES - 2;
/// An early jump is made among so many runs at the most: each is a place that the cache has to
/// hold.
const RUNS: usize = 3;

/// The writer's private copies; the native block only receives them (N13).
#[derive(Debug)]
pub(in crate::ring) struct Writing {
    /// Bytes of the stream that are published, and of those the ones that were given back at the
    /// last look.
    pub(in crate::ring) published: u64,
    pub(super) credited: u64,
    pub(super) frames: u64,
    pub(super) claims: u64,
    pub(super) runs: Runs,
    /// What was published when this writer attached.
    pub(super) start: u64,
    /// No early jumps: a frame stays for a lap.
    pub(super) whole_ring: bool,
}

impl Writing {
    /// Finds `total` bytes: behind the position `at`, or in the lowest gap. Claims them and stores
    /// the header; nothing else changes before [`Self::publish`].
    pub(in crate::ring) fn reserve(
        &mut self,
        region: &Region,
        at: u64,
        total: u64,
        header: FrameHeader,
    ) -> Result<Result<Slot, Shortage>, Fault> {
        self.refresh(region)?;
        let capacity = region.capacity();
        let (taken, count) = self.runs.taken(self.credited, self.published);
        let (mut low, mut largest, mut end, mut here) = (None, 0, 0, capacity.saturating_sub(at));
        let last = Gap { start: capacity, end: capacity };
        for run in taken.into_iter().take(count).chain([last]) {
            // Runs of a hostile table may overlap.
            let gap = Gap { start: end, end: run.start.max(end) };
            largest = gap.len().max(largest);
            low = low.or_else(|| (gap.len() >= total).then_some(gap));
            if run.start >= at {
                here = here.min(run.start - at);
            }
            end = run.end.max(end);
        }
        let mut depth = total.max(DEPTH.min(capacity / 8));
        if self.whole_ring {
            // Few claims for a lap: a tap has to find the one of its frame among the newest.
            depth = depth.max(capacity / CLAIMS_OF_A_LAP + total);
        }
        let jumps = self.runs.next().is_some();
        let early = || {
            let few = count == 0 || (count <= RUNS && self.published - self.credited + total <= capacity / 2);
            few && jumps && !self.whole_ring
        };
        let place = match low {
            Some(low) if low.start < at && low.len() >= depth && early() => low,
            _ if total <= here => Gap { start: at, end: at + here },
            Some(low) if jumps => low,
            _ => return Ok(Err(self.shortage(region, total, largest))),
        };
        let place = Gap { end: place.end.min(place.start + depth), ..place };
        self.claim(region, place);
        if !region.put_header(place.start, header) {
            return Err(Fault::field("jump", place.start, format!("at most {capacity}")));
        }
        let room = place.len() - total;
        Ok(Ok(Slot { at: place.start, size: header.size, total, skip: 0, room }))
    }

    /// Whether the next frame goes to the start of the ring, since all is given back.
    pub(in crate::ring) fn begins_anew(&self, region: &Region) -> bool {
        !self.whole_ring && region.native_load(NativeWord::CREDITED, Ordering::Relaxed) == self.published
    }

    /// Learns what the reader has given back.
    fn refresh(&mut self, region: &Region) -> Result<(), Fault> {
        // Edge E2, acquire end: what the reader gave back it no longer reads, nor the entries of
        // its jumps. Edge E4, second half.
        order_look();
        let order = order(End::E4Writer, order(End::E2Acquire, Ordering::SeqCst));
        let credited = region.native_load(NativeWord::CREDITED, order);
        if credited < self.credited || credited > self.published {
            let expected = format!("{} to {}", self.credited, self.published);
            return Err(Fault::field("credited", credited, expected));
        }
        self.credited = credited;
        self.runs.credit(credited);
        Ok(())
    }

    fn shortage(&self, region: &Region, needed: u64, largest_gap: u64) -> Shortage {
        let used = self.published - self.credited;
        // For the message only.
        let taken = region.native_load(NativeWord::TAKEN, Ordering::Relaxed);
        let held = taken.saturating_sub(self.credited).min(used);
        Shortage { needed, free: region.capacity() - used, largest_gap, held, seen: self.credited }
    }

    fn claim(&mut self, region: &Region, place: Gap) {
        self.claims = self.claims.wrapping_add(1);
        claim(region, self.claims, self.published, place);
    }

    /// Publishes the first bytes of a slot. The next frame goes to where the answer says, and has
    /// so much room there.
    #[inline(always)]
    pub(in crate::ring) fn publish(
        &mut self,
        region: &Region,
        at: u64,
        slot: &Slot,
        header: FrameHeader,
    ) -> (u64, u64) {
        let (mut total, mut room) = (slot.total, slot.room);
        if header.size != slot.size {
            total = rounded(header.size, ROUNDING);
            room += slot.total - total;
            // It is where one was stored before.
            let _ = region.put_header(slot.at, header);
        }
        if slot.at != at {
            self.jump(region, slot.at);
        }
        region.native_store(NativeWord::LAST, self.published, Ordering::Relaxed);
        self.frames = self.frames.wrapping_add(1);
        region.native_store(NativeWord::FRAMES, self.frames, Ordering::Relaxed);
        self.published += total;
        // Edge E1, release end: header, payload and jump are complete. This store alone publishes.
        let release = order(End::E1Release, Ordering::Release);
        region.native_store(NativeWord::PUBLISHED, self.published, release);
        (slot.at + total, room)
    }

    #[inline(never)]
    fn jump(&mut self, region: &Region, to: u64) {
        let jump = Jump { at: self.published, to };
        self.runs.push(jump);
        let [at_word, to_word] = NativeWord::jump(self.runs.last());
        region.native_store(at_word, jump.at, Ordering::Relaxed);
        region.native_store(to_word, jump.to, Ordering::Relaxed);
        // Edge E10, release end: the entry is complete. A reader, or a successor, may look at it
        // before its frame is published.
        let release = order(End::E10Release, Ordering::Release);
        region.native_store(NativeWord::JUMPS, self.runs.last(), release);
    }

    /// Whether nobody has published anything in native form.
    pub(in crate::ring) fn is_untouched(&self) -> bool {
        self.published == 0 && self.frames == 0
    }

    /// What was published when this writer attached: the frames of its predecessors.
    pub(in crate::ring) fn start(&self) -> u64 {
        self.start
    }

    /// Leaves its number to the next writer.
    pub(in crate::ring) fn leave(region: &Region, next_sequence: u64) {
        region.native_store(NativeWord::NEXT, next_sequence & !FAILURE, Ordering::Release);
    }
}

/// Tells taps which bytes are overwritten from now on, where byte `published` of the stream is the
/// next one (N14).
pub(super) fn claim(region: &Region, number: u64, published: u64, place: Gap) {
    let words = NativeWord::claim(number);
    for (word, value) in words.into_iter().zip([published, place.start, place.end]) {
        region.native_store(word, value, Ordering::Release);
    }
    region.native_store(NativeWord::CLAIMS, number, Ordering::Release);
    // The application may fill its loan by stores that go past the cache.
    order_stores();
}
