//! What lies in a ring, found by walking over its frame headers from outside.

use crate::layout::{FRAME_HEADER_SIZE, FrameHeader};

/// What a walk from one position to another has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Frames.
    pub(super) frames: u64,
    /// Their bytes, headers included.
    pub(super) bytes: u64,
    /// Bytes at the end of the ring that were skipped.
    pub(super) skipped: u64,
    /// The number of the last frame; 0 if there is none.
    pub(super) last: u64,
    /// It came to exactly its end. The stream may have gone on meanwhile: then it may not.
    pub(super) complete: bool,
}

/// Walks over the frames between two positions. From a position to itself leads one lap if the ring
/// `is_full`, and nowhere if not. `header` copies the header at an offset of the ring; a walk costs
/// one for each frame.
pub(super) fn walk(
    from: u64,
    to: u64,
    capacity: u64,
    is_full: bool,
    mut header: impl FnMut(u64) -> Option<FrameHeader>,
) -> Walk {
    let mut walk = Walk::default();
    if capacity == 0 {
        return walk;
    }
    let (mut at, to) = (from % capacity, to % capacity);
    if at == to && !is_full {
        walk.complete = true;
        return walk;
    }
    while walk.bytes + walk.skipped < capacity {
        let tail = capacity - at;
        let found = if tail < FRAME_HEADER_SIZE { None } else { header(at) };
        match found.filter(|found| !found.is_wrap()) {
            None if at == 0 => return walk,
            None => {
                walk.skipped += tail;
                at = 0;
            }
            Some(found) => match found.total().filter(|total| *total <= tail) {
                Some(total) if found.unpublished_sequence().is_none() => {
                    walk.frames += 1;
                    walk.bytes += total;
                    walk.last = found.sequence;
                    at = (at + total) % capacity;
                }
                _ => return walk,
            },
        }
        if at == to {
            walk.complete = true;
            return walk;
        }
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const P: u64 = 1024;

    fn ring(frames: &[(u64, u64, u64)]) -> impl FnMut(u64) -> Option<FrameHeader> {
        let headers: BTreeMap<u64, FrameHeader> =
            frames.iter().map(|&(at, size, sequence)| (at, FrameHeader { size, sequence })).collect();
        move |at| headers.get(&at).copied()
    }

    #[test]
    fn frames_across_the_end_are_counted_and_the_skipped_tail_is_not() {
        let found = walk(800, 116, P, false, ring(&[(800, 84, 7), (900, 0, 0), (0, 100, 8)]));
        assert_eq!(found, Walk { frames: 2, bytes: 216, skipped: 124, last: 8, complete: true });
    }

    #[test]
    fn nothing_and_everything_lie_between_a_position_and_itself() {
        let mut headers = ring(&[(512, 496, 1), (0, 496, 2)]);
        assert_eq!(walk(512, 512, P, false, &mut headers), Walk { complete: true, ..Walk::default() });
        let full = Walk { frames: 2, bytes: P, skipped: 0, last: 2, complete: true };
        assert_eq!(walk(512, 512, P, true, &mut headers), full);
    }

    #[test]
    fn impossible_headers_end_the_walk() {
        for headers in [
            &[(0, u64::MAX, 1)][..],
            &[(0, 2000, 1)],
            &[(0, 0, 0)],
            &[],
            &[(0, 100, 1 << 63)],
            &[(0, 84, 1), (100, 5000, 2)],
        ] {
            let found = walk(0, 600, P, false, ring(headers));
            assert!(!found.complete && found.frames <= 1, "{headers:?}: {found:?}");
        }
        // A chain that misses its end goes round once at most.
        let found = walk(0, 513, P, false, |_| Some(FrameHeader { size: 48, sequence: 3 }));
        assert_eq!((found.complete, found.bytes), (false, P));
        assert!(!walk(0, 1, 0, true, |_| None).complete);
    }
}
