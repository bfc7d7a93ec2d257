//! Little-endian numbers in front of a frame's bytes.

/// The head of a binary message of the socket: eight numbers of 64 bits. Numbers behind it are
/// aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// 1 pixels, 2 JPEG, 3 the beginning of a frame that is no picture.
    pub(crate) kind: u64,
    /// Which description it belongs to.
    pub(crate) description: u64,
    /// The frame's number in its stream.
    pub(crate) sequence: u64,
    /// Frames since the last one that this client did not get.
    pub(crate) missed: u64,
    /// Bytes of the whole frame in the ring.
    pub(crate) size: u64,
    /// The stamp's number; `u64::MAX`: none.
    pub(crate) number: u64,
    /// The stamp's time in nanoseconds; `u64::MAX`: none.
    pub(crate) time: u64,
    /// Nanoseconds from that time until now; `u64::MAX`: not known.
    pub(crate) latency: u64,
}

impl Head {
    pub(crate) const SIZE: usize = 64;
    pub(crate) const NONE: u64 = u64::MAX;

    pub(crate) fn to_bytes(self) -> [u8; Head::SIZE] {
        let mut bytes = [0; Head::SIZE];
        let numbers = [
            self.kind,
            self.description,
            self.sequence,
            self.missed,
            self.size,
            self.number,
            self.time,
            self.latency,
        ];
        for (slot, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}
