//! Reading the chain of frames: which number comes next (W9), and whether the whole ring is unread
//! (W4).

use crate::{
    layout::{FrameHeader, NativeWord, Word},
    memory::Region,
    sync::Ordering,
};

/// A walk over headers whose sequence numbers follow each other.
struct Chain<'a> {
    region: &'a Region,
    at: u64,
    last: Option<u64>,
    /// Bytes walked, skipped ends of the ring included.
    walked: u64,
    /// Numbers need not follow each other: each client of a channel leaves one out, or starts at 1
    /// again (W8 level 2).
    free: bool,
    /// Numbers may begin again at 1, as those of each legacy writer do.
    restarts: bool,
}

/// Where a walk stands after one step.
#[derive(PartialEq, Eq)]
enum Link {
    Frame,
    /// The end of the ring: a marker, or no room for a header.
    End,
    Broken,
}

impl<'a> Chain<'a> {
    fn from(region: &'a Region, at: u64) -> Self {
        Self { region, at, last: None, walked: 0, free: false, restarts: false }
    }

    fn follow(&mut self) -> Link {
        let tail = self.region.capacity() - self.at;
        let Some(header) = self.region.header(self.at).filter(|header| !header.is_wrap()) else {
            self.at = 0;
            self.walked += tail;
            return Link::End;
        };
        let follows = header.unpublished_sequence().is_none()
            && (self.free
                || (self.restarts && header.sequence == 1)
                || self.last.is_none_or(|last| header.sequence == last.wrapping_add(1)));
        match header.total() {
            Some(total) if total <= tail && follows => {
                self.at += total;
                self.walked += total;
                self.last = Some(header.sequence);
                Link::Frame
            }
            _ => Link::Broken,
        }
    }

    /// Walks to exactly `to`; the number that follows, if the chain gets there with at least one
    /// frame.
    fn reach(mut self, to: u64) -> Option<u64> {
        while self.walked <= self.region.capacity() {
            if self.at % self.region.capacity() == to && self.walked > 0 {
                return self.last.map(|last| last.wrapping_add(1));
            }
            if self.follow() == Link::Broken {
                return None;
            }
        }
        None
    }

    /// Walks one lap from offset 0 to the end of the ring; the number that follows.
    fn lap(mut self) -> Option<u64> {
        loop {
            match self.follow() {
                Link::Frame if self.at == self.region.capacity() => break,
                Link::Frame => {}
                Link::End => break,
                Link::Broken => return None,
            }
        }
        self.last.map(|last| last.wrapping_add(1))
    }
}

/// The sequence number with which a writer that has found the ring in legacy form goes on;
/// `written_count` as read from the control block. `free`: the reader takes any number.
///
/// What native form has left in the ring is no chain of legacy form, whatever it looks like. A word
/// has its number, which counts alone while nothing was written since. A writer that enters native
/// form takes at least that number.
pub(in crate::ring) fn number(region: &Region, written_count: u64, free: bool) -> u64 {
    let native = |word| region.native_load(word, Ordering::Acquire);
    let (next, left) = (native(NativeWord::NEXT), native(NativeWord::LEFT));
    if next != 0 && left == written_count.wrapping_add(1) {
        return next;
    }
    let [to, from] = [Word::WritePos, Word::ReadPos].map(|word| region.load(word, Ordering::Acquire));
    let began = (left != 0).then(|| (native(NativeWord::LEFT_AT) % region.capacity(), next.max(1)));
    next_sequence(region, [to, from], began, written_count, free)
}

