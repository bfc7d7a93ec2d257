//! Named semaphores of POSIX (W1), with a timed wait that macOS lacks.
//!
//! macOS has `sem_wait` and `sem_trywait`, no `sem_timedwait`, and no way to read a value. A wait
//! therefore is a plain `sem_wait`, and an [`Alarm`] posts the semaphore at the deadline. The
//! sleeper uses no processor time, a token wakes it as fast as the kernel can, and the time-out
//! costs one wake-up. The alarm's token is taken out again by the wait that it ends. One that dies
//! in between leaves a token too many, which does no harm (W5).

use super::{alarm::Alarm, handle::Handle, names};
use crate::crash;
use crate::error::{Error, Result};
use crate::sys::Signal;
use std::{
    ffi::CString,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// The value reported for a semaphore that has any token at all: as many as nobody adds to.
const SOME: u32 = 2;

/// One of the two wake-up semaphores.
#[derive(Debug)]
pub(crate) struct Semaphore {
    handle: Arc<Handle>,
    alarm: Alarm,
}

impl Semaphore {
    /// A look takes a token and gives it back: a wait that spins looks at memory alone.
    pub(crate) const VALUE_IS_CHEAP: bool = false;
    /// There is no place for a note, see [`Self::noted_writer`].
    pub(crate) const HAS_NOTES: bool = false;

    pub(crate) fn open(name: &str, signal: Signal) -> Result<Self> {
        Self::with(name, signal, 0, 0).map_err(|e| Error::os("open", names::semaphore(name, signal), e))
    }

    /// Whether both semaphores of a name are there, by what this user may see.
    pub(crate) fn both_exist(name: &str) -> bool {
        [Signal::Data, Signal::Space].into_iter().all(|signal| Self::open(name, signal).is_ok())
    }

    /// Makes a fresh semaphore. The mode is taken as it is: the kernel has no umask here.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn create(name: &str, signal: Signal, mode: u32) -> io::Result<Self> {
        crash::around(|| Self::with(name, signal, libc::O_CREAT | libc::O_EXCL, mode))
    }

    fn with(name: &str, signal: Signal, flags: libc::c_int, mode: u32) -> io::Result<Self> {
        let handle = names::try_semaphore(name, signal, |name| {
            let name = CString::new(name)?;
            // SAFETY: the name outlives the call; mode and value are read only with `O_CREAT`.
            let semaphore =
                unsafe { libc::sem_open(name.as_ptr(), flags, mode as libc::c_uint, 0 as libc::c_uint) };
            if semaphore == libc::SEM_FAILED {
                Err(io::Error::last_os_error())
            } else {
                Ok(Handle::of(semaphore))
            }
        })?;
        Ok(Self { handle: Arc::new(handle), alarm: Alarm::default() })
    }

    /// Removes the name. `Ok(false)`: there was none.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn unlink(name: &str, signal: Signal) -> Result<bool> {
        let removed = names::try_semaphore(name, signal, |name| {
            let name = CString::new(name)?;
            // SAFETY: the name outlives the call.
            match crash::around(|| unsafe { libc::sem_unlink(name.as_ptr()) }) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
        match removed {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::os("remove", names::semaphore(name, signal), e)),
        }
    }

    /// The number of tokens, where it can be known.
    #[allow(clippy::unnecessary_wraps, reason = "as on other systems")]
    pub(crate) fn known_value(&self) -> Option<u32> {
        Some(self.value())
    }

    /// Whether somebody is known to sleep until there is a token: nobody tells that here.
    #[allow(clippy::unused_self, reason = "as on other systems")]
    pub(crate) fn is_awaited(&self) -> bool {
        false
    }

    /// 0 if there is no token, else as many as nobody adds to: more cannot be known.
    ///
    /// The look takes a token and gives it back, so nobody who could not sleep before sleeps on.
    pub(crate) fn value(&self) -> u32 {
        // Part of edge E4: both calls enter the kernel, in the total order after the credit that
        // precedes them.
        if !self.take() {
            return 0;
        }
        self.post();
        SOME
    }

    /// Adds a token and wakes one sleeper.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn post(&self) {
        // Edge E3, release end: what was written before is visible to the taker of the token.
        self.handle.post();
    }

    /// Takes one token if there is one.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn take(&self) -> bool {
        // Edge E3, acquire end.
        self.handle.take_by(libc::sem_trywait, true)
    }

    /// Takes all tokens, and says how many; the caller looks at what they announced afterwards.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn take_all(&self) -> u32 {
        let mut taken = 0;
        // A call per token: writers post one per frame, and readers none beside one that lies
        // there.
        while self.take() {
            taken += 1;
        }
        taken
    }

    /// The endpoint is closed. Names are removed by who made them, whatever is open.
    #[allow(clippy::unused_self, reason = "other systems have a name to let go of")]
    pub(crate) fn retire(&self) {}

    /// The kernel knows who sleeps, and forgets the dead by itself.
    #[allow(clippy::unused_self, reason = "on Linux the semaphore's own memory knows")]
    pub(crate) fn forget_sleepers(&self) {}

    /// No writer: a semaphore has no memory to leave a note in. A pid means the same to all
    /// processes here. So one case only is mistaken for a legacy writer: a number that another
    /// process got before the reader has ever looked.
    #[allow(clippy::unused_self, reason = "on Linux the semaphore's own memory knows")]
    pub(crate) fn noted_writer(&self) -> u64 {
        0
    }

    /// See [`Self::noted_writer`].
    #[allow(clippy::unused_self, reason = "on Linux the semaphore's own memory knows")]
    pub(crate) fn note_writer(&self, _: u64) {}

    /// See [`Self::noted_writer`].
    #[allow(clippy::unused_self, reason = "on Linux the semaphore's own memory knows")]
    pub(crate) fn forget_writer(&self) {}

    /// Sleeps until a token could be taken (`true`), or `timeout` has passed or a signal arrived
    /// (`false`).
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        if self.take() {
            return true;
        }
        if timeout.is_zero() {
            return false;
        }
        let deadline = Instant::now() + timeout;
        let Ok(ringing) = self.alarm.set(&self.handle, deadline) else {
            // No thread for the alarm: a bounded sleep is the next best.
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
            return self.take();
        };
        let taken = self.handle.take_by(libc::sem_wait, false);
        if !ringing.stop() {
            return taken;
        }
        // The alarm has put one token in and takes one out again, whichever it is: the others stay
        // for the next look.
        if !taken {
            self.take();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// A pair of handles on one fresh semaphore, without a name any more.
    fn pair(test: &str) -> (Semaphore, Semaphore) {
        let name = &format!("t{}-{test}", std::process::id());
        let unlink = || Semaphore::unlink(name, Signal::Data).unwrap();
        unlink();
        let create = || Semaphore::create(name, Signal::Data, 0o600);
        let made = create().unwrap();
        assert_eq!(create().err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        let opened = Semaphore::open(name, Signal::Data).unwrap();
        assert!(unlink() && !unlink());
        assert!(Semaphore::open(name, Signal::Data).is_err());
        (made, opened)
    }

    #[test]
    fn tokens_pass_between_two_handles() {
        let (own, theirs) = pair("a");
        assert!(!theirs.take() && theirs.value() == 0);
        own.post();
        own.post();
        assert_eq!((theirs.value(), theirs.value()), (SOME, SOME), "looking takes nothing");
        assert!(theirs.take() && theirs.take() && !theirs.take());
        own.post();
        assert!(theirs.take_all() > 0 && theirs.take_all() == 0);
    }

    #[test]
    fn a_wait_ends_in_time_and_leaves_no_token() {
        let (own, _) = pair("b");
        for millis in [0, 1, 5, 20, 1] {
            let (started, timeout) = (Instant::now(), Duration::from_millis(millis));
            assert!(!own.wait(timeout));
            assert!(started.elapsed() >= timeout, "{:?} < {timeout:?}", started.elapsed());
        }
        assert!(!own.take(), "the alarm's token was taken by its own sleeper");
    }

    #[test]
    fn a_token_wakes_a_sleeper_long_before_its_deadline() {
        let (own, theirs) = pair("c");
        let far = Duration::from_secs(1000);
        let started = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert!(own.wait(far));
                }
            });
            for _ in 0..100 {
                thread::sleep(Duration::from_micros(200));
                theirs.post();
            }
        });
        assert!(started.elapsed() < far);
        // The end joins the alarm's thread, which sleeps for a long time yet.
        drop(own);
        assert!(started.elapsed() < far && !theirs.take());
    }

    #[test]
    fn tokens_and_deadlines_race_and_no_token_is_lost_or_made() {
        let (own, theirs) = pair("d");
        let (posts, pause) = (3000, Duration::from_micros(50));
        let taken = thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut taken = 0;
                let end = Instant::now() + Duration::from_secs(60);
                while taken < posts && Instant::now() < end {
                    taken += u32::from(own.wait(pause));
                }
                taken
            });
            for _ in 0..posts {
                theirs.post();
                thread::sleep(pause);
            }
            waiter.join().unwrap()
        });
        assert_eq!(taken, posts);
        assert!(!own.wait(4 * pause) && !own.take());
    }
}
