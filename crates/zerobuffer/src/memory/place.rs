//! Owned places in the ring: whoever has one has its bytes, since each exists once.
#![forbid(unsafe_code)]

/// One frame, taken but not released. It exists once: whoever has it has the frame's bytes.
#[derive(Debug)]
pub(crate) struct Span {
    /// Offset of its header.
    pub(crate) at: u64,
    /// Payload bytes.
    pub(crate) size: u64,
    pub(crate) sequence: u64,
    /// Its interval for [`Credit::release`].
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Offset of the header.
    pub(crate) at: u64,
    /// Bytes skipped before it, from the write position to the end of the ring.
    pub(crate) skip: u64,
    /// Bytes (1 to 15) behind it that are charged to it, since no header fits there.
    pub(crate) sliver: u64,
    /// Header and payload.
    pub(crate) total: u64,
}

impl Place {
    /// All bytes that the frame takes from the ring.
    pub(crate) fn need(self) -> u64 {
        self.skip + self.total + self.sliver
    }
}

/// A reserved, unpublished place. It exists once: whoever has it has its bytes.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) size: u64,
}

impl Slot {
    /// Offset of the header.
    pub(crate) fn at(&self) -> u64 {
        self.place.at
    }

    /// Payload bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}
