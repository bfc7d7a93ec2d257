//! The stamp: number, time and exposure of a frame, in front of its pixels.

/// The 24 bytes in front of a frame's pixels: three little-endian u64, for each of which `u64::MAX`
/// means none.
///
/// It is the frame header of the existing video clients (`<QQQ` in Python's struct notation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The frame's number, counted by its source.
    pub number: Option<u64>,
    /// The frame's time in nanoseconds; the metadata key `clock` says of which clock.
    pub time_ns: Option<u64>,
    /// How long the sensor was exposed, in microseconds.
    pub exposure_us: Option<u64>,
}

/// What stands for a value that is not there.
const NONE: u64 = u64::MAX;

impl Stamp {
    /// Bytes of a stamp.
    pub const SIZE: usize = 24;

    /// The stamp as it stands in front of the pixels. A value of `u64::MAX` cannot be distinguished
    /// from none.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Stamp::SIZE] {
        let mut bytes = [0; Stamp::SIZE];
        let values = [self.number, self.time_ns, self.exposure_us];
        for (slot, value) in bytes.chunks_exact_mut(8).zip(values) {
            slot.copy_from_slice(&value.unwrap_or(NONE).to_le_bytes());
        }
        bytes
    }

    /// Splits a frame into its stamp and its pixels; `None` if it has fewer than 24 bytes.
    #[must_use]
    pub fn split(frame: &[u8]) -> Option<(Stamp, &[u8])> {
        let (head, pixels) = frame.split_first_chunk::<{ Stamp::SIZE }>()?;
        let mut values = head.chunks_exact(8).map(|bytes| {
            let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            (value != NONE).then_some(value)
        });
        let mut next = || values.next().flatten();
        Some((Stamp { number: next(), time_ns: next(), exposure_us: next() }, pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_existing_clients() {
        let stamp = Stamp { number: Some(1), time_ns: Some(0x0102_0304_0506_0708), exposure_us: None };
        let bytes = stamp.to_bytes();
        assert_eq!(bytes[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..16], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(bytes[16..], [0xff; 8]);
        assert_eq!(Stamp::split(&[&bytes[..], b"abc"].concat()), Some((stamp, &b"abc"[..])));
        assert_eq!(Stamp::split(&bytes[..23]), None);
        assert_eq!(Stamp::split(&Stamp::default().to_bytes()), Some((Stamp::default(), &[][..])));
    }
}
