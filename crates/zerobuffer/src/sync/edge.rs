//! The ends of the happens-before edges (DESIGN.md, "Memory ordering"), each of which loom's tests
//! can weaken.

use super::Ordering;

/// One end of an edge. The two of E4 are of one kind: each has its place in the total order. Those
/// without a number are steps of arming and disarming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(any(loom, shuttle)), expect(unreachable_pub, reason = "the models' tests name the ends"))]
#[cfg_attr(
    not(all(target_os = "linux", not(macos_sys))),
    allow(dead_code, reason = "the steps of the semaphores are the kernel's there")
)]
#[cfg_attr(not(feature = "async"), allow(dead_code, reason = "nothing is armed"))]
pub enum End {
    /// `Writing::publish`, of either form: store of the write position, or of `published`.
    E1Release,
    /// `Consumer::published_position`, `native_published`: load of the same.
    E1Acquire,
    /// `Credit::release`: addition to `free`, or store of `credited`.
    E2Release,
    /// `Usable::look`: load of `free`; `Writing::look`, `Account::read`: load of `credited`.
    E2Acquire,
    /// `Semaphore::post`.
    E3Release,
    /// `Semaphore::take`, `take_all`, `wait`.
    E3Acquire,
    /// `ReaderShared::wake_writer`, after the credit: fence, and load of the space semaphore's
    /// value.
    E4Reader,
    /// `Usable::look`, `Writing::look`, after `Semaphore::take_all` or `wait`: load of `free`.
    E4Writer,
    /// `Usable::charge`: subtraction from `free`. Legacy form only.
    E5Release,
    /// `Consumer::tie`: load of `free`.
    E5Acquire,
    /// `metadata::publish`: store of `metadata_written_bytes`.
    E6Release,
    /// `MetadataState::load`: load of `metadata_written_bytes`.
    E6Acquire,
    /// `Writer::shut_down`: `writer_pid` to 0.
    E7Release,
    /// `WriterWatch::registered`: load of `writer_pid`.
    E7Acquire,
    /// `Consumer::repair_legacy`, `repair_native`: `writer_pid` to 0.
    E8Release,
    /// `claim`: `writer_pid` from 0 to the own one.
    E8Acquire,
    /// `enter`: `form` + 1.
    E9Entered,
    /// `Consumer::enter_native_form`: load of `form`.
    E9Seen,
    /// `Consumer::leave_native_form`: `form` + 1, after `free` was restored.
    E9Left,
    /// `enter`: `form` + 0, before `free` is taken away.
    E9Enter,
    /// `Writing::jump`: store of the newest jump's number.
    E10Release,
    /// `Consumer::newest_jump`: load of that number.
    E10Acquire,
    /// `Entry::arm`: one sleeper more of the semaphore.
    ArmSleeper,
    /// `Entry::take`: one sleeper less.
    DisarmSleeper,
    /// `Seat::armed`: the thread's own word is counted up.
    ArmCount,
    /// `Seat::armed`: the thread is woken, unless it sleeps on the semaphore already.
    ArmCall,
    /// `Worker::run`: the thread's own word is compared last, when it sleeps on all semaphores.
    CountLast,
    /// `Reader::look_or_arm`: arming comes before the last look, not behind it.
    ArmFirst,
    /// `Reader::poll_read_in_turns`: the task that spins has itself polled again.
    TakeTurn,
    /// `Entry::pass_on`: a wake-up that came to the thread in the place of a blocked call.
    PassOn,
}

/// All of them: each has a case of loom's that fails when it is weak.
#[cfg(loom)]
pub const ENDS: [End; 22] = [
    End::E1Release,
    End::E1Acquire,
    End::E2Release,
    End::E2Acquire,
    End::E3Release,
    End::E3Acquire,
    End::E4Reader,
    End::E4Writer,
    End::E5Release,
    End::E5Acquire,
    End::E6Release,
    End::E6Acquire,
    End::E7Release,
    End::E7Acquire,
    End::E8Release,
    End::E8Acquire,
    End::E9Entered,
    End::E9Seen,
    End::E9Left,
    End::E9Enter,
    End::E10Release,
    End::E10Acquire,
];

/// Steps of arming and disarming: each makes shuttle find a fault when it is left out.
#[cfg(all(shuttle, feature = "async"))]
pub const STEPS: [End; 8] = [
    End::ArmSleeper,
    End::DisarmSleeper,
    End::ArmCount,
    End::ArmCall,
    End::CountLast,
    End::ArmFirst,
    End::TakeTurn,
    End::PassOn,
];

/// The ordering of an access that is this end of an edge: the given one, unless loom's tests have
/// weakened that end.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn order(_: End, ordering: Ordering) -> Ordering {
    ordering
}

/// Whether a step is done: always, unless shuttle's tests have it left out.
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
#[inline(always)]
pub(crate) const fn is_done(_: End) -> bool {
    true
}

#[cfg(all(feature = "async", shuttle))]
pub(crate) use left_out::is_done;
#[cfg(all(feature = "async", shuttle))]
pub use left_out::leave_out;
#[cfg(all(feature = "async", loom))]
pub(crate) use weakened::is_done;
#[cfg(loom)]
pub use weakened::weaken;
#[cfg(loom)]
pub(crate) use weakened::{fence, order};

#[cfg(shuttle)]
pub(crate) fn fence(_: End) {}

#[cfg(all(feature = "async", shuttle))]
mod left_out {
    use super::End;
    use std::cell::Cell;

    // All threads of a schedule run on one thread of the operating system.
    std::thread_local!(static LEFT_OUT: Cell<Option<End>> = const { Cell::new(None) });

    /// From now on that step, and no other one, is left out or done in the wrong order.
    pub fn leave_out(step: End) {
        LEFT_OUT.set(Some(step));
    }

    pub(crate) fn is_done(step: End) -> bool {
        LEFT_OUT.get() != Some(step)
    }
}

#[cfg(loom)]
mod weakened {
    use super::{End, Ordering};
    use std::cell::RefCell;

    // All threads of a loom model run on one thread of the operating system.
    std::thread_local!(static WEAK: RefCell<Vec<End>> = const { RefCell::new(Vec::new()) });

    /// From now on those ends, and no others, are weak.
    pub fn weaken(ends: &[End]) {
        WEAK.replace(ends.to_vec());
    }

    fn is_weak(end: End) -> bool {
        WEAK.with_borrow(|weak| weak.contains(&end))
    }

    /// A weak step is left out.
    #[cfg(feature = "async")]
    pub(crate) fn is_done(step: End) -> bool {
        !is_weak(step)
    }

    pub(crate) fn order(end: End, ordering: Ordering) -> Ordering {
        match end {
            _ if !is_weak(end) => ordering,
            // Out of the total order; what E2 needs stays.
            End::E4Reader | End::E4Writer => Ordering::Acquire,
            _ => Ordering::Relaxed,
        }
    }

    pub(crate) fn fence(end: End) {
        if !is_weak(end) {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }
    }
}
