//! The 16 bytes in front of every frame: payload size and sequence number, both little-endian u64
//! (W1).

/// Bytes of a frame header. A payload size of 0 makes it a wrap marker.
pub const FRAME_HEADER_SIZE: u64 = 16;

/// A frame header, copied out of shared memory once and judged only as that copy (W13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Payload bytes; 0 = wrap marker.
    pub(crate) size: u64,
    pub(crate) sequence: u64,
}

/// Set in the sequence number of a header at offset 0 while its frame is a loan behind a wrap (W9).
/// Nobody reads it before the frame is published, except a successor writer that asks which number
/// comes next.
const UNPUBLISHED: u64 = 1 << 63;

/// Set in the sequence number of a response that tells of a failure. Only a reader that takes free
/// numbers meets it.
pub(crate) const FAILURE: u64 = 1 << 62;

impl FrameHeader {
    /// "The rest of the ring up to its end is unused": the next frame starts at offset 0.
    pub(crate) const WRAP: Self = Self { size: 0, sequence: 0 };

    pub(crate) fn is_wrap(self) -> bool {
        self.size == 0
    }

    /// The same header, distinguished from one of an earlier lap.
    pub(crate) fn unpublished(self) -> Self {
        Self { sequence: self.sequence | UNPUBLISHED, ..self }
    }

    /// The sequence number of a frame that was never published, if this is its header.
    pub(crate) fn unpublished_sequence(self) -> Option<u64> {
        (!self.is_wrap() && self.sequence & UNPUBLISHED != 0).then_some(self.sequence & !UNPUBLISHED)
    }

    /// Bytes in the ring: header and payload. `None` if the size cannot be one.
    pub(crate) fn total(self) -> Option<u64> {
        self.size.checked_add(FRAME_HEADER_SIZE)
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { size: both as u64, sequence: (both >> 64) as u64 }
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.size) | (u128::from(self.sequence) << 64)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_little_endian_words() {
        let header = FrameHeader { size: 0x0102, sequence: 0x0304 };
        let bytes = header.to_bytes();
        assert_eq!(bytes, [2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_size_near_the_end_of_u64_has_no_total() {
        assert_eq!(FrameHeader { size: u64::MAX - 15, sequence: 1 }.total(), None);
        assert_eq!(FrameHeader { size: 1, sequence: 1 }.total(), Some(17));
    }
}
