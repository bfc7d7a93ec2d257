//! Linux: tmpfs files in `/dev/shm`, futex semaphores in glibc's layout, OFD locks for presence.

mod creation;
mod directory;
pub(crate) mod fork;
mod lock_file;
mod mapping;
mod presence;
pub(crate) mod process;
mod semaphore;
mod shm;

pub(crate) use creation::{NameGuard, Request, Verdict, create, judge, remove_dead};
pub(crate) use lock_file::{is_locked, paths as lock_paths};
pub(crate) use mapping::Mapping;
pub(crate) use presence::{Presence, Role, is_held, level};
pub(crate) use semaphore::Semaphore;
pub(crate) use shm::{Segment, entries, path as shm_path};
