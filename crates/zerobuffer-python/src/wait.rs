//! Waiting without the interpreter, with a look at signals about every 50 ms.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zerobuffer::{Error, Patience};

use crate::errors::Failed;
use crate::logging;

/// The longest wait without a look at signals and at `close()` (P6 allows 100 ms).
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Seconds from which a timeout counts as "for ever": an `Instant` that far ahead may not exist.
const FOR_EVER: f64 = 1e9;

/// Has `wait` wait detached, for at most `timeout`. About every 50 ms its thread is attached for a
/// moment. Then it hands on what the core has logged, looks at signals, and calls `look`. What they
/// raise ends the wait.
///
/// That is Python code, which may use the endpoint. So the core must not be waiting with a lock
/// that it would need: see [`in_slices`].
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    timeout: Timeout,
    mut look: impl FnMut(Python<'_>) -> PyResult<()> + Send,
    wait: impl FnOnce(&mut Patience<'_>) -> T + Send,
) -> PyResult<T> {
    let mut raised = None;
    let result = py.detach(|| {
        let mut go_on = || {
            let looked = Python::attach(|py| {
                logging::flush(py)?;
                py.check_signals()?;
                look(py)
            });
            raised = looked.err();
            if raised.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        wait(&mut timeout.patience().asking(&mut go_on))
    });
    logging::flush(py)?;
    match raised {
        None => Ok(result),
        Some(error) => Err(error),
    }
}

/// For [`detached`]: nothing else to look at.
#[expect(clippy::unnecessary_wraps, reason = "as others do")]
pub(crate) fn nothing(_: Python<'_>) -> PyResult<()> {
    Ok(())
}

/// Repeats `slice`, detached, until it finds something or the time is up. In between it does what
/// [`detached`] does.
///
/// This is for an endpoint behind a lock of this crate, which `slice` takes and lets go. Signal
/// handlers run on this very thread, and may read from the endpoint or close it. A hook of the core
/// would call them under that lock. And other threads get the lock between two slices.
pub(crate) fn in_slices<T: Send>(
    py: Python<'_>,
    deadline: &Deadline,
    mut slice: impl FnMut() -> Result<Option<T>, Error> + Send,
    mut look: impl FnMut(Python<'_>) -> PyResult<()>,
) -> Result<Option<T>, Failed> {
    loop {
        let found = py.detach(&mut slice);
        logging::flush(py)?;
        if let Some(found) = found? {
            return Ok(Some(found));
        }
        // Only after an empty slice: what has been taken is handed out whatever the signal.
        py.check_signals()?;
        if deadline.passed() {
            return Ok(None);
        }
        look(py)?;
    }
}
/// A timeout as Python gives it: seconds, or `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Timeout {
    /// Do not wait.
    Zero,
    /// Wait so many seconds. Made a duration when a wait begins: most calls need not wait.
    For(f64),
    /// Wait until something happens.
    Never,
}

impl Timeout {
    /// Reads seconds; a negative number counts as 0, as differences of clock readings do come out
    /// negative.
    pub(crate) fn from_seconds(seconds: Option<f64>) -> PyResult<Self> {
        match seconds {
            None => Ok(Self::Never),
            Some(s) if s.is_nan() => {
                Err(PyValueError::new_err("timeout must be a number of seconds, not NaN"))
            }
            Some(s) if s <= 0.0 => Ok(Self::Zero),
            Some(s) if s >= FOR_EVER => Ok(Self::Never),
            Some(s) => Ok(Self::For(s)),
        }
    }

    /// As the core has it.
    fn patience<'a>(self) -> Patience<'a> {
        match self {
            Self::Zero => Patience::at_most(Duration::ZERO),
            Self::For(seconds) => Patience::at_most(Duration::from_secs_f64(seconds)),
            Self::Never => Patience::forever(),
        }
    }

    /// Starts the clock.
    pub(crate) fn start(self) -> Deadline {
        let now = Instant::now();
        let end = match self {
            Self::Zero => Some(now),
            Self::For(s) => now.checked_add(Duration::from_secs_f64(s)),
            Self::Never => None,
        };
        Deadline { start: now, end }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("0s"),
            Self::For(s) => write!(f, "{:?}", Duration::from_secs_f64(*s)),
            Self::Never => f.write_str("None"),
        }
    }
}

impl From<Duration> for Timeout {
    fn from(d: Duration) -> Self {
        if d.is_zero() {
            Self::Zero
        } else if d.as_secs_f64() >= FOR_EVER {
            Self::Never
        } else {
            Self::For(d.as_secs_f64())
        }
    }
}

/// A running timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
    end: Option<Instant>,
}

impl Deadline {
    /// How long the next slice may be; zero once the time is up.
    pub(crate) fn slice(&self) -> Duration {
        match self.end {
            None => SLICE,
            Some(end) => end.saturating_duration_since(Instant::now()).min(SLICE),
        }
    }

    /// Whether the time is up.
    pub(crate) fn passed(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Time since the start.
    pub(crate) fn waited(&self) -> Duration {
        self.start.elapsed()
    }
}
