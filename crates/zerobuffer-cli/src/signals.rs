//! Ctrl-C and its kin: taken by a thread that ends whatever the command is blocked in.
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::exit::Exit;
use crate::fail::Fail;
use crate::os;

type Interrupter = Box<dyn Fn() + Send>;

struct State {
    /// The first signal that came; 0 before.
    caught: AtomicI32,
    interrupters: Mutex<Vec<Interrupter>>,
}

static STATE: OnceLock<State> = OnceLock::new();

/// Takes SIGINT, SIGTERM and SIGHUP, or what the system has instead.
///
/// The first signal ends what is running in good order; a second one ends the process on the spot.
pub(crate) fn install() -> Result<(), Fail> {
    let state = State { caught: AtomicI32::new(0), interrupters: Mutex::new(Vec::new()) };
    if STATE.set(state).is_err() {
        return Ok(());
    }
    os::catch(|signal| {
        if let Some(previous) = take(signal) {
            std::process::exit(i32::from(exit_of(previous).code()));
        }
        os::wake();
    })
    .map_err(|error| Fail::io("cannot set up signal handling", &error))
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
