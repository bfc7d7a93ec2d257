//! What Linux and macOS have in common.

pub(crate) mod directory;
mod file_id;
mod flock;
pub(crate) mod fork;
mod mapping;
mod presence;
mod verdict;

pub(in crate::sys) use file_id::{FileId, unlink_if};
pub(in crate::sys) use flock::try_flock;
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub(in crate::sys) use flock::try_shared_flock;
pub(crate) use mapping::Mapping;
pub(crate) use presence::{Presence, is_shortage};
pub(in crate::sys) use presence::{is_held, level};
pub(crate) use verdict::judge;
pub(in crate::sys) use verdict::{YOUNG, judge_given, refuse_early};
