//! The reader's half of the ring: find the next frame, know what is unread, repair after a crashed writer (W4, W10).

use super::{Credit, Fault, credit::CreditGuard, recovery};
use crate::{
    layout::{FRAME_HEADER_SIZE, FrameHeader, Word},
    memory::{Region, Span},
    sync::{End, Ordering, order},
};

/// The reader's private copies; the control block only receives them (W13).
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Read position, below P.
    at: u64,
    /// Published bytes from `at` on that have not been looked at, as of the last [`Self::refresh`].
    available: u64,
    expected: u64,
    read_count: u64,
    /// All bytes ever handed out or skipped, the scale of [`Credit`].
    handed_out: u64,
    /// Sequence numbers are the writer's free choice (duplex answers, W8 level 2).
    free_sequences: bool,
    /// The last writer charges before it publishes, as ours do: `free` alone tells a full ring from an empty one.
    charged_first: bool,
    /// The last writer is a new one that may begin to count at 1.
    may_restart: bool,
}

/// The outcome of [`Consumer::next`].
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) span: Option<Span>,
    /// A skipped tail was given back on the way: the writer may have to be woken.
    pub(crate) credited: bool,
}

/// How often the repair is repeated when the words change under it; only a hostile peer does that.
const REPAIR_ATTEMPTS: u32 = 1000;

impl Consumer {
    pub(crate) fn new(free_sequences: bool) -> Self {
        Self {
            at: 0,
            available: 0,
            expected: 1,
            read_count: 0,
            handed_out: 0,
            free_sequences,
            charged_first: false,
            may_restart: false,
        }
    }

    /// Who writes from now on: one of this implementation charges before it publishes; a new one may count from 1.
    pub(crate) fn set_writer(&mut self, charged_first: bool, may_restart: bool) {
        self.charged_first = charged_first;
        self.may_restart = may_restart;
    }

    /// Whether frames are known to be there, without a look at shared memory.
    #[inline]
    pub(crate) fn has_available(&self) -> bool {
        self.available != 0
    }

    /// All bytes ever handed out or skipped.
    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// What [`Self::handed_out`] will be when all that is known has been taken.
    pub(crate) fn published(&self) -> u64 {
        self.handed_out + self.available
    }

    /// When everything known has been taken: whether the position has moved on. A hint, without an order.
    #[inline]
    pub(crate) fn sees_news(&self, region: &Region) -> bool {
        !matches!(self.distance(region, region.load(Word::WritePos, Ordering::Relaxed)), Ok(0))
    }

    /// Whether a frame is published that has not been taken: a skipped end of the ring is none. Exact while no writer is
    /// attached.
    pub(crate) fn has_unread(&self, region: &Region, credit: &Credit) -> bool {
        let tail = region.capacity() - self.at;
        match self.distance(region, region.load(Word::WritePos, Ordering::Acquire)) {
            Ok(0) => self.tie(region, &credit.lock()) > 0,
            // What a writer leaves that dies between a bare wrap and the frame behind it (W11).
            Ok(distance) => {
                distance != tail || region.header(self.at).is_some_and(|header| !header.is_wrap())
            }
            Err(_) => true,
        }
    }

    /// Edge E1, acquire end: everything before the position is complete.
    #[inline]
    fn published_position(region: &Region) -> u64 {
        region.load(Word::WritePos, order(End::E1Acquire, Ordering::Acquire))
    }

    /// [`Self::refresh`] where it finds further frames and nothing odd. `false` says nothing of what else there is.
    #[inline(always)]
    pub(crate) fn refresh_plainly(&mut self, region: &Region, credit: &Credit) -> bool {
        let (capacity, write_pos) = (region.capacity(), Self::published_position(region));
        let lap = if write_pos < self.at { capacity } else { 0 };
        let distance = write_pos.wrapping_add(lap).wrapping_sub(self.at);
        let plain = write_pos < capacity
            && distance != 0
            && distance + credit.held_at_most(self.handed_out) <= capacity;
        if plain {
            self.available = distance;
            region.note_published(self.handed_out + distance);
        }
        plain
    }

