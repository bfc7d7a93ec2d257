//! The end of a run: Ctrl-C, SIGTERM or SIGHUP.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fail::Fail;

/// A signal this soon after the first is the same wish sent twice. `timeout` sends each signal to
/// the process and to its group.
const SAME: Duration = Duration::from_secs(1);

/// Whether the run is to end. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    ended: Arc<AtomicBool>,
    signal: Arc<AtomicI32>,
}

/// How often a waiting thread looks.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

impl Stop {
    /// Ends at a signal. A second one, a second or more later, ends the process on the spot.
    pub(crate) fn at_signals() -> Result<Stop, Fail> {
        let failed = |error| Fail::other(format!("cannot set up signal handling: {error}"));
        let stop = Stop::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let at = stop.clone();
        let take = move || {
            let mut first = None;
            for signal in signals.forever() {
                let first = *first.get_or_insert_with(Instant::now);
                if first.elapsed() >= SAME {
                    std::process::exit(128 + signal);
                }
                // In this order: a thread that sees the end sees the signal, too.
                let _ = at.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
                at.set();
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(take).map_err(failed)?;
        Ok(stop)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends the run without a signal.
    pub(crate) fn set(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Sleeps, or wakes within [`LOOK`] of the end; whether the run goes on.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.is_set() || left.is_zero() {
                return !self.is_set();
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// The exit code of a run that a signal has ended.
    pub(crate) fn code(&self) -> u8 {
        u8::try_from(self.signal.load(Ordering::SeqCst)).map_or(1, |signal| signal.saturating_add(128))
    }
}
