//! Named semaphores in glibc's 64-bit layout, so `sem_open` of any libc's peer works with them
//! (W1).
//!
//! A 32-byte file. A little-endian u64 has the value in the low half and the number of sleepers in
//! the high half. A u32 follows that glibc sets to 128 for "shared between processes". Sleepers
//! wait on the low half with a futex.

use super::{
    futex,
    shm::{self, File, Mapping},
};
use crate::{
    crash,
    error::{Error, Result},
    sync::{AtomicU64, End, Instant, Ordering, order},
};
use std::{io, time::Duration};

/// Bytes of glibc's `sem_t`.
pub(crate) const SIZE: u64 = 32;
/// The bytes of a semaphore of value 0, as glibc writes them.
pub(crate) const FRESH: [u8; SIZE as usize] = {
    let mut bytes = [0; SIZE as usize];
    bytes[8] = 128;
    bytes
};

/// Where a native writer leaves its pid, behind the bytes that any C library uses.
pub(crate) const NOTE: u64 = 16;

const ONE_SLEEPER: u64 = 1 << 32;
pub(super) const VALUE: u64 = ONE_SLEEPER - 1;
/// A post at or above this value is left out: every sleeper is awake long before (`SEM_VALUE_MAX`
/// is 2^31 - 1).
const SATURATED: u64 = (1 << 31) - (1 << 16);

/// More sleepers than processes can have.
const MANY_SLEEPERS: u64 = 1 << 22;

/// Whether these can be the bytes of a semaphore: the layout of glibc, our note, and values that
/// occur.
#[cfg_attr(any(loom, shuttle), allow(dead_code, reason = "nobody plants files there"))]
pub(super) fn is_plausible(bytes: &[u8; SIZE as usize]) -> bool {
    let mut words =
        bytes.chunks_exact(8).map(|chunk| chunk.iter().rev().fold(0, |word, &b| (word << 8) | u64::from(b)));
    let mut next = || words.next().unwrap_or(0);
    let (state, shared, note, rest) = (next(), next(), next(), next());
    // A legacy writer may fall asleep while the reader forgets the sleepers of one that died. It
    // takes itself off the number later, which then is below 0.
    let sleepers = ((state / ONE_SLEEPER) as u32).cast_signed().unsigned_abs();
    let is_value = state & VALUE < 1 << 31 && u64::from(sleepers) < MANY_SLEEPERS;
    is_value && shared == 128 && note < 1 << 32 && rest == 0
}

/// One of the two wake-up semaphores.
#[derive(Debug)]
pub(crate) struct Semaphore {
    mapping: Mapping,
}

impl Semaphore {
    /// Looking at the value is a load, which a spin may do all the time.
    pub(crate) const VALUE_IS_CHEAP: bool = true;
    /// Every native writer that holds its byte has left a note, see [`Self::note_writer`].
    pub(crate) const HAS_NOTES: bool = true;

    pub(crate) fn open(file_name: &str) -> Result<Self> {
        let path = shm::path(file_name);
        let file = shm::open(file_name)?;
        let size = file.metadata().map_err(|e| Error::os("inspect", &path, e))?.len();
        if size < SIZE {
            let source = io::Error::other(format!("it has {size} bytes, a semaphore has {SIZE}"));
            return Err(Error::os("open", path, source));
        }
        Self::of(&file, &path)
    }

    /// The semaphore in a file that is long enough; `path` is for the error text.
    pub(crate) fn of(file: &File, path: &str) -> Result<Self> {
        Ok(Self { mapping: Mapping::new(file, SIZE).map_err(|e| Error::os("map", path, e))? })
    }

    fn state(&self) -> &AtomicU64 {
        self.mapping.word::<0>()
    }

    /// A word behind the bytes that any libc uses, in which a native writer leaves its pid.
    fn note(&self) -> &AtomicU64 {
        self.mapping.word::<16>()
    }

    /// The last native writer that noted itself; 0 if it has left, or if there was none.
    pub(crate) fn noted_writer(&self) -> u64 {
        self.note().load(Ordering::SeqCst)
    }

