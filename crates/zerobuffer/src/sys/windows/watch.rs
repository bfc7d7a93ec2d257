//! A segment that is looked into for longer: a view that is only read, and no handle, so its name
//! can go.

use super::{Mapping, presence::Key};
use crate::sys::Role;
use std::io;

/// The view, and what the events of its reader are called.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) view: Mapping,
    pub(super) key: Key,
    pub(super) marked: bool,
    pub(crate) size: u64,
}

impl Watch {
    /// A copy of the bytes at `offset`.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.view.copy(bytes, offset)
    }

    /// A section does not tell whether it has lost its name: the presence of its reader does.
    #[allow(clippy::unused_self, reason = "other systems know it")]
    pub(crate) fn is_unlinked(&self) -> bool {
        false
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.marked
    }

    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        self.key.is_held(role)
    }

    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        self.key.level(role)
    }
}
