//! A segment that is looked into for longer: mapped once, to be read only.

use super::shm::{Segment, View};
use crate::sys::Role;
use std::io;

/// The mapping, and the lock file that tells of the reader.
#[derive(Debug)]
pub(crate) struct Watch {
    segment: Segment,
    view: View,
    pub(crate) size: u64,
}

impl Segment {
    /// To look into it for longer.
    pub(crate) fn watch(self) -> io::Result<Watch> {
        let view = View::new(&self.file, self.size)?;
        Ok(Watch { size: self.size, view, segment: self })
    }
}

impl Watch {
    /// A copy of the bytes at `offset`.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.view.read_at(bytes, offset)
    }

    /// An object without a name does not say so: the lock of its reader does.
    #[allow(clippy::unused_self, reason = "other systems know it")]
    pub(crate) fn is_unlinked(&self) -> bool {
        false
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.segment.is_marked()
    }

    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        self.segment.is_held(role)
    }

    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        self.segment.level(role)
    }
}
