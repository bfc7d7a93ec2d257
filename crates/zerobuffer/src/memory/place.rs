//! Owned places in the ring: the holder of one has its bytes, since each exists once.
#![forbid(unsafe_code)]

/// One frame, taken but not released. It exists once, and its holder has the frame's bytes.
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

/// A reserved, unpublished place. It exists once, and its holder has its bytes.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Offset of its header.
    pub(crate) at: u64,
    /// Payload bytes.
    pub(crate) size: u64,
    /// Header and payload, rounded up in native form.
    pub(crate) total: u64,
    /// In legacy form, bytes skipped before it, from the write position to the end of the ring.
    pub(crate) skip: u64,
    /// In native form, bytes behind it that are free and claimed.
    pub(crate) room: u64,
}
