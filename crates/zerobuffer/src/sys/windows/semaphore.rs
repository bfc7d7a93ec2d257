//! Named semaphores of the kernel, one token per wake-up (W1).

use super::{names::Namespace, notes::Notes, object};
use crate::{
    crash,
    error::{Error, Result},
    sys::Signal,
};
use std::{
    ffi::c_void,
    io,
    os::windows::io::OwnedHandle,
    ptr,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};
use windows_sys::Win32::{
    Foundation::{HANDLE, NTSTATUS, WAIT_OBJECT_0},
    System::Threading::{
        ReleaseSemaphore, SEMAPHORE_MODIFY_STATE, SYNCHRONIZATION_SYNCHRONIZE, WaitForSingleObject,
    },
};

/// The right to ask for the value, which the headers of the system know as `SEMAPHORE_QUERY_STATE`.
const QUERY: u32 = 1;

/// One of the two wake-up semaphores.
#[derive(Debug)]
pub(crate) struct Semaphore {
    /// `None` once the endpoint is closed: its frames and handles must not keep the name.
    handle: RwLock<Option<OwnedHandle>>,
    /// Where a writer leaves its pid; `None` if the reader is of another implementation.
    notes: Option<Arc<Notes>>,
}

impl Semaphore {
    /// Looking costs a system call: a wait that spins looks at memory alone.
    pub(crate) const VALUE_IS_CHEAP: bool = false;
    /// There may be no place for a note.
    pub(crate) const HAS_NOTES: bool = false;

    /// Makes the semaphore without a token. One that a dead reader's writer still has open is taken
    /// as it is. Tokens that the two pairs take from each other are surplus or lost ones, and
    /// harmless (W5).
    pub(super) fn make(
        space: Namespace,
        name: &str,
        signal: Signal,
        notes: Option<Arc<Notes>>,
    ) -> Result<Self> {
        let path = space.semaphore(name, signal);
        let named = crash::around(|| object::make_semaphore(&path)).map_err(|error| {
            if object::is_other_kind(&error) {
                let reason = "an object of the name of one of its semaphores exists and is none";
                return Error::NotReady { name: name.to_owned(), reason };
            }
            Error::os("create", path.clone(), error)
        })?;
        // Those of buffers have no smaller limit. Tokens of another program's semaphore must not be
        // taken.
        if named.existed
            && counts_of(&named.handle).is_some_and(|[_, limit]| limit != i32::MAX.cast_unsigned())
        {
            return Err(Error::NotABuffer { name: name.to_owned(), object: path });
        }
        let semaphore = Self { handle: RwLock::new(Some(named.handle)), notes };
        if named.existed {
            semaphore.take_all();
        }
        Ok(semaphore)
    }

    pub(super) fn open(
        space: Namespace,
        name: &str,
        signal: Signal,
        notes: Option<Arc<Notes>>,
    ) -> Result<Self> {
        let path = space.semaphore(name, signal);
        let access = SYNCHRONIZATION_SYNCHRONIZE | SEMAPHORE_MODIFY_STATE | QUERY;
        let handle = object::open_semaphore(&path, access).map_err(|e| Error::os("open", path, e))?;
        Ok(Self { handle: RwLock::new(Some(handle)), notes })
    }

    /// The value of a semaphore that is opened for nothing else.
    pub(super) fn value_of(space: Namespace, name: &str, signal: Signal) -> io::Result<u32> {
        let handle = object::open_semaphore(&space.semaphore(name, signal), QUERY)?;
        value_of(&handle).ok_or_else(|| io::Error::other("its value cannot be read"))
    }

    /// The last native writer that noted itself; 0 if it has left, or if there was none.
    pub(crate) fn noted_writer(&self) -> u64 {
        self.notes.as_ref().map_or(0, |notes| notes.writer())
    }