/// What the frames say: positions as read from the control block. `began`: where legacy form went
/// on after native form, whose frames may lie in front of it, and the number at that time.
fn next_sequence(
    region: &Region,
    [write_pos, read_pos]: [u64; 2],
    began: Option<(u64, u64)>,
    written_count: u64,
    free: bool,
) -> u64 {
    let capacity = region.capacity();
    let (to, from) = (write_pos % capacity, read_pos % capacity);
    // A writer may die between the position and the count of its first frame, which may have filled
    // the whole ring. Its reader tells that it has read before it gives the space back for the
    // first time: looked at in the other order.
    let word = |word| region.load(word, Ordering::Acquire);
    let untouched =
        written_count == 0 && to == 0 && word(Word::PayloadFree) == capacity && word(Word::ReadCount) == 0;
    if untouched || write_pos > capacity {
        return 1;
    }
    // After a native phase numbers go up by leaps. What lies in these walks is all of legacy form.
    let free = free || began.is_some();
    let chain = |start| Chain { free, restarts: true, ..Chain::from(region, start) };
    let walk = |start, end| (start != end).then(|| chain(start).reach(end)).flatten();
    // A wrap that was begun and not published: a native writer marks it in its header.
    let abandoned = || region.header(0).and_then(FrameHeader::unpublished_sequence);
    // At the position 0 this lap has no frame yet; the one before it ends where the reader is, or
    // at the end.
    let last_lap = || if from == 0 { chain(0).lap() } else { walk(0, from) };
    let lap = || if to == 0 { last_lap() } else { walk(0, to) };
    // A frame that begins the next lap and was not published has replaced the first header of this
    // one. It is a legacy writer's, or that of a native one that died between storing the final
    // header and charging for it.
    let dangling = || region.header(0).filter(|header| is_plausible(*header, capacity)).map(|h| h.sequence);
    let since = || began.and_then(|(began, _)| walk(began, to));
    let left = || began.map(|(_, next)| next);
    walk(from, to).or_else(abandoned).or_else(since).or_else(lap).or_else(left).or_else(dangling).unwrap_or(1)
}

/// How many frames of legacy form lie between the read position and the write position; 0 if the
/// chain does not get there.
pub(crate) fn unread_frames(region: &Region, read_pos: u64) -> u64 {
    let capacity = region.capacity();
    let (from, to) = (read_pos % capacity, region.load(Word::WritePos, Ordering::Acquire) % capacity);
    let mut chain = Chain { restarts: true, ..Chain::from(region, from) };
    let mut frames = 0;
    while chain.at % capacity != to && chain.walked <= capacity {
        match chain.follow() {
            Link::Frame => frames += 1,
            Link::End => {}
            Link::Broken => return 0,
        }
    }
    if chain.walked <= capacity { frames } else { 0 }
}

fn is_plausible(header: FrameHeader, capacity: u64) -> bool {
    !header.is_wrap() && header.total().is_some_and(|total| total <= capacity)
}

