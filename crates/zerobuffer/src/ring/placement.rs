//! Where a frame goes (W2, W11): pure arithmetic on private copies.

use crate::{layout::FRAME_HEADER_SIZE, memory::Place};

/// Tails below this have no room for a wrap marker.
pub(super) const MARKER: u64 = FRAME_HEADER_SIZE;

/// What the placement depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Ring size P.
    pub(crate) capacity: u64,
    /// Write position, below P.
    pub(crate) at: u64,
    /// The reader is of this implementation: slivers and bare wraps are allowed.
    pub(crate) ours: bool,
    /// Offset 0 already holds the header of an abandoned loan: the next frame must go there (W9).
    pub(crate) committed_to_start: bool,
}

/// The answer of [`place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// There, as soon as `need()` bytes are free.
    At(Place),
    /// Only at the start, after the skipped end has been given back by the reader: a bare wrap (W11).
    AfterBareWrap { tail: u64 },
    /// Never, from this position with this reader; a ring of that size would do.
    Unplaceable { needed_capacity: u64 },
    /// Larger than the ring.
    TooLarge,
}

/// The place at the write position, if nothing has to be skipped and room for a header is left behind it: that of nearly all
/// frames, found with less work than by [`place`].
#[inline]
pub(crate) fn next_place(room: Room, size: u64) -> Option<Place> {
    let total = size.checked_add(FRAME_HEADER_SIZE)?;
    let left = (room.capacity - room.at).checked_sub(total)?;
    let plain = left >= MARKER && !room.committed_to_start;
    plain.then_some(Place { at: room.at, skip: 0, sliver: 0, total })
}

/// Places a payload of `size` bytes.
pub(crate) fn place(room: Room, size: u64) -> Placement {
    let Room { capacity, at, ours, committed_to_start } = room;
    let Some(total) = size.checked_add(FRAME_HEADER_SIZE).filter(|&total| total <= capacity) else {
        return Placement::TooLarge;
    };
    let tail = capacity - at;
    // What would be left behind the frame; `None` if the frame does not fit or would spoil the tail for the reader.
    let left = |space: u64| {
        let left = space.checked_sub(total)?;
        (left == 0 || left >= MARKER || ours).then_some(left)
    };
    let sliver = |left: u64| if left < MARKER { left } else { 0 };
    let here = left(tail).map(|rest| Place { at, skip: 0, sliver: sliver(rest), total });
    if let Some(place) = here
        && !committed_to_start
    {
        return Placement::At(place);
    }
    let skip = if at == 0 { 0 } else { tail };
    let start = left(capacity).map(|rest| Place { at: 0, skip, sliver: sliver(rest), total });
    match start.filter(|place| place.need() <= capacity) {
        Some(place) => Placement::At(place),
        None if ours => Placement::AfterBareWrap { tail },
        // Better a frame at the write position than none; the next one is bound to the start again.
        None => {
            here.map_or(Placement::Unplaceable { needed_capacity: needed_capacity(total) }, Placement::At)
        }
    }
}

/// The ring in which a frame of `total` bytes fits from any position without help of the reader.
fn needed_capacity(total: u64) -> u64 {
    // A tail of up to total + 15 bytes may have to be skipped.
    (2 * total + MARKER - 1).next_multiple_of(crate::layout::BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(capacity: u64, at: u64, ours: bool) -> Room {
        Room { capacity, at, ours, committed_to_start: false }
    }

    #[test]
    fn the_short_way_finds_the_same_place() {
        let mut found = 0;
        for at in 0..128 {
            for size in 1..140 {
                for (ours, committed_to_start) in [(false, false), (false, true), (true, false), (true, true)]
                {
                    let room = Room { committed_to_start, ..room(128, at, ours) };
                    if let Some(next) = next_place(room, size) {
                        assert_eq!(place(room, size), Placement::At(next), "{room:?} {size}");
                        found += 1;
                    }
                }
            }
        }
        assert!(found > 5000, "{found}");
    }

    #[test]
    fn an_exact_fill_leaves_nothing() {
        let place = |at, size, ours| place(room(128, at, ours), size);
        assert_eq!(place(0, 112, false), Placement::At(Place { at: 0, skip: 0, sliver: 0, total: 128 }));
        assert_eq!(place(64, 48, true), Placement::At(Place { at: 64, skip: 0, sliver: 0, total: 64 }));
    }

    #[test]
    fn a_sliver_is_charged_with_our_reader_and_avoided_with_an_old_one() {
        let ours = place(room(256, 128, true), 102);
        assert_eq!(ours, Placement::At(Place { at: 128, skip: 0, sliver: 10, total: 118 }));
        let old = place(room(256, 128, false), 102);
        assert_eq!(old, Placement::At(Place { at: 0, skip: 128, sliver: 0, total: 118 }));
        assert_eq!(place(room(256, 128, false), 104 + 16), Placement::Unplaceable { needed_capacity: 320 });
    }

    #[test]
    fn the_largest_frame_needs_a_bare_wrap_or_is_refused() {
        assert_eq!(place(room(128, 32, true), 112), Placement::AfterBareWrap { tail: 96 });
        assert_eq!(place(room(128, 32, false), 112), Placement::Unplaceable { needed_capacity: 320 });
        assert_eq!(place(room(128, 0, true), 113), Placement::TooLarge);
        assert_eq!(place(room(128, 0, true), u64::MAX), Placement::TooLarge);
    }

    #[test]
    fn the_advised_capacity_fits_from_every_position() {
        for size in [1, 7, 100, 1000] {
            let capacity = needed_capacity(size + 16);
            for at in 0..capacity {
                assert!(matches!(place(room(capacity, at, false), size), Placement::At(_)), "{size} at {at}");
            }
        }
    }

    #[test]
    fn every_place_lies_inside_and_leaves_a_valid_tail() {
        for capacity in [64, 128, 192] {
            for at in 0..capacity {
                for size in 1..=capacity - 16 {
                    for ours in [false, true] {
                        if let Placement::At(place) = place(room(capacity, at, ours), size) {
                            let left = capacity - place.at - place.total;
                            assert!(place.need() <= capacity);
                            assert!(place.skip == 0 || (place.at == 0 && place.skip == capacity - at));
                            assert_eq!(place.sliver, if left < 16 { left } else { 0 });
                            assert!(ours || place.sliver == 0, "an old reader chokes on {left} bytes");
                        } else {
                            let sliver = if capacity - size - 16 < 16 { capacity - size - 16 } else { 0 };
                            assert!(!ours || size + 16 + sliver > at, "{size} at {at} of {capacity}");
                        }
                    }
                }
            }
        }
    }
}
