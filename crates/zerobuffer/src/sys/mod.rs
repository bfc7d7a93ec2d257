//! All operating-system calls. One folder per system, the same names in each, and `unix` for what
//! two of them share; nothing above this folder knows the system.
//!
//! What each system provides:
//!
//! | name | what it is |
//! | --- | --- |
//! | `check_name(name)` | what every system asks of a buffer's name (`layout::name`), and what this one asks besides |
//! | `create(&Request) -> Created` | a buffer that exists under its name, complete; a dead reader's name is taken over (W12) |
//! | `NameGuard` | in `Created`: the names; `remove()`, and the drop, give up what still is this reader's (W6) |
//! | `Segment` | a buffer of another process before it is trusted: `open(name)` to attach, `open_read_only(name)` to look; the fields `size`, `mode`, `uid` (0 where there is no such thing); `control()`, `read_at(&mut bytes, offset)`, `is_marked()` (a native reader made it), `is_held(role)`, `level(role)`; `map(len)`, `presence()`, `semaphore(name, signal)` for who attaches |
//! | `Watch` | a segment that is only looked into, for longer: `Segment::watch()`, then `read_at`, `is_held`, `level`, `is_marked`, `is_unlinked`: its name is gone, where that can be known; it keeps no name |
//! | `Mapping` | memory of a segment, implements `memory::Memory`; unmapped on drop |
//! | `Semaphore` | a wake-up: `value`, `post`, `take`, `take_all`, `wait(timeout)`; `retire` when its endpoint closes; `VALUE_IS_CHEAP`: it is read from memory; `forget_sleepers`; `noted_writer`, `note_writer`, `forget_writer`: a word that a native writer leaves its pid in |
//! | `Presence` | "this endpoint lives", dropped by the kernel with the process (W8): `try_lock`, `unlock`, `is_held`, `level` (of others), `announce`; `is_unlinked`: the segment has lost its name |
//! | `assess(&Segment) -> Verdict`, `remove_dead(name, Removal)` | whether a reader lives; removing what is left of a dead one, judged again |
//! | `traces()`, `names_from(prefix)`, `objects(name, uid)`, `stray(name, uid)`, `owners(name)`, `own_uid()`, `has_lock_file(name)`, `is_being_made(name)`, `tokens(name, signal)`, `noted_writer(name, &Segment)` | for `observe`, the second one for `broadcast`: which buffers there may be, and what one consists of |
//! | `shm_path(name)` | what messages call the segment |
//! | `process::own_pid()`, `process::is_alive(pid)` | who has that number |
//! | `process::end_at_once()` | ends this process as a kill does, for crash points |
//! | `block_signals()` | this thread, which the library made, is not the one that a signal of the process interrupts |
//! | `memory_limits(root)`, `may_wait_for_many()` | on Linux: what a new buffer may take, and whether one thread can wait for many |
//! | `WaitSet`, `Semaphore::{word, add_sleeper, remove_sleeper, pass_on}` | on Linux: one thread that sleeps on many semaphores |
//! | `fork::Birth` | in which process an endpoint was made; never forked where there is no fork |
//!
//! A name without its object is `io::ErrorKind::NotFound` in `Error::Os`. On the data path are
//! `Semaphore::post`, `value`, `take`, `take_all`, `Birth::is_forked` and memory of a `Mapping`
//! alone.

use crate::{layout::CONTROL_SIZE, liveness::Process};
use std::path::PathBuf;

#[cfg(not(any(loom, shuttle)))]
mod blocked;
#[cfg(all(any(windows, target_os = "macos", macos_sys), not(any(loom, shuttle))))]
mod copy;
mod held;
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
mod per_process;
#[cfg(not(any(loom, shuttle)))]
mod takeover;
#[cfg(all(unix, not(any(loom, shuttle))))]
mod unix;

#[cfg(all(target_os = "linux", not(any(macos_sys, loom, shuttle))))]
mod linux;
#[cfg(all(target_os = "linux", not(any(macos_sys, loom, shuttle))))]
pub(crate) use linux::*;

// With `--cfg macos_sys` on Linux too: nearly all of it is POSIX, and its tests can run there.
#[cfg(all(any(target_os = "macos", macos_sys), not(any(loom, shuttle))))]
mod macos;
#[cfg(all(any(target_os = "macos", macos_sys), not(any(loom, shuttle))))]
pub(crate) use macos::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

#[cfg(any(loom, shuttle))]
mod simulated;
#[cfg(any(loom, shuttle))]
pub(crate) use simulated::*;

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!("zerobuffer: this operating system is not supported yet");

pub(crate) use held::Held;
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
pub(crate) use per_process::PerProcess;

/// The roles that can be present (W8). The numbers are those of the bytes that stand for them where
/// presence is a lock on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Role {
    Reader = 0,
    Writer = 1,
    /// A writer that is attaching; held until the attach has succeeded or failed.
    Claim = 2,
}

/// Which of a buffer's two wake-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// "A frame is there", posted by the writer.
    Data,
    /// "Space was returned", posted by the reader.
    Space,
}

impl Process {
    /// Looks for the number (system calls: not for the data path).
    pub(crate) fn of(pid: u64) -> Self {
        if pid == process::own_pid() {
            Self::Own
        } else if process::is_alive(pid) {
            Self::Exists
        } else {
            Self::Missing
        }
    }
}

/// What to create.
pub(crate) struct Request<'a> {
    pub(crate) name: &'a str,
    pub(crate) control: &'a [u8; CONTROL_SIZE as usize],
    pub(crate) size: u64,
    /// Permission bits, where there are any.
    #[cfg_attr(windows, allow(dead_code, reason = "the default rights of the creating user apply"))]
    pub(crate) mode: u32,
    pub(crate) level: u8,
    pub(crate) prefault: bool,
    /// Visible in all sessions, where there are sessions.
    #[cfg_attr(not(windows), allow(dead_code, reason = "all names are machine-wide there"))]
    pub(crate) global: bool,
}

/// A buffer that exists under its name, ready for a writer.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) mapping: Mapping,
    pub(crate) data: Semaphore,
    pub(crate) space: Semaphore,
    /// `None` where presence does not work: then this endpoint is judged by its pid alone.
    pub(crate) presence: Option<Presence>,
    pub(crate) names: NameGuard,
}

/// What is known of a segment and its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A reader lives.
    Alive { pid: u64 },
    /// Another implementation may be about to initialise it.
    Young,
    /// No buffer at all: somebody else's object.
    Foreign,
    /// No reader, and none to come.
    Dead { pid: u64, reason: &'static str },
}

/// What may be removed of a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal {
    /// Whose files; no matter on Windows.
    pub(crate) uid: u32,
    /// Also a legacy reader's buffer whose lock file is not there.
    #[cfg_attr(windows, allow(dead_code, reason = "nothing is removed there: names end with their handles"))]
    pub(crate) forced: bool,
}

impl Removal {
    /// Why something is not removed.
    pub(crate) const UNPROVEN: &str = "nothing proves that its reader is dead: it is of another implementation and may run in another container; remove it by force if you know better";
}

/// Names of which something can be seen, in the order of the alphabet.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// There may be a segment.
    pub(crate) buffers: Vec<String>,
    /// There is something that only a buffer has: a semaphore, a lock file.
    pub(crate) companions: Vec<String>,
}

/// The existing parts of a buffer.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// Segment, semaphores and lock files, by path or name.
    pub(crate) paths: Vec<PathBuf>,
    /// The memory and storage they take.
    pub(crate) bytes: u64,
}
