//! Capability levels that endpoints of this implementation announce to each other (W8).

/// Of a reader: the native form of the ring (W15).
pub(crate) const NATIVE: u8 = 3;
/// Also sequence numbers that the writer chooses.
pub(crate) const FREE_SEQUENCES: u8 = 4;
/// Of a writer.
pub(crate) const WRITER: u8 = FREE_SEQUENCES;
