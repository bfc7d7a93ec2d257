//! Capability levels that endpoints of this implementation announce to each other (W8).

/// Of a reader: slivers and bare wraps.
pub(crate) const READER: u8 = 1;
/// Also sequence numbers that the writer chooses.
pub(crate) const FREE_SEQUENCES: u8 = 2;
/// Of a writer.
pub(crate) const WRITER: u8 = FREE_SEQUENCES;
