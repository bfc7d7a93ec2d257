//! Sizes of a segment: 128 bytes of control block, the metadata block, the ring.

use super::{CONTROL_SIZE, NATIVE_SIZE};
use crate::error::{Error, Result};

/// Alignment of the metadata block and of the ring, bytes.
pub(crate) const BLOCK: u64 = 64;
/// Smallest ring, bytes.
pub(crate) const MIN_PAYLOAD: u64 = 64;

/// Sizes of the metadata block and of the ring: read once, checked, then kept privately (W13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Bytes of the metadata block, a multiple of 64, may be 0.
    pub(crate) metadata: u64,
    /// Bytes of the ring, P, a multiple of 64.
    pub(crate) payload: u64,
    /// The native block lies behind the ring: the reader is of this implementation.
    pub(crate) native: bool,
}

impl Geometry {
    /// Rounds the wanted sizes up to whole blocks.
    pub(crate) fn for_config(metadata: u64, payload: u64) -> Result<Self> {
        if payload == 0 {
            return Err(Error::InvalidConfig {
                what: "payload_size",
                value: payload,
                reason: "a ring needs at least 1 byte",
            });
        }
        let round = |what: &'static str, value: u64| {
            // The mapping is addressed with isize offsets.
            value.checked_next_multiple_of(BLOCK).filter(|&v| v < (1 << 62)).ok_or(Error::InvalidConfig {
                what,
                value,
                reason: "larger than an address space",
            })
        };
        let (metadata, payload) = (round("metadata_size", metadata)?, round("payload_size", payload)?);
        Ok(Self { metadata, payload, native: true })
    }

    /// Checks the sizes that a control block claims against the segment's real size.
    pub(crate) fn check(name: &str, metadata: u64, payload: u64, segment: u64) -> Result<Self> {
        let corrupt = |field, value, expected: String| {
            Err(Error::Corrupt { name: name.to_owned(), field, value, expected })
        };
        if !metadata.is_multiple_of(BLOCK) || metadata > segment {
            return corrupt("metadata_size", metadata, format!("a multiple of 64 of at most {segment}"));
        }
        if !payload.is_multiple_of(BLOCK) || payload < MIN_PAYLOAD || payload > segment {
            return corrupt("payload_size", payload, format!("a multiple of 64 between 64 and {segment}"));
        }
        let geometry = Self { metadata, payload, native: false };
        if geometry.segment() > segment {
            return corrupt(
                "payload_size",
                payload,
                format!("128 + {metadata} (metadata_size) + payload_size <= {segment} (segment size)"),
            );
        }
        Ok(geometry)
    }

    /// The same sizes, of a reader that has made the native block.
    pub(crate) fn with_native_block(self, name: &str, segment: u64) -> Result<Self> {
        let geometry = Self { native: true, ..self };
        if geometry.segment() > segment {
            return Err(Error::Corrupt {
                name: name.to_owned(),
                field: "segment size",
                value: segment,
                expected: format!("at least {} with the native block", geometry.segment()),
            });
        }
        Ok(geometry)
    }

    /// Bytes of the whole segment.
    pub(crate) fn segment(self) -> u64 {
        self.native_offset() + if self.native { NATIVE_SIZE } else { 0 }
    }

    /// Offset of the native block, if there is one.
    pub(crate) fn native_offset(self) -> u64 {
        CONTROL_SIZE + self.metadata + self.payload
    }

    /// Offset of the ring in the segment.
    pub(crate) fn payload_offset(self) -> u64 {
        CONTROL_SIZE + self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_up_to_blocks() {
        let geometry = Geometry::for_config(1, 17).unwrap();
        assert_eq!(geometry, Geometry { metadata: 64, payload: 64, native: true });
        assert_eq!(geometry.segment(), 256 + 1024);
        assert_eq!(Geometry::for_config(0, 64).unwrap().payload_offset(), 128);
        assert!(Geometry::for_config(0, 0).is_err());
        assert!(Geometry::for_config(u64::MAX, 64).is_err());
    }

    #[test]
    fn claimed_sizes_must_fit_the_segment() {
        let geometry = Geometry::check("n", 64, 64, 256).unwrap();
        assert_eq!(geometry.segment(), 256);
        assert!(geometry.with_native_block("n", 256 + 1023).is_err());
        assert_eq!(geometry.with_native_block("n", 256 + 1024).unwrap().native_offset(), 256);
        for (metadata, payload) in
            [(63, 64), (64, 0), (64, 128), (1 << 40, 64), (64, 1 << 40), (u64::MAX - 63, 64), (64, 65)]
        {
            assert!(Geometry::check("n", metadata, payload, 256).is_err(), "{metadata} {payload}");
        }
    }
}
