//! Linux: tmpfs files in `/dev/shm`, futex semaphores in glibc's layout, OFD locks on the segment for presence.

mod companions;
mod creation;
mod futex;
mod lock_file;
mod names;
mod observe;
mod presence;
pub(crate) mod process;
mod semaphore;
mod shm;

pub(crate) use super::unix::{Mapping, Presence, fork, is_shortage, judge};
pub(crate) use creation::{NameGuard, create, remove_dead};
pub(crate) use names::check_name;
pub(crate) use observe::{is_being_made, noted_writer, objects, tokens, traces};
pub(crate) use semaphore::Semaphore;
pub(crate) use shm::{Segment, path as shm_path};
