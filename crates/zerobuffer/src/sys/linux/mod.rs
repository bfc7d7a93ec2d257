//! Linux: tmpfs files in `/dev/shm`, futex semaphores in glibc's layout, OFD locks for presence.

mod creation;
mod directory;
pub(crate) mod fork;
mod lock_file;
mod mapping;
mod names;
mod observe;
mod presence;
pub(crate) mod process;
mod semaphore;
mod shm;

pub(crate) use creation::{NameGuard, create, judge, remove_dead};
pub(crate) use mapping::Mapping;
pub(crate) use names::check_name;
pub(crate) use observe::{MORE_SPACE, is_being_made, objects, tokens, traces};
pub(crate) use presence::Presence;
pub(crate) use semaphore::Semaphore;
pub(crate) use shm::{Segment, path as shm_path};