    /// Looks how much has been published. Called when everything known has been taken.
    pub(crate) fn refresh(&mut self, region: &Region, credit: &Credit) -> Result<(), Fault> {
        let write_pos = Self::published_position(region);
        let distance = self.distance(region, write_pos)?;
        self.available = if distance == 0 {
            self.look_at_tie(region, credit)?
        } else if distance + credit.held_at_most(self.handed_out) > region.capacity()
            && distance + credit.lock().held(self.handed_out) > region.capacity()
        {
            // Unread bytes and frames still held never overlap (W13). The first look may be outdated, the second is not.
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
    fn look_at_tie(&self, region: &Region, credit: &Credit) -> Result<u64, Fault> {
        if self.tie(region, &credit.lock()) == 0 {
            return Ok(0);
        }
        // `free` is younger than the position it was judged with: a frame published in between and the charge for the
        // next one may add up to a full ring. At an unchanged position they cannot (model `stale-tie`).
        Ok(match self.distance(region, region.load(Word::WritePos, Ordering::Acquire))? {
            0 => region.capacity(),
            moved => moved,
        })
    }

    /// Bytes from the read position to `write_pos`, modulo the ring.
    fn distance(&self, region: &Region, write_pos: u64) -> Result<u64, Fault> {
        let capacity = region.capacity();
        if write_pos > capacity {
            return Err(Fault::field("payload_write_pos", write_pos, format!("at most {capacity}")));
        }
        // P, which some old writers store after an exact fill, is the position 0.
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
            0 => capacity,
            free if free == capacity || self.charged_first => 0,
            // An old writer publishes its position before it charges: only the frames themselves tell. With a writer of
            // ours this must not be asked: an unpublished loan behind a marker could look like a full lap.
            free if recovery::is_full_ring(region, self.at, self.expected, self.may_restart, free) => {
                capacity
            }
            _ => 0,
        }
    }

    /// Takes the next frame if it lies at the position and carries the number that is due. `None` says nothing of what else
    /// there is.
    #[inline(always)]
    pub(crate) fn next_plain(&mut self, region: &Region) -> Option<Span> {
        let header = region.header(self.at).filter(|&header| self.is_plain(region, header))?;
        Some(self.take(region, header))
    }

    /// Whether that header at the position is one of a published frame with the number that is due.
    #[inline]
    fn is_plain(&self, region: &Region, header: FrameHeader) -> bool {
        let most = (region.capacity() - self.at).min(self.available);
        header.size.wrapping_sub(1) < most.saturating_sub(FRAME_HEADER_SIZE)
            && (header.sequence == self.expected || self.free_sequences)
    }

    /// Whether any sequence number is taken, as by a duplex channel's readers.
    pub(crate) fn takes_free_sequences(&self) -> bool {
        self.free_sequences
    }

    /// Takes the next frame. `accept` decides on a sequence number that is not the expected one.
    pub(crate) fn next(
        &mut self,
        region: &Region,
        credit: &Credit,
        accept: impl FnOnce(u64) -> bool,
    ) -> Result<Taken, Fault> {
        let mut taken = Taken::default();
        while self.available != 0 {
            let tail = region.capacity() - self.at;
            let Some(header) = region.header(self.at).filter(|header| !header.is_wrap()) else {
                self.wrap(tail)?;
                self.tell(region, 0);
                // The writer may be waiting for just this (W11).
                taken.credited |= credit.release(region, self.handed_out - tail, self.handed_out);
                continue;
            };
            if !self.is_plain(region, header) {
                let most = tail.min(self.available).saturating_sub(FRAME_HEADER_SIZE);
                if header.size > most {
                    let expected = format!("1 to {most} at offset {}", self.at);
                    return Err(Fault::field("frame payload size", header.size, expected));
                }
                if !accept(header.sequence) {
                    return Err(Fault::Sequence { expected: self.expected, got: header.sequence });
                }
            }
            taken.span = Some(self.take(region, header));
            return Ok(taken);
        }
        Ok(taken)
    }

    /// Skips the unused end of the ring: behind a marker, or too short for a header.
    fn wrap(&mut self, tail: u64) -> Result<(), Fault> {
        if tail > self.available || self.at == 0 {
            let expected = format!("a frame at offset {}, {} bytes are published", self.at, self.available);
            return Err(Fault::field("frame payload size", 0, expected));
        }
        self.at = 0;
        self.available -= tail;
        self.handed_out += tail;
        self.read_count = self.read_count.wrapping_add(u64::from(tail >= FRAME_HEADER_SIZE));
        Ok(())
    }

    /// Takes the frame at the position, whose header has been judged.
    #[inline(always)]
    fn take(&mut self, region: &Region, header: FrameHeader) -> Span {
        let FrameHeader { size, sequence } = header;
        let total = size + FRAME_HEADER_SIZE;
        region.prefetch_frame(self.at, total);
        let capacity = region.capacity();
        let (at, start) = (self.at, self.handed_out);
        let left = capacity - at - total;
        // A sliver belongs to the frame in front of it as soon as the writer has gone past it.
        let sliver = if left < FRAME_HEADER_SIZE && self.available - total >= left { left } else { 0 };
        self.available -= total + sliver;
        self.handed_out += total + sliver;
        let end = at + total + sliver;
        self.at = if end == capacity { 0 } else { end };
        self.read_count = self.read_count.wrapping_add(1);
        self.expected = sequence.wrapping_add(1);
        // After an exact fill P instead of 0: it rescues old Python writers (W2).
        let read_pos = if left == 0 { capacity } else { self.at };
        self.tell(region, read_pos);
        Span { at, size, sequence, start, end: self.handed_out }
    }

    /// Stores position and count: before the credit that covers them, so that a position that is behind never points at
    /// bytes that the writer may overwrite, and a buffer that was read never looks untouched to a successor (W9).
    #[inline]
    fn tell(&self, region: &Region, read_pos: u64) {
        region.store(Word::ReadPos, read_pos, Ordering::Release);
        region.store(Word::ReadCount, self.read_count, Ordering::Release);
    }

    /// Whether `free` and the position are as they must be while no writer is attached. A hint: nothing is locked.
    pub(crate) fn is_settled(&self, region: &Region, credit: &Credit) -> bool {
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

    /// Restores `free` exactly and clears a dead writer's registration (W10). The caller holds the writer's presence
    /// byte, so that no writer attaches meanwhile. `false`: a live writer is registered, nothing was done.
    pub(crate) fn repair(
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
            // An old writer registers before it does anything else.
            if region.load(Word::WriterPid, Ordering::SeqCst) != pid {
                continue;
            }
            if free != true_free && !region.exchange(Word::PayloadFree, free, true_free) {
                continue;
            }
            region.exchange(Word::WritePos, region.capacity(), 0);
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
    use crate::{layout::FrameHeader, memory::heap};

    #[test]
    fn a_buffer_that_was_read_does_not_look_untouched() {
        let size = 8192;
        let (region, credit) = (&heap::region(0, size), Credit::new());
        // The first frame fills the ring, and its writer dies before it counts it.
        assert!(region.put_header(0, FrameHeader { size: size - FRAME_HEADER_SIZE, sequence: 1 }));
        region.store(Word::PayloadFree, 0, Ordering::Relaxed);
        let mut consumer = Consumer::new(false);
        consumer.set_writer(true, false);
        consumer.refresh(region, &credit).unwrap();
        let span = consumer.next(region, &credit, |_| false).unwrap().span.unwrap();
        credit.release(region, span.start, span.end);
        let words = [Word::PayloadFree, Word::WritePos, Word::ReadCount];
        assert_eq!(words.map(|word| region.load(word, Ordering::Relaxed)), [size, 0, 1]);
    }

    #[test]
    fn a_position_that_has_moved_is_news_and_the_end_is_the_start() {
        let (region, consumer) = (&heap::region(0, 128), Consumer::new(false));
        let sees_news = |write_pos| {
            region.store(Word::WritePos, write_pos, Ordering::Relaxed);
            consumer.sees_news(region)
        };
        assert_eq!([0, 24, 128].map(sees_news), [false, true, false]);
    }
}
