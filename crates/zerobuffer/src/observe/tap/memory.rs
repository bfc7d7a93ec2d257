//! What a tap reads, and what a look at it comes to.
#![forbid(unsafe_code)]

use std::io;

/// A segment that is only read.
///
/// A read is complete or an error, an aligned word is read whole, and each read comes before all
/// later ones.
pub(super) trait Memory {
    /// Copies the bytes at that offset of the segment.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

/// What one look for a frame comes to. A frame that was found is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole frame. The next one begins at byte `end` of the stream; in legacy form that says
    /// nothing.
    Whole { sequence: u64, end: u64 },
    /// Nothing is published there; the next frame begins at this byte of the stream.
    Nothing { next: u64 },
    /// Something was there, and is overwritten, or not certainly whole.
    Lost,
    /// The ring is not, or was not all the time, in the form that was asked for.
    OtherForm,
    /// What is there for certain is no frame: its size, and the largest possible one.
    Impossible { size: u64, most: u64 },
}
