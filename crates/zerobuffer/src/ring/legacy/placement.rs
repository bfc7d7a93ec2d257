//! Where a frame goes in legacy form (W2, W11): pure arithmetic on private copies.

use crate::layout::FRAME_HEADER_SIZE;

/// Tails below this have no room for a wrap marker.
pub(super) const MARKER: u64 = FRAME_HEADER_SIZE;

/// What the placement depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Ring size P.
    pub(super) capacity: u64,
    /// Write position, below P.
    pub(super) at: u64,
    /// Offset 0 already holds the header of an abandoned loan: the next frame must go there (W9).
    pub(super) committed_to_start: bool,
}

/// A place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset of the header.
    pub(super) at: u64,
    /// Bytes skipped before it, from the write position to the end of the ring.
    pub(super) skip: u64,
    /// Header and payload.
    pub(super) total: u64,
}

impl Place {
    /// All bytes that the frame takes from the ring.
    pub(super) fn need(self) -> u64 {
        self.skip + self.total
    }
}

/// The place for `total` bytes; `Err`: never, from this position; a ring of that size would do.
pub(super) fn place(room: Room, total: u64) -> Result<Place, u64> {
    let Room { capacity, at, committed_to_start } = room;
    let tail = capacity - at;
    // A tail of 1 to 15 bytes is what other readers choke on.
    let fits = |space: u64| space.checked_sub(total).is_some_and(|left| left == 0 || left >= MARKER);
    let here = fits(tail).then_some(Place { at, skip: 0, total });
    let start = || {
        let place = Place { at: 0, skip: if at == 0 { 0 } else { tail }, total };
        (fits(capacity) && place.need() <= capacity).then_some(place)
    };
    let first = if committed_to_start { None } else { here };
    // Better a frame at the write position than none; the next one is bound to the start again.
    first.or_else(start).or(here).ok_or_else(|| needed_capacity(total))
}

/// The ring in which a frame of `total` bytes fits from any position without help of the reader.
fn needed_capacity(total: u64) -> u64 {
    // A tail of up to total + 15 bytes may have to be skipped.
    (2 * total + MARKER - 1).next_multiple_of(crate::layout::BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(capacity: u64, at: u64, total: u64) -> Result<Place, u64> {
        place(Room { capacity, at, committed_to_start: false }, total)
    }

    #[test]
    fn an_exact_fill_leaves_nothing_and_a_tail_is_not_spoilt() {
        assert_eq!(at(128, 0, 128), Ok(Place { at: 0, skip: 0, total: 128 }));
        assert_eq!(at(128, 64, 64), Ok(Place { at: 64, skip: 0, total: 64 }));
        assert_eq!(at(256, 128, 118), Ok(Place { at: 0, skip: 128, total: 118 }));
        assert_eq!(at(256, 128, 136), Err(320));
        assert_eq!(at(128, 32, 128), Err(320));
    }

    #[test]
    fn an_abandoned_header_binds_the_next_frame_where_it_can() {
        let bound = |at, total| place(Room { capacity: 128, at, committed_to_start: true }, total);
        assert_eq!(bound(64, 32), Ok(Place { at: 0, skip: 64, total: 32 }));
        assert_eq!(bound(32, 96), Ok(Place { at: 32, skip: 0, total: 96 }));
    }

    #[test]
    fn the_advised_capacity_fits_from_every_position() {
        for total in [17, 23, 116, 1016] {
            let capacity = needed_capacity(total);
            assert!((0..capacity).all(|position| at(capacity, position, total).is_ok()), "{total}");
        }
    }

    #[test]
    fn every_place_lies_inside_and_leaves_a_valid_tail() {
        for capacity in [64, 128, 192] {
            for position in 0..capacity {
                for total in 17..=capacity {
                    let Ok(place) = at(capacity, position, total) else { continue };
                    let left = capacity - place.at - place.total;
                    assert!(place.need() <= capacity && (left == 0 || left >= 16));
                    assert!(place.skip == 0 || (place.at == 0 && place.skip == capacity - position));
                }
            }
        }
    }
}
