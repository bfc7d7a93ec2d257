//! A lock that one thread takes without a locked operation, until another thread comes.
//!
//! A locked operation waits until all earlier stores of its processor are done. Those of a stream
//! go to memory that the other end reads. So it costs more than the rest of a call. The first
//! thread that uses a place becomes its owner. It stores a mark, and looks whether it still is the
//! owner. Another thread ends that first. Then it has the kernel see to it that all processors have
//! done their stores (`membarrier`). Only then it looks for the mark, so one of the two sees the
//! other. From then on nobody is the owner, and all threads use a locked operation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

/// Nobody has come so far.
const NOBODY: usize = 0;
/// Some thread is ending the ownership.
const ENDING: usize = 1;
/// There is no owner any more, and the last one is outside.
const ENDED: usize = 2;
/// What a thread has where no number of its own is to be had cheaply: it is never the owner.
const UNNAMED: usize = usize::MAX;

/// The place's owner, if it has one, and whether that is inside.
#[derive(Debug, Default)]
pub(crate) struct Bias {
    /// One of the words above, or the number of the thread. No thread has such a small one.
    owner: AtomicUsize,
    /// Stored by the owner alone.
    inside: AtomicBool,
}

/// The owner is inside, until this is dropped.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Bias);

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.inside.store(false, Ordering::Release);
    }
}

impl Bias {
    /// Enters as the owner. `None`: this thread is not the owner, or is inside already.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let me = thread_number();
        if self.owner.load(Ordering::Relaxed) != me || self.inside.load(Ordering::Relaxed) {
            return None;
        }
        self.inside.store(true, Ordering::Relaxed);
        // The processor may still do the load below first. `barrier` makes up for that.
        compiler_fence(Ordering::SeqCst);
        let inside = Inside(self);
        (self.owner.load(Ordering::Acquire) == me).then_some(inside)
    }

    /// Makes this thread the owner, if there was none so far.
    #[cold]
    pub(crate) fn claim(&self) -> Option<Inside<'_>> {
        let me = thread_number();
        if me == UNNAMED || !barrier::is_there() {
            return None;
        }
        self.owner.compare_exchange(NOBODY, me, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        self.enter()
    }

    /// Whether the threads may go on with a locked operation: nobody is the owner, nor will be.
    /// `false`: the owner is inside.
    pub(crate) fn is_ended(&self) -> bool {
        match self.owner.load(Ordering::Acquire) {
            ENDED => true,
            // Nobody can become the owner.
            NOBODY if !barrier::is_there() => true,
            _ => self.end(),
        }
    }

    #[cold]
    fn end(&self) -> bool {
        // Several threads may be here. Each of them does all of it.
        self.owner.store(ENDING, Ordering::SeqCst);
        barrier::pass();
        let outside = !self.inside.load(Ordering::Acquire);
        if outside {
            self.owner.store(ENDED, Ordering::Release);
        }
        outside
    }
}

/// A number that no other living thread has, or [`UNNAMED`].
#[inline(always)]
fn thread_number() -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
    {
        let number: usize;
        // SAFETY: the first word of a thread's control block is its own address, by the ABI.
        unsafe {
            std::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) number,
                            options(nostack, preserves_flags, readonly));
        }
        number
    }
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    {
        let number: usize;
        // SAFETY: a register that holds the address of the thread's control block.
        unsafe {
            std::arch::asm!("mrs {}, tpidr_el0", out(reg) number, options(nostack, preserves_flags, nomem));
        }
        number
    }
    #[cfg(not(all(
        target_os = "linux",
        any(all(target_arch = "x86_64", target_pointer_width = "64"), target_arch = "aarch64")
    )))]
    UNNAMED
}

