//! For bindings: in which process something was made.

use crate::sys::fork::Birth;

/// The process that has made something: what it keeps there is of no use in a forked child.
#[derive(Clone, Copy, Debug)]
pub struct Origin(Birth);

impl Origin {
    /// This process.
    #[must_use]
    pub fn here() -> Self {
        Self(Birth::now())
    }

    /// Whether this is a forked child of it. Makes no system call.
    #[must_use]
    #[inline]
    pub fn is_forked(self) -> bool {
        self.0.is_forked()
    }
}
