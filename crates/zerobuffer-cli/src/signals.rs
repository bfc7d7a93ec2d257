//! Ctrl-C and its kin: one thread that takes the signals and ends whatever the command is blocked in.
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit::Exit;
use crate::fail::Fail;

type Interrupter = Box<dyn Fn() + Send>;

struct State {
    /// The first signal that came; 0 before.
    caught: AtomicI32,
    /// Readable for good once a signal came: what polls it never misses the signal.
    wake: OwnedFd,
    interrupters: Mutex<Vec<Interrupter>>,
}

static STATE: OnceLock<State> = OnceLock::new();

/// Takes SIGINT, SIGTERM and, unless it is ignored (nohup), SIGHUP.
///
/// The first signal ends what is running in good order; a second one ends the process on the spot.
pub(crate) fn install() -> Result<(), Fail> {
    let failed = |error: &io::Error| Fail::io("cannot set up signal handling", error);
    let (wake, mut trigger) = io::pipe().map_err(|error| failed(&error))?;
    let state = State { caught: AtomicI32::new(0), wake: wake.into(), interrupters: Mutex::new(Vec::new()) };
    if STATE.set(state).is_err() {
        return Ok(());
    }
    let mut wanted = vec![SIGINT, SIGTERM];
    if !hangup_is_ignored() {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted).map_err(|error| failed(&error))?;
    std::thread::Builder::new()
        .name(String::from("signals"))
        .spawn(move || {
            for signal in signals.forever() {
                if let Some(previous) = take(signal) {
                    std::process::exit(i32::from(exit_of(previous).code()));
                }
                // Dropping nothing: the byte stays in the pipe, so every later poll sees it.
                let _ = trigger.write(b"!");
            }
        })
        .map_err(|error| failed(&error))?;
    Ok(())
}

/// Records the first signal and interrupts; a later one gets the first back.
fn take(signal: i32) -> Option<i32> {
    let state = STATE.get()?;
    if let Err(previous) = state.caught.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst) {
        return Some(previous);
    }
    for interrupt in state.interrupters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        interrupt();
    }
    None
}

/// Whether whoever started us asked for SIGHUP to be ignored; std has no call for it. Where there is no /proc to ask,
/// SIGHUP is left as it is: to be ended is better than not to be left alone.
fn hangup_is_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Has `interrupt` called when a signal comes, or at once if one came already.
pub(crate) fn on_signal(interrupt: impl Fn() + Send + 'static) {
    let Some(state) = STATE.get() else { return };
    let mut interrupters = state.interrupters.lock().unwrap_or_else(PoisonError::into_inner);
    // Under the lock: `take` stores the signal before it walks the list, so one of the two calls `interrupt`.
    if caught().is_some() {
        interrupt();
    }
    interrupters.push(Box::new(interrupt));
}

/// The signal that came, if any.
pub(crate) fn caught() -> Option<i32> {
    let signal = STATE.get()?.caught.load(Ordering::SeqCst);
    (signal != 0).then_some(signal)
}

fn exit_of(signal: i32) -> Exit {
    u8::try_from(signal).map_or(Exit::Failure, Exit::Signal)
}

/// The failure that reports the caught signal; `done` says how far the command came.
pub(crate) fn interrupted(done: &str) -> Fail {
    match caught() {
        Some(signal) => {
            let name = match signal {
                SIGINT => "Ctrl-C",
                SIGTERM => "SIGTERM",
                SIGHUP => "a hang-up",
                _ => "a signal",
            };
            Fail::new(exit_of(signal), format!("stopped by {name}: {done}"))
        }
        None => Fail::new(Exit::Failure, format!("closed: {done}")),
    }
}

/// Waits until `fd` is ready, a signal came, or the time is over; says whether `fd` is ready.
///
/// `None` as `fd` waits for a signal or the time only; `None` as `timeout` waits for ever.
pub(crate) fn wait(fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if caught().is_some() {
            return Ok(false);
        }
        let mut fds = Vec::with_capacity(2);
        if let Some((fd, flags)) = fd {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        if let Some(state) = STATE.get() {
            fds.push(PollFd::from_borrowed_fd(state.wake.as_fd(), PollFlags::IN));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let span = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, span.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let ready = fd.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty());
        if ready || left.is_some_and(|left| left.is_zero()) {
            return Ok(ready);
        }
    }
}

/// Sleeps unless a signal comes; says whether one did.
pub(crate) fn sleep(time: Duration) -> bool {
    if wait(None, Some(time)).is_err() {
        std::thread::sleep(time);
    }
    caught().is_some()
}
