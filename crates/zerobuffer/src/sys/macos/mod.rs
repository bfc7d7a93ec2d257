//! macOS: POSIX shared memory and semaphores, whose names end at 31 bytes, and a lock file that
//! bears the presence locks.
//!
//! Nothing of another implementation runs on macOS, so there is no peer to suit but this one.
//! PLATFORMS.md says what differs for users. Everything but `process` is POSIX: `--cfg macos_sys`
//! builds and tests it on Linux.

mod alarm;
mod creation;
mod handle;
mod lock_file;
mod names;
mod observe;
#[cfg_attr(not(target_os = "macos"), path = "../linux/process.rs")]
pub(crate) mod process;
mod semaphore;
mod shm;
mod watch;

pub(crate) use super::unix::{Mapping, Presence, fork, is_shortage};
pub(crate) use super::unix::{block_signals, own_uid};
pub(crate) use creation::{NameGuard, assess, create, remove_dead};
pub(crate) use names::check_name;
pub(crate) use observe::{
    has_lock_file, is_being_made, names_from, noted_writer, objects, owners, stray, tokens, traces,
};
pub(crate) use semaphore::Semaphore;
pub(crate) use shm::{Segment, path as shm_path};
pub(crate) use watch::Watch;
