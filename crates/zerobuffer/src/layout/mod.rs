//! Offsets and bytes of a segment: control block (OIEB), frame header, sizes. Pure arithmetic, no
//! OS (W1).
#![forbid(unsafe_code)]

mod control;
mod geometry;
mod header;
pub(crate) mod level;
pub(crate) mod name;
mod native;

pub(crate) use control::{ControlSnapshot, Word};
pub(crate) use geometry::{BLOCK, Geometry};
pub use header::FRAME_HEADER_SIZE;
pub(crate) use header::{FAILURE, FrameHeader};
#[cfg_attr(any(loom, shuttle), allow(unused_imports, reason = "observers are left out there"))]
pub(crate) use native::{ENTRIES, NATIVE_SIZE, NativeSnapshot, NativeWord, ROUNDING, rounded};

/// The protocol version that this crate writes and reads: major, minor, patch.
pub const PROTOCOL_VERSION: (u8, u8, u8) = (1, 0, 0);

/// Bytes of the control block; also the value of its first field.
pub(crate) const CONTROL_SIZE: u64 = 128;

/// Stands in `writer_pid` for "the dead writer's entry is being removed": no process has this
/// number (W10).
pub(crate) const TOMBSTONE: u64 = 0x7fff_ffff;