    /// Notes the native writer that is about to register itself.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn note_writer(&self, pid: u64) {
        crash::around(|| self.note().store(pid, Ordering::SeqCst));
    }

    /// Removes the note; only for who holds the writer's presence byte.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn forget_writer(&self) {
        crash::around(|| self.note().store(0, Ordering::SeqCst));
    }

    /// The number of tokens.
    #[inline]
    pub(crate) fn value(&self) -> u32 {
        // Part of edge E4: in the total order after the credit that precedes it.
        (self.state().load(order(End::E4Reader, Ordering::SeqCst)) & VALUE) as u32
    }

    /// The number of tokens, where it can be known.
    #[allow(clippy::unnecessary_wraps, reason = "as on other systems")]
    pub(crate) fn known_value(&self) -> Option<u32> {
        Some(self.value())
    }

    /// Whether somebody sleeps until there is a token.
    pub(crate) fn is_awaited(&self) -> bool {
        let state = self.state().load(Ordering::SeqCst);
        state >= ONE_SLEEPER && state & VALUE == 0
    }

    /// Adds a token and wakes one sleeper.
    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    pub(crate) fn post(&self) {
        if self.state().load(Ordering::Relaxed) & VALUE >= SATURATED {
            return;
        }
        // Edge E3, release end: what was written before is visible to the taker of the token.
        let old = crash::around(|| self.state().fetch_add(1, order(End::E3Release, Ordering::SeqCst)));
        if old >= ONE_SLEEPER {
            futex::wake(self.state());
        }
    }

    /// Takes one token if there is one.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn take(&self) -> bool {
        let mut state = self.state().load(Ordering::Relaxed);
        while state & VALUE != 0 {
            // Edge E3, acquire end.
            let taken = order(End::E3Acquire, Ordering::SeqCst);
            let take = || self.state().compare_exchange_weak(state, state - 1, taken, Ordering::Relaxed);
            match crash::around(take) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Takes all tokens, and says how many; the caller looks at what they announced afterwards.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn take_all(&self) -> u32 {
        if self.state().load(Ordering::Relaxed) & VALUE == 0 {
            return 0;
        }
        // Edge E3 and E4, acquire end: a token posted before is gone, one posted later stays.
        let take = || self.state().fetch_and(!VALUE, order(End::E3Acquire, Ordering::SeqCst));
        (crash::around(take) & VALUE) as u32
    }

    /// The endpoint is closed; its frames and handles keep a mapping alive, which keeps no name.
    #[allow(clippy::unused_self, reason = "other systems have a name to let go of")]
    pub(crate) fn retire(&self) {}

    /// Forgets sleepers that died asleep; only for who knows that nobody can be waiting.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn forget_sleepers(&self) {
        crash::around(|| self.state().fetch_and(VALUE, Ordering::SeqCst));
    }

    /// Sleeps until a token could be taken (`true`), or `timeout` has passed or a signal arrived
    /// (`false`).
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        // Edges E3 and E4, acquire end.
        let order = order(End::E3Acquire, Ordering::SeqCst);
        let before = crash::around(|| self.state().fetch_add(ONE_SLEEPER, order));
        // The number of sleepers is anybody's to write: it wraps, as it does in memory (W13).
        let mut state = before.wrapping_add(ONE_SLEEPER);
        loop {
            if state & VALUE != 0 {
                let taken = (state - 1).wrapping_sub(ONE_SLEEPER);
                let take = || self.state().compare_exchange_weak(state, taken, order, Ordering::Relaxed);
                match crash::around(take) {
                    Ok(_) => return true,
                    Err(now) => state = now,
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let interrupted = futex::sleep(self.state(), left);
            state = self.state().load(order);
            if state & VALUE == 0 && (interrupted || left.is_zero()) {
                // A token that arrives in between stays for the next look.
                crash::around(|| self.state().fetch_sub(ONE_SLEEPER, Ordering::SeqCst));
                return false;
            }
        }
    }
}

/// For who sleeps on the words of many semaphores at a time.
#[cfg(feature = "async")]
impl Semaphore {
    /// The word whose low half is the number of tokens.
    pub(crate) fn word(&self) -> &AtomicU64 {
        self.state()
    }

