//! Linux: tmpfs files in `/dev/shm`, futex semaphores in glibc's layout, OFD locks on the segment
//! for presence.

mod cleaning;
mod companions;
mod creation;
#[cfg(feature = "async")]
mod event;
mod futex;
mod limits;
mod lock_file;
mod names;
mod observe;
mod presence;
pub(crate) mod process;
mod segment;
mod semaphore;
mod shm;

pub(crate) use super::unix::{Mapping, Presence, fork, is_shortage};
pub(crate) use super::unix::{block_signals, own_uid};
pub(crate) use cleaning::{remove_dead, stray};
pub(crate) use creation::{NameGuard, assess, create};
#[cfg(feature = "async")]
pub(crate) use event::Event;
pub(crate) use futex::may_wait_for_many;
#[cfg(feature = "async")]
pub(crate) use futex::{Sleep, WaitSet, wake};
pub(crate) use limits::{Limit, memory as memory_limits};
pub(crate) use names::check_name;
pub(crate) use observe::{
    has_lock_file, is_being_made, names_from, noted_writer, objects, owners, tokens, traces,
};
pub(crate) use segment::{Segment, Watch};
pub(crate) use semaphore::Semaphore;
pub(crate) use shm::path as shm_path;
