//! Impossible values in shared memory.

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
