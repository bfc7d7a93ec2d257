//! The protocol over an abstract region: cursors, placement, publishing, crediting, recovery. No OS calls.

mod consumer;
mod credit;
mod placement;
mod producer;
mod recovery;
mod region;
#[cfg(any(loom, shuttle))]
mod tracked;

pub(crate) use consumer::{Consumer, Span};
pub(crate) use credit::Credit;
pub(crate) use producer::{Producer, Refusal, Shortage, Slot, Step};
pub(crate) use recovery::next_sequence;
pub(crate) use region::{Memory, Region};
#[cfg(any(loom, shuttle))]
pub(crate) use tracked::Tracked;

use crate::error::Error;

/// An impossible value in shared memory (W13); the endpoint adds the buffer's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A field of the control block or of a frame header.
    Field { field: &'static str, value: u64, expected: String },
    /// A frame that is not the next one.
    Sequence { expected: u64, got: u64 },
}

impl Fault {
    #[cold]
    pub(crate) fn field(field: &'static str, value: u64, expected: impl Into<String>) -> Self {
        Self::Field { field, value, expected: expected.into() }
    }

    #[cold]
    pub(crate) fn on(&self, name: &str) -> Error {
        let name = name.to_owned();
        match *self {
            Self::Field { field, value, ref expected } => {
                Error::Corrupt { name, field, value, expected: expected.clone() }
            }
            Self::Sequence { expected, got } => Error::Sequence { name, expected, got },
        }
    }
}

/// Stands in `writer_pid` for "the dead writer's entry is being removed": no process has this number (W10).
pub(crate) const TOMBSTONE: u64 = 0x7fff_ffff;
