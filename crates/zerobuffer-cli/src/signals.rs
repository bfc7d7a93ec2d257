//! Ctrl-C and its kin: taken by a thread that ends whatever the command is blocked in.
use std::io::Read as _;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::os;

type Interrupter = Box<dyn Fn() + Send>;

/// A signal this soon after the first is the same wish sent twice: by the terminal and by a parent,
/// or by `timeout`. That sends each signal to the process and to its group.
const SAME: Duration = Duration::from_secs(1);

struct State {
    /// The first signal that came; 0 before.
    caught: AtomicI32,
    /// When it came.
    when: OnceLock<Instant>,
    interrupters: Mutex<Vec<Interrupter>>,
}

static STATE: OnceLock<State> = OnceLock::new();

/// Takes SIGINT, SIGTERM and SIGHUP, or what the system has instead.
///
/// The first signal ends what is running in good order; a second one, a second or more later, ends
/// the process on the spot.
pub(crate) fn install() -> Result<(), Fail> {
    let state =
        State { caught: AtomicI32::new(0), when: OnceLock::new(), interrupters: Mutex::new(Vec::new()) };
    if STATE.set(state).is_err() {
        return Ok(());
    }
    os::catch(arrived).map_err(|error| Fail::io("cannot set up signal handling", &error))
}

/// Ends this process in good order when the process that started it is gone: standard input is a
/// pipe from there.
pub(crate) fn follow_parent() -> Result<(), Fail> {
    let follow = || {
        // Nothing is ever written: what a read gives is the end.
        let mut byte = [0u8; 1];
        while std::io::stdin().lock().read(&mut byte).is_ok_and(|count| count > 0) {}
        arrived(os::TERMINATE);
    };
    let thread = std::thread::Builder::new().name(String::from("parent"));
    thread.spawn(follow).map(drop).map_err(|error| Fail::io("cannot start a thread", &error))
}

/// A signal came.
fn arrived(signal: i32) {
    if let Some(previous) = take(signal) {
        let state = STATE.get();
        if state.and_then(|state| state.when.get()).is_none_or(|when| when.elapsed() < SAME) {
            return;
        }
        os::die_of(previous);
        std::process::exit(i32::from(exit_of(previous).code()));
    }
    os::wake();
}

/// The exit of a process that `exit` ends. Where a signal ended it, the shell is to see just that:
/// a loop of the shell then stops, too.
pub(crate) fn leave(exit: Exit) -> u8 {
    if let Some(signal) = caught().filter(|signal| exit_of(*signal) == exit) {
        os::die_of(signal);
    }
    exit.code()
}

/// Records the first signal and interrupts; a later one gets the first back.
fn take(signal: i32) -> Option<i32> {
    let state = STATE.get()?;
    if let Err(previous) = state.caught.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst) {
        return Some(previous);
    }
    let _ = state.when.set(Instant::now());
    for interrupt in state.interrupters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        interrupt();
    }
    None
}

/// Has `interrupt` called when a signal comes, or at once if one came already.
pub(crate) fn on_signal(interrupt: impl Fn() + Send + 'static) {
    let Some(state) = STATE.get() else { return };
    let mut interrupters = state.interrupters.lock().unwrap_or_else(PoisonError::into_inner);
    // Under the lock: `take` stores the signal before it walks the list, so one of the two calls
    // `interrupt`.
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
                os::INTERRUPT => "Ctrl-C",
                os::TERMINATE => "SIGTERM",
                os::HANG_UP => "a hang-up",
                _ => "a signal",
            };
            Fail::new(exit_of(signal), format!("stopped by {name}: {done}"))
        }
        None => Fail::new(Exit::Failure, format!("closed: {done}")),
    }
}

/// Sleeps unless a signal comes; says whether one did.
pub(crate) fn sleep(time: Duration) -> bool {
    os::sleep(time);
    caught().is_some()
}
