//! There is no fork: a process is never the child of one that made its endpoints.

/// In which process an endpoint was made: this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth;

impl Birth {
    pub(crate) fn now() -> Self {
        Self
    }

    #[allow(clippy::unused_self, reason = "other systems have forked children")]
    #[inline]
    pub(crate) fn is_forked(self) -> bool {
        false
    }
}
