//! A machine in memory for the model checkers: what both endpoints ask of the operating system,
//! with nothing of it.
//!
//! Real: the endpoints, the ring, the steps of the semaphores. Simulated: files and their names,
//! presence locks, futexes, processes and their death, the clock. Time passes only when nobody can
//! be woken any more (see [`machine`]).

mod clock;
mod creation;
/// Nobody waits for a descriptor here.
#[cfg(feature = "async")]
#[path = "../linux/event.rs"]
mod event;
mod file;
mod futex;
pub(crate) mod machine;
#[cfg(shuttle)]
mod mortal;
mod presence;
/// The steps of the semaphores are those that ship.
#[path = "../linux/semaphore.rs"]
mod semaphore;
#[cfg(feature = "async")]
mod threads;

pub(crate) use crate::layout::name::check as check_name;
pub(crate) use clock::{Instant, sleep};
pub(crate) use creation::{NameGuard, create};
#[cfg(feature = "async")]
pub(crate) use event::Event;
#[cfg(shuttle)]
pub(crate) use file::File;
pub(crate) use file::{Mapping, Segment, path as shm_path};
#[cfg(feature = "async")]
pub(crate) use futex::{Sleep, WaitSet, wake};
#[cfg(shuttle)]
pub(crate) use mortal::AtomicU64;
pub(crate) use presence::{Presence, is_shortage};
pub(crate) use semaphore::Semaphore;
#[cfg(feature = "async")]
pub(crate) use threads::{Builder, PerProcess, block_signals, may_wait_for_many};

// Where the steps of the semaphores look for files.
use file as shm;

pub(crate) fn own_uid() -> u32 {
    0
}

pub(crate) mod process {
    pub(crate) use super::machine::{is_alive, own_pid};
}

pub(crate) mod fork {
    use super::machine;

    /// The process that made an endpoint. Nobody forks here. But the same question leaves out what
    /// a dead process would still do. Its threads end by unwinding, and an endpoint of it that is
    /// dropped must do nothing.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Birth(u64);

    impl Birth {
        pub(crate) fn now() -> Self {
            Self(machine::own_pid())
        }

        pub(crate) fn is_forked(self) -> bool {
            !machine::is_alive(self.0)
        }
    }
}
