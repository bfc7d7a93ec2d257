//! Windows: named sections, named semaphores, and presence as the existence of named events.
//!
//! A kernel object has its name as long as any handle of it is open. Nothing else gives a name up:
//! there is no unlink. So the reader keeps the section's handle. Everybody else maps a view and
//! closes the handle again: a view keeps the memory, and not the name. Thus the name ends with the
//! reader, by its close or by its death. A successor takes it at once, also while the former writer
//! is still attached and while frames of a closed reader are held.
//!
//! A legacy endpoint keeps its handle, which blocks the name until it lets go. A successor asks it
//! to (`reader_pid` 0 and a token), waits for a moment, and says what is in the way.

mod creation;
pub(crate) mod fork;
mod lock_file;
mod mapping;
mod names;
mod notes;
mod object;
mod observe;
mod owner;
mod presence;
pub(crate) mod process;
mod segment;
mod semaphore;
mod watch;

pub(crate) use creation::{NameGuard, assess, create, remove_dead};
pub(crate) use mapping::Mapping;
pub(crate) use names::{check_name, segment_name as shm_path};
pub(crate) use observe::{
    has_lock_file, is_being_made, names_from, noted_writer, objects, owners, stray, tokens, traces,
};
pub(crate) use owner::own_uid;
pub(crate) use presence::{Presence, is_shortage};
pub(crate) use segment::Segment;
pub(crate) use semaphore::Semaphore;
pub(crate) use watch::Watch;

/// There are none that a thread would be taken for.
pub(crate) fn block_signals() {}
