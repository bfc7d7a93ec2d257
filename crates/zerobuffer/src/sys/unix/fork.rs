//! Keeps a forked child from holding, or acting on, what belongs to its parent (W8, P8).
//!
//! Locks of an open file description live until its last descriptor is closed, and a child inherits
//! all of them. Without help it would keep a dead parent "present". Every descriptor that carries a
//! lock is registered here, and a `pthread_atfork` handler closes them in the child. It never
//! unlocks, which would drop the parent's lock.

use crate::crash;
use std::{
    hint, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        Once,
        atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering},
    },
    thread,
};

/// A descriptor that exists in this process only: close-on-exec, and closed in a forked child.
#[derive(Debug)]
pub(crate) struct PrivateFd {
    fd: RawFd,
    slot: &'static AtomicI32,
    birth: Birth,
}

impl PrivateFd {
    /// Opens by `open`, with no fork in between opening and registering.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        install_handlers();
        let _no_fork = Registering::begin();
        let fd = open()?.into_raw_fd();
        Ok(Self { fd, slot: register(fd), birth: Birth::now() })
    }
}

impl AsFd for PrivateFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open until drop; in a forked child, where it is not, the owners
        // refuse all operations (`Birth`).
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl AsRawFd for PrivateFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl Drop for PrivateFd {
    fn drop(&mut self) {
        // In a forked child the handler has closed the descriptor; number and slot may be those of
        // an endpoint that the child has made since.
        if self.birth.is_forked() {
            return;
        }
        // Nor may a fork happen while the descriptor is open and no longer registered.
        let _no_fork = Registering::begin();
        self.slot.store(EMPTY, Ordering::Release);
        // SAFETY: this value owns the descriptor, which only a fork would have closed.
        let fd = unsafe { OwnedFd::from_raw_fd(self.fd) };
        // Whatever it has locked is free from here on.
        crash::around(|| drop(fd));
    }
}

/// In which process an endpoint was made: the number of forks since the first one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth(u32);

impl Birth {
    pub(crate) fn now() -> Self {
        install_handlers();
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this process is a forked child of the one that made the endpoint.
    #[inline]
    pub(crate) fn is_forked(self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.0
    }
}

static GENERATION: AtomicU32 = AtomicU32::new(0);
static REGISTERING: AtomicBool = AtomicBool::new(false);
static SLOTS: Chunk = Chunk::new();
const EMPTY: RawFd = -1;

/// A grow-only list of slots that the fork handler can walk without taking a lock.
struct Chunk {
    slots: [AtomicI32; 64],
    next: AtomicPtr<Chunk>,
}

impl Chunk {
    const fn new() -> Self {
        Self { slots: [const { AtomicI32::new(EMPTY) }; 64], next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Only one thread registers at a time (`Registering`), so no chunk is lost here.
    fn append(&self) -> &'static Chunk {
        let next: &'static Chunk = Box::leak(Box::new(Chunk::new()));
        self.next.store(ptr::from_ref(next).cast_mut(), Ordering::Release);
        next
    }

    fn next(&self) -> Option<&'static Chunk> {
        // SAFETY: the pointer is null or a leaked box.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

fn register(fd: RawFd) -> &'static AtomicI32 {
    let mut chunk = &SLOTS;
    loop {
        for slot in &chunk.slots {
            if slot.compare_exchange(EMPTY, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return slot;
            }
        }
        chunk = chunk.next().unwrap_or_else(|| chunk.append());
    }
}

/// A short time in which a descriptor is open but not registered: fork waits for its end.
struct Registering;

impl Registering {
    fn begin() -> Self {
        acquire_registering();
        Self
    }
}

impl Drop for Registering {
    fn drop(&mut self) {
        release_registering();
    }
}

fn acquire_registering() {
    while REGISTERING.swap(true, Ordering::Acquire) {
        hint::spin_loop();
        thread::yield_now();
    }
}

fn release_registering() {
    REGISTERING.store(false, Ordering::Release);
}

fn install_handlers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers use atomics and close(2) alone, which are async-signal-safe. Failure
        // (no memory) leaves fork unguarded, as it would be without the call.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_parent), Some(after_fork_child)) };
    });
}

unsafe extern "C" fn before_fork() {
    acquire_registering();
}

unsafe extern "C" fn after_fork_parent() {
    release_registering();
}

unsafe extern "C" fn after_fork_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let mut chunk = Some(&SLOTS);
    while let Some(current) = chunk {
        for slot in &current.slots {
            let fd = slot.swap(EMPTY, Ordering::AcqRel);
            if fd != EMPTY {
                // SAFETY: the child's own copy of the descriptor; its owner sees the empty slot and
                // leaves it alone.
                unsafe { libc::close(fd) };
            }
        }
        chunk = current.next();
    }
    release_registering();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, mem};

    fn open() -> PrivateFd {
        PrivateFd::open(|| File::open("/dev/null").map(OwnedFd::from)).unwrap()
    }

    #[test]
    fn dropping_what_was_inherited_closes_nothing_of_the_childs_own() {
        let inherited = open();
        // SAFETY: the child only opens and closes files, and ends by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // The lowest numbers and slots are handed out first: one of these gets those of the
            // inherited one.
            for _ in 0..1000 {
                let own = open();
                if own.fd == inherited.fd && ptr::eq(own.slot, inherited.slot) {
                    drop(inherited);
                    // SAFETY: asks about a number.
                    let is_open = unsafe { libc::fcntl(own.fd, libc::F_GETFD) } != -1;
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(i32::from(!is_open)) };
                }
                mem::forget(own);
            }
            // SAFETY: as above.
            unsafe { libc::_exit(2) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(
            libc::WEXITSTATUS(status),
            0,
            "1: the child's descriptor was closed; 2: no number was reused"
        );
    }
}