/// Whether frames fill the ring exactly, from `at` round to `at`. They are numbered from `expected`
/// on. If `may_restart`, each may be the first of a legacy writer, with 1. The last of them has
/// `owed` bytes, if so many are known to be owed: those a legacy writer has published and not
/// charged yet.
///
/// A chain that ends otherwise is a writer at a wrap, which charges the tail before it moves.
/// Behind the marker lie frames of this lap that were read long ago.
pub(in crate::ring) fn is_full_ring(
    region: &Region,
    at: u64,
    expected: u64,
    may_restart: bool,
    owed: Option<u64>,
) -> bool {
    let mut chain = Chain { restarts: may_restart, ..Chain::from(region, at) };
    let mut last_total = 0;
    while chain.walked < region.capacity() {
        let (first, before) = (chain.last.is_none(), chain.walked);
        let link = chain.follow();
        let starts = |sequence| sequence == expected || (may_restart && sequence == 1);
        if link == Link::Broken || (first && !chain.last.is_none_or(starts)) {
            return false;
        }
        last_total = if link == Link::Frame { chain.walked - before } else { 0 };
    }
    chain.walked == region.capacity()
        && chain.at % region.capacity() == at
        && owed.is_none_or(|owed| owed == last_total)
        && last_total != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::FRAME_HEADER_SIZE, memory::heap};

    fn put(region: &Region, at: u64, size: u64, sequence: u64) -> u64 {
        assert!(region.put_header(at, FrameHeader { size, sequence }));
        at + size + FRAME_HEADER_SIZE
    }

    /// Headers of 48 bytes in a ring in which legacy form has written up to 192, as native form
    /// leaves them.
    #[test]
    fn leftovers_of_native_form_tell_no_number() {
        let region = &heap::region(0, 512);
        // Two frames, and a loan that was given up.
        put(region, put(region, put(region, 0, 48, 7), 48, 8), 48, 9);
        for word in [Word::WritePos, Word::ReadPos] {
            region.store(word, 192, Ordering::Relaxed);
        }
        region.native_store(NativeWord::NEXT, 9, Ordering::Relaxed);
        assert_eq!(next_sequence(region, [192, 192], None, 3, false), 10, "they look like a chain");
        region.native_store(NativeWord::LEFT, 4, Ordering::Relaxed);
        assert_eq!(number(region, 3, false), 9);
        // A frame of another implementation since, which begins again at 1.
        let end = put(region, 192, 48, 1);
        region.store(Word::WritePos, end, Ordering::Relaxed);
        assert_eq!(number(region, 4, false), 2);
        // One that goes on with the numbers, and all is read. The walk begins where native form
        // ended.
        let end = put(region, put(region, end, 33, 9), 20, 10);
        for word in [Word::WritePos, Word::ReadPos] {
            region.store(word, end, Ordering::Relaxed);
        }
        assert!(region.put_header(64, FrameHeader { size: 500, sequence: 1 }));
        assert_eq!(number(region, 6, false), 9);
        region.native_store(NativeWord::LEFT_AT, 192, Ordering::Relaxed);
        assert_eq!(number(region, 6, false), 11);
    }

    #[test]
    fn a_fresh_ring_starts_at_one() {
        assert_eq!(next_sequence(&heap::region(0, 128), [0, 0], None, 0, false), 1);
    }

    #[test]
    fn unread_frames_are_walked_round_the_end() {
        let region = &heap::region(0, 128);
        put(region, 64, 20, 7);
        assert!(region.put_header(100, FrameHeader::WRAP));
        let end = put(region, 0, 10, 8);
        assert_eq!(next_sequence(region, [end, 64], None, 9, false), 9);
    }

    #[test]
    fn a_drained_ring_is_walked_from_its_start() {
        let region = &heap::region(0, 128);
        let end = put(region, put(region, 0, 10, 4), 10, 5);
        assert_eq!(next_sequence(region, [end, end], None, 5, false), 6);
    }

    #[test]
    fn numbers_with_gaps_are_walked_if_the_reader_takes_any() {
        let region = &heap::region(0, 192);
        let end = put(region, put(region, put(region, 0, 10, 4), 10, 6), 10, 7);
        assert_eq!(next_sequence(region, [end, end], None, 3, true), 8);
        let end = put(region, end, 10, 1);
        assert_eq!(next_sequence(region, [end, 26], None, 4, true), 2);
    }

    #[test]
    fn legacy_writers_that_begin_again_do_not_end_the_walk() {
        let region = &heap::region(0, 192);
        let end = put(region, put(region, put(region, 0, 10, 1), 10, 2), 10, 1);
        for from in [0, end] {
            assert_eq!(next_sequence(region, [end, from], None, 3, false), 2);
        }
        let end = put(region, end, 10, 5);
        assert_eq!(next_sequence(region, [end, 26], None, 4, false), 1, "no other number does");
    }

    #[test]
    fn after_an_exact_lap_the_lap_is_walked() {
        let region = &heap::region(0, 128);
        assert_eq!(put(region, put(region, 0, 48, 4), 48, 5), 128);
        for write_pos in [0, 128] {
            assert_eq!(next_sequence(region, [write_pos, write_pos], None, 5, false), 6);
        }
    }

    #[test]
    fn a_dangling_wrap_gives_the_number_of_the_lost_frame() {
        let region = &heap::region(0, 128);
        let end = put(region, put(region, 0, 48, 4), 32, 5);
        assert!(region.put_header(end, FrameHeader::WRAP));
        assert_eq!(next_sequence(region, [0, end], None, 6, false), 6);
        put(region, 0, 20, 6); // a loan of a legacy writer that was never committed
        assert_eq!(next_sequence(region, [0, end], None, 6, false), 6);
    }

    #[test]
    fn a_wrap_that_was_all_but_published_gives_its_own_number() {
        let region = &heap::region(0, 256);
        let end = put(region, put(region, 0, 48, 4), 96, 5);
        assert!(region.put_header(end, FrameHeader::WRAP));
        put(region, 0, 70, 6); // the writer died before it charged for it
        assert_eq!(next_sequence(region, [end, end], None, 5, false), 6);
    }

    #[test]
    fn a_first_frame_that_fills_the_ring_and_was_not_counted() {
        let region = &heap::region(0, 128);
        put(region, 0, 104, 1); // and a sliver of 8 bytes
        assert_eq!(next_sequence(region, [0, 0], None, 0, false), 1, "not charged: not published");
        region.subtract(Word::PayloadFree, 128);
        assert_eq!(next_sequence(region, [0, 0], None, 0, false), 2, "not read yet");
        region.add(Word::PayloadFree, 128);
        region.add(Word::ReadCount, 1);
        assert_eq!(next_sequence(region, [0, 0], None, 0, false), 2, "read");
    }

    #[test]
    fn an_abandoned_wrap_is_no_part_of_the_lap() {
        let region = &heap::region(0, 128);
        let end = put(region, 0, 80, 5);
        let loan = FrameHeader { size: 80, sequence: 6 }.unpublished();
        assert!(region.put_header(0, loan));
        assert_eq!(next_sequence(region, [end, end], None, 5, false), 6);
    }

    #[test]
    fn a_full_ring_is_distinguished_from_an_empty_one() {
        let region = &heap::region(0, 128);
        put(region, put(region, 0, 48, 4), 48, 5);
        assert!(is_full_ring(region, 0, 4, false, Some(64)));
        assert!(is_full_ring(region, 0, 4, false, None));
        assert!(!is_full_ring(region, 0, 3, false, Some(64)));
        assert!(!is_full_ring(region, 0, 4, false, Some(63)), "not what the writer owes");
        let end = put(region, 64, 20, 5);
        put(region, end, 5, 99);
        assert!(!is_full_ring(region, 0, 4, false, Some(21)));
    }

    #[test]
    fn a_writer_at_a_wrap_has_not_filled_the_ring() {
        let region = &heap::region(0, 128);
        let end = put(region, put(region, 0, 20, 1), 20, 2);
        assert!(region.put_header(end, FrameHeader::WRAP));
        // Frames 1 and 2 are read, the tail is charged, the position is not moved yet.
        for may_restart in [false, true] {
            assert!(
                !is_full_ring(region, end, 3, may_restart, Some(end)),
                "frames that were read are read again"
            );
        }
    }

    #[test]
    fn a_successor_that_starts_at_one_fills_the_ring() {
        let region = &heap::region(0, 128);
        put(region, put(region, 0, 48, 1), 48, 2);
        assert!(is_full_ring(region, 0, 7, true, Some(64)));
        assert!(!is_full_ring(region, 0, 7, false, Some(64)));
        put(region, put(region, 0, 48, 7), 48, 1);
        assert!(is_full_ring(region, 0, 7, true, None), "behind a frame of its predecessor");
        assert!(!is_full_ring(region, 0, 7, false, None));
    }

    #[test]
    fn a_first_frame_that_was_not_counted_is_walked() {
        let region = &heap::region(0, 128);
        let end = put(region, 0, 20, 1);
        assert_eq!(next_sequence(region, [end, 0], None, 0, false), 2);
        assert_eq!(next_sequence(region, [end, end], None, 0, false), 2);
    }
}
