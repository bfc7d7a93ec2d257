//! Why there is no place for a frame: not yet, or never.

use super::Fault;

/// What a frame lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shortage {
    /// So much must be free.
    pub(crate) needed: u64,
    /// So much is free, or usable beside a reader of another implementation.
    pub(crate) free: u64,
    /// So much of it lies in one piece.
    pub(crate) largest_gap: u64,
    /// Bytes that the reader has taken and not given back, by what it publishes.
    pub(crate) held: u64,
    /// The reader's word at the last look, see [`super::Producer::space_word`].
    pub(crate) seen: u64,
}

/// Why a frame can never be reserved.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    TooLarge,
    Unplaceable { needed_capacity: u64 },
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