    /// Notes the native writer that is about to register itself.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn note_writer(&self, pid: u64) {
        if let Some(notes) = &self.notes {
            notes.set_writer(pid);
        }
    }

    /// Removes the note; only for who holds the writer's presence.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn forget_writer(&self) {
        self.note_writer(0);
    }

    /// Uncontended but for the close, which comes once.
    fn handle(&self) -> RwLockReadGuard<'_, Option<OwnedHandle>> {
        self.handle.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint is closed. Nobody waits: waiting takes an endpoint that is not.
    pub(crate) fn retire(&self) {
        self.handle.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The number of tokens, where it can be known.
    pub(crate) fn known_value(&self) -> Option<u32> {
        self.handle().as_ref().and_then(value_of)
    }

    /// Whether somebody is known to sleep until there is a token: nobody tells that here.
    #[allow(clippy::unused_self, reason = "as on other systems")]
    pub(crate) fn is_awaited(&self) -> bool {
        false
    }

    /// The number of tokens; 0 where it is unknown, so a post is never left out.
    pub(crate) fn value(&self) -> u32 {
        // Part of edge E4: a system call, in the order of the program.
        self.handle().as_ref().and_then(value_of).unwrap_or(0)
    }

    /// Adds a token and wakes one sleeper. At the largest value nothing is added, and every sleeper
    /// is awake.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn post(&self) {
        if let Some(handle) = self.handle().as_ref() {
            // SAFETY: the handle is open. Edge E3, release end: the kernel's lock orders what was
            // written before.
            crash::around(|| unsafe { ReleaseSemaphore(object::raw(handle), 1, ptr::null_mut()) });
        }
    }

    /// Takes one token if there is one.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn take(&self) -> bool {
        self.wait_once(0)
    }

    /// Takes all tokens, and says how many; the caller looks at what they announced afterwards.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn take_all(&self) -> u32 {
        let mut taken = 0;
        // A peer that keeps posting does not keep this here: so many were there at the beginning.
        for _ in 0..self.value() {
            if !self.take() {
                break;
            }
            taken += 1;
        }
        taken
    }

    /// The kernel wakes sleepers and knows who has died.
    #[allow(clippy::unused_self, reason = "other systems count sleepers in the semaphore itself")]
    pub(crate) fn forget_sleepers(&self) {}

    /// Sleeps until a token could be taken (`true`), or `timeout` has passed (`false`).
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Whole milliseconds of the system's tick, rounded up; the greatest number would mean
            // "for ever".
            let millis =
                u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).min(u32::MAX - 1);
            if self.wait_once(millis) {
                return true;
            }
            if Instant::now() >= deadline || self.handle().is_none() {
                return false;
            }
        }
    }

    #[cfg_attr(crash_points, track_caller)]
    fn wait_once(&self, millis: u32) -> bool {
        let handle = self.handle();
        let Some(handle) = handle.as_ref() else { return false };
        // SAFETY: the handle is open. Edges E3 and E4, acquire end: the kernel's lock orders what
        // is read after.
        let wait = || unsafe { WaitForSingleObject(object::raw(handle), millis) };
        crash::around(wait) == WAIT_OBJECT_0
    }
}

#[link(name = "ntdll")]
unsafe extern "system" {
    /// The only way to look at a semaphore without changing it; class 0 gives the value and the
    /// maximum.
    fn NtQuerySemaphore(
        handle: HANDLE,
        class: i32,
        information: *mut c_void,
        length: u32,
        returned: *mut u32,
    ) -> NTSTATUS;
}

fn value_of(semaphore: &OwnedHandle) -> Option<u32> {
    counts_of(semaphore).map(|[value, _]| value)
}

/// The value and its limit.
fn counts_of(semaphore: &OwnedHandle) -> Option<[u32; 2]> {
    let mut counts = [0_u32; 2];
    // SAFETY: the handle is open, the structure consists of two 32-bit numbers, and its length is
    // the one given.
    let status = unsafe {
        NtQuerySemaphore(
            object::raw(semaphore),
            0,
            counts.as_mut_ptr().cast(),
            size_of_val(&counts) as u32,
            ptr::null_mut(),
        )
    };
    (status >= 0).then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> Semaphore {
        let name = format!("{name}-{}", std::process::id());
        Semaphore::make(Namespace::Session, &name, Signal::Data, None).unwrap()
    }

    #[test]
    fn tokens_are_counted() {
        let semaphore = fresh("sys-count");
        assert_eq!((semaphore.value(), semaphore.take(), semaphore.take_all()), (0, false, 0));
        (0..3).for_each(|_| semaphore.post());
        assert_eq!((semaphore.value(), semaphore.take(), semaphore.value()), (3, true, 2));
        assert_ne!(semaphore.take_all(), 0);
        assert_eq!(semaphore.value(), 0);
    }

    #[test]
    fn a_wait_ends_by_a_token_or_by_time() {
        let semaphore = fresh("sys-wait");
        let started = Instant::now();
        assert!(!semaphore.wait(Duration::from_millis(30)));
        assert!(started.elapsed() >= Duration::from_millis(30), "{:?}", started.elapsed());
        std::thread::scope(|scope| {
            scope.spawn(|| semaphore.post());
            assert!(semaphore.wait(Duration::from_secs(100)));
        });
        assert_eq!(semaphore.value(), 0);
    }
}