#[cfg(target_os = "linux")]
pub(crate) mod barrier {
    use std::{sync::OnceLock, thread, time::Duration};

    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` and its registration, which the libc crate does not have.
    const PASS: libc::c_int = 1 << 3;
    const REGISTER: libc::c_int = 1 << 4;
    /// No processor keeps a store to itself for nearly as long.
    const LONG: Duration = Duration::from_millis(10);

    fn call(command: libc::c_int) -> bool {
        // SAFETY: a call with numbers alone, which changes no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Whether the kernel has it. The first call tells it that this process wants it, which takes
    /// some milliseconds if there are several threads.
    pub(crate) fn is_there() -> bool {
        static IS_THERE: OnceLock<bool> = OnceLock::new();
        *IS_THERE.get_or_init(|| call(REGISTER))
    }

    /// Returns when every thread's earlier stores can be seen, and its later loads see this
    /// thread's.
    pub(super) fn pass() {
        // It can fail where it is forbidden since, by a filter of system calls.
        let has_passed = call(PASS) || call(REGISTER) && call(PASS);
        if !has_passed {
            thread::sleep(LONG);
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) mod barrier {
    pub(crate) fn is_there() -> bool {
        false
    }

    pub(super) fn pass() {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_first_thread_enters_alone_and_not_twice() {
        let bias = Bias::default();
        assert!(bias.enter().is_none());
        let inside = bias.claim();
        assert_eq!(inside.is_some(), barrier::is_there());
        if inside.is_some() {
            assert!(bias.enter().is_none(), "it is inside");
            assert!(!bias.is_ended(), "it is inside");
            drop(inside);
            assert!(bias.is_ended());
        }
        assert!(bias.enter().is_none() && bias.claim().is_none(), "nobody is the owner again");
    }

    #[test]
    fn another_thread_ends_it() {
        let bias = Bias::default();
        drop(bias.claim());
        thread::scope(|scope| {
            let other = scope.spawn(|| (bias.enter().is_some(), bias.is_ended()));
            assert_eq!(other.join().unwrap(), (false, true));
        });
        assert!(bias.enter().is_none());
    }

    struct Shared {
        bias: Bias,
        locked: AtomicBool,
        /// The number of the thread inside; 0: none.
        who: AtomicUsize,
        has_met: AtomicBool,
        is_over: AtomicBool,
    }

    impl Shared {
        fn new() -> Self {
            Self {
                bias: Bias::default(),
                locked: AtomicBool::new(false),
                who: AtomicUsize::new(0),
                has_met: AtomicBool::new(false),
                is_over: AtomicBool::new(false),
            }
        }

        /// Stays for a moment, and notes whether somebody else is here.
        fn stay(&self, me: usize) {
            let mut alone = self.who.load(Ordering::Relaxed) == 0;
            self.who.store(me, Ordering::Relaxed);
            alone &= (0..30).all(|_| self.who.load(Ordering::Relaxed) == me);
            self.who.store(0, Ordering::Release);
            if !alone {
                self.has_met.store(true, Ordering::Relaxed);
            }
        }

        /// `false`: somebody else is inside.
        fn try_stay(&self, me: usize) -> bool {
            if let Some(_inside) = self.bias.enter() {
                self.stay(me);
                return true;
            }
            if !self.bias.is_ended() || self.locked.swap(true, Ordering::Acquire) {
                return false;
            }
            self.stay(me);
            self.locked.store(false, Ordering::Release);
            true
        }
    }

    /// The owner is at full speed when another thread comes.
    #[test]
    fn two_threads_never_meet_inside() {
        const ROUNDS: usize = 600;
        for round in 0..ROUNDS {
            let shared = Shared::new();
            drop(shared.bias.claim());
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Its looks make the owner's stores slow: they can be late.
                    let looks = 200 + round % 400;
                    let _ = (0..looks).filter(|_| shared.bias.enter().is_some()).count();
                    for _ in 0..20 {
                        shared.try_stay(2);
                    }
                    shared.is_over.store(true, Ordering::Relaxed);
                });
                while !shared.is_over.load(Ordering::Relaxed) {
                    shared.try_stay(1);
                }
            });
            assert!(!shared.has_met.load(Ordering::Relaxed), "round {round}");
        }
    }
}
