//! Waiting in slices: how long one detached wait may last, and when the whole one is over.

use std::fmt;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The longest wait without a look at signals and at `close()` (P6 allows 100 ms).
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Seconds from which a timeout counts as "for ever": an `Instant` that far ahead may not exist.
const FOR_EVER: f64 = 1e9;

/// A timeout as Python gives it: seconds, or `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Timeout {
    /// Do not wait.
    Zero,
    /// Wait that long.
    For(Duration),
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
            Some(s) => Ok(Self::For(Duration::from_secs_f64(s))),
        }
    }

    /// Starts the clock.
    pub(crate) fn start(self) -> Deadline {
        let now = Instant::now();
        let end = match self {
            Self::Zero => Some(now),
            Self::For(d) => now.checked_add(d),
            Self::Never => None,
        };
        Deadline { start: now, end }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("0s"),
            Self::For(d) => write!(f, "{d:?}"),
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
            Self::For(d)
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