    /// From now on a post wakes. What was posted before is visible to the caller (edges E3 and E4,
    /// acquire end). The taker of a token that was posted later sees what the caller has done
    /// before.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn add_sleeper(&self) {
        crash::around(|| self.state().fetch_add(ONE_SLEEPER, Ordering::SeqCst));
    }

    /// Takes [`Self::add_sleeper`] back.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn remove_sleeper(&self) {
        crash::around(|| self.state().fetch_sub(ONE_SLEEPER, Ordering::SeqCst));
    }

    /// A wake-up has come to who does not wait: hands it on to who does.
    pub(crate) fn pass_on(&self) {
        let state = self.state().load(Ordering::SeqCst);
        if state >= ONE_SLEEPER && state & VALUE != 0 {
            futex::wake(self.state());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// The bytes do not come from the C library that this is built with: musl's `sem_t` has another
    /// content.
    #[test]
    fn the_bytes_are_glibcs_whatever_the_c_library() {
        let file = shm::folder().unwrap().unnamed().unwrap();
        file.write_all_at(&FRESH, 0).unwrap();
        let semaphore = Semaphore::of(&file, "a test").unwrap();
        let bytes = || {
            let mut bytes = [0; SIZE as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        let mut expected = FRESH;
        assert_eq!((expected[8], expected[..8].iter().sum::<u8>()), (128, 0));
        semaphore.post();
        semaphore.post();
        expected[0] = 2;
        assert_eq!(bytes(), expected, "the value is a little-endian word at offset 0");
        assert!(semaphore.wait(Duration::ZERO));
        expected[0] = 1;
        assert_eq!(bytes(), expected, "no sleeper is left over at offset 4");
        let code = include_str!("semaphore.rs").split("#[cfg(test)]").next().unwrap();
        assert!(!code.contains("libc::sem_"), "a call of the C library would use its own layout");
    }

    #[test]
    fn what_occurs_is_plausible_and_the_rest_is_another_programs() {
        let with = |at: usize, bytes: &[u8]| {
            let mut all = FRESH;
            all[at..at + bytes.len()].copy_from_slice(bytes);
            is_plausible(&all)
        };
        assert!(is_plausible(&FRESH) && with(0, &[3, 0, 0, 0, 2]) && with(16, &[1, 2, 3, 0]));
        assert!(with(4, &[0xFF; 4]), "one that woke has taken itself off after all were forgotten");
        assert!(!with(4, &[0, 0, 0x50, 0]) && !with(4, &[0, 0, 0, 0x80]), "so many do not sleep");
        assert!(!with(0, &[0, 0, 0, 0x80]) && !with(8, &[0]) && !with(20, &[1]) && !with(24, &[1]));
    }

    /// The other direction, where the C library is glibc: its own calls take our file for one of
    /// theirs.
    #[cfg(target_env = "gnu")]
    #[allow(clippy::cast_ptr_alignment, reason = "a mapping is page aligned")]
    #[test]
    fn glibc_uses_the_same_bytes() {
        use crate::memory::Memory;

        assert_eq!(size_of::<libc::sem_t>() as u64, SIZE);
        let file = shm::folder().unwrap().unnamed().unwrap();
        shm::reserve(&file, "a test", SIZE).unwrap();
        file.write_all_at(&FRESH, 0).unwrap();
        let semaphore = Semaphore::of(&file, "a test").unwrap();
        let theirs = semaphore.mapping.base().as_ptr().cast::<libc::sem_t>();
        let mut value = 0;
        // SAFETY: the mapping holds a semaphore of glibc's layout, which is what is tested, and
        // outlives the calls.
        unsafe {
            assert_eq!(libc::sem_trywait(theirs), -1, "it is empty");
            assert_eq!(libc::sem_post(theirs), 0);
            assert!(semaphore.take() && !semaphore.take());
            semaphore.post();
            semaphore.post();
            assert_eq!((libc::sem_getvalue(theirs, &raw mut value), value), (0, 2));
            assert_eq!(libc::sem_wait(theirs), 0);
        }
        assert_eq!(semaphore.value(), 1);
    }
}
