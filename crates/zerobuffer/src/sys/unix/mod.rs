//! What Linux and macOS have in common.

pub(crate) mod directory;
mod file_id;
mod flock;
pub(in crate::sys) mod folder;
pub(crate) mod fork;
pub(in crate::sys) mod holder;
mod mapping;
mod presence;
mod signals;
mod verdict;

pub(in crate::sys) use file_id::{Entry, FileId};
pub(in crate::sys) use flock::try_flock;
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub(in crate::sys) use flock::try_shared_flock;
pub(in crate::sys) use folder::Folder;
pub(crate) use folder::own_uid;
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub(in crate::sys) use folder::set_mode;
pub(in crate::sys) use folder::writers_only;
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub(in crate::sys) use holder::{Holder, of as holder_of};
pub(crate) use mapping::Mapping;
pub(crate) use presence::{Presence, is_shortage};
pub(in crate::sys) use presence::{is_held, level};
pub(crate) use signals::block_signals;
pub(in crate::sys) use verdict::{facts, refuse_early};
