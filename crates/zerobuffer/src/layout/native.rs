//! The native block: 1024 bytes behind the ring, in which ends of this implementation keep account
//! of it.

use super::FRAME_HEADER_SIZE;

/// Bytes of the block.
pub(crate) const NATIVE_SIZE: u64 = 1024;
/// Entries of the table of jumps, and of that of claims.
pub(crate) const ENTRIES: u64 = 16;
/// In native form a frame's total is a multiple of this plus one, so every payload is 16-byte
/// aligned.
pub(crate) const ROUNDING: u64 = 15;

/// One of the block's 64-bit words: its offset in the block. Counters of bytes never wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NativeWord(u64);

impl NativeWord {
    /// Of the writer: bytes of all frames published in native form.
    pub(crate) const PUBLISHED: Self = Self(0);
    /// Of the writer: number of the newest jump.
    pub(crate) const JUMPS: Self = Self(8);
    /// Of the writer: [`Self::PUBLISHED`] before the newest frame.
    pub(crate) const LAST: Self = Self(16);
    /// Of the writer, and of the reader's repair: frames published.
    pub(crate) const FRAMES: Self = Self(24);
    /// Of a closing writer, and of the reader's repair: the next frame's number; 0: none yet.
    pub(crate) const NEXT: Self = Self(32);
    /// Of the writer: generation of the metadata, odd while they are written.
    pub(crate) const METADATA_GENERATION: Self = Self(40);
    /// Of the writer: the byte of the stream from which the metadata hold; 0: at once.
    pub(crate) const METADATA_FROM: Self = Self(48);
    /// Of the reader: bytes given back, the released prefix.
    pub(crate) const CREDITED: Self = Self(64);
    /// Of the reader, for observers: bytes taken.
    pub(crate) const TAKEN: Self = Self(72);
    /// Of the reader, for observers: frames taken.
    pub(crate) const FRAMES_TAKEN: Self = Self(80);
    /// Of the reader: `payload_written_count` when native form was last left, plus 1; 0: it never
    /// was.
    pub(crate) const LEFT: Self = Self(88);
    /// Of the reader: the write position of legacy form at that time.
    pub(crate) const LEFT_AT: Self = Self(96);
    /// Odd in native form. A writer enters it, the reader leaves it, by adding 1.
    pub(crate) const FORM: Self = Self(128);
    /// Of the writer: number of the newest claim.
    pub(crate) const CLAIMS: Self = Self(136);
    /// Of an entering writer: what [`Self::FORM`] will be, stored before `free` is taken away. It
    /// is 0 again if the writer gives that back, and after the reader's repair.
    pub(crate) const ENTERING: Self = Self(144);
    /// Of an entering writer: `payload_written_count` at that time.
    pub(crate) const ENTERING_AT: Self = Self(152);

    /// The entry of jump `number`: frames from that byte of the stream on lie from that ring offset
    /// on.
    pub(crate) const fn jump(number: u64) -> [Self; 2] {
        let start = 192 + 16 * (number % ENTRIES);
        [Self(start), Self(start + 8)]
    }

    /// The entry of claim `number`: byte of the stream, start and end in the ring.
    pub(crate) const fn claim(number: u64) -> [Self; 3] {
        let start = 448 + 24 * (number % ENTRIES);
        [Self(start), Self(start + 8), Self(start + 16)]
    }

    /// Where it lies in the block.
    pub(crate) const fn offset(self) -> usize {
        self.0 as usize
    }
}

/// What a frame of `size` payload bytes takes from a ring: header and payload, rounded up. More
/// than any ring for sizes beyond all. `rounding`: 0 in legacy form, [`ROUNDING`] in native form.
#[inline]
pub(crate) const fn rounded(size: u64, rounding: u64) -> u64 {
    size.saturating_add(FRAME_HEADER_SIZE + rounding) & !rounding
}

/// A private copy of the block, for an observer. The words were read one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NativeSnapshot {
    bytes: [u8; NATIVE_SIZE as usize],
}

impl NativeSnapshot {
    pub(crate) fn from_bytes(bytes: &[u8; NATIVE_SIZE as usize]) -> Self {
        Self { bytes: *bytes }
    }

    pub(crate) fn word(&self, word: NativeWord) -> u64 {
        let bytes = self.bytes.get(word.offset()..word.offset() + 8).unwrap_or_default();
        bytes.iter().rev().fold(0, |value, &byte| (value << 8) | u64::from(byte))
    }

    /// Whether the ring is in native form.
    pub(crate) fn is_native(&self) -> bool {
        self.word(NativeWord::FORM) % 2 == 1
    }

    /// Bytes that are unread or held.
    pub(crate) fn used(&self) -> u64 {
        self.word(NativeWord::PUBLISHED).saturating_sub(self.word(NativeWord::CREDITED))
    }

    /// Frames that wait to be read.
    pub(crate) fn frames_waiting(&self) -> u64 {
        self.word(NativeWord::FRAMES).saturating_sub(self.word(NativeWord::FRAMES_TAKEN))
    }

    /// Where byte `of` of the stream lies in the ring, by the newest jump that holds for it;
    /// `None`: the table is too young.
    pub(crate) fn place(&self, of: u64) -> Option<u64> {
        let newest = self.word(NativeWord::JUMPS);
        (newest.saturating_sub(ENTRIES - 2)..=newest).rev().find_map(|number| {
            let [at, to] = NativeWord::jump(number).map(|word| self.word(word));
            (at <= of).then(|| to.saturating_add(of - at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(size: u64) -> u64 {
        rounded(size, ROUNDING)
    }

    #[test]
    fn totals_are_rounded_up_and_the_largest_frame_still_fits() {
        assert_eq!([1, 15, 16, 17, 48].map(total), [32, 32, 32, 48, 64]);
        assert_eq!(total(4096 - 16), 4096);
        assert!(total(u64::MAX) > 1 << 62);
        assert_eq!(rounded(17, 0), 33);
    }

    #[test]
    fn the_tables_lie_inside_and_apart() {
        let offsets = |number| {
            let jump = NativeWord::jump(number).map(NativeWord::offset);
            (jump, NativeWord::claim(number).map(NativeWord::offset))
        };
        assert_eq!(offsets(0), ([192, 200], [448, 456, 464]));
        assert_eq!(offsets(15), ([432, 440], [808, 816, 824]));
        assert_eq!(offsets(16), offsets(0));
    }

    #[test]
    fn a_copy_tells_what_is_used_and_where_the_next_frame_goes() {
        let mut bytes = [0; NATIVE_SIZE as usize];
        for (at, value) in
            [(0, 700_u64), (8, 1), (24, 5), (64, 300), (80, 3), (128, 1), (208, 600), (216, 64)]
        {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let copy = NativeSnapshot::from_bytes(&bytes);
        assert!(copy.is_native());
        assert_eq!((copy.used(), copy.frames_waiting()), (400, 2));
        assert_eq!([599, 600, 700].map(|of| copy.place(of)), [Some(599), Some(64), Some(164)]);
    }
}
