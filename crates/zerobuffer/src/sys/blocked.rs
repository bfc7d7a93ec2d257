//! A name that cannot be had just now, and for how long it is worth trying again.

use crate::error::{Error, Result};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Pause between two attempts.
const RETRY: Duration = Duration::from_millis(3);

/// Why a name cannot be had, and how long it is worth trying again.
pub(super) struct Blocked {
    pub(super) error: Error,
    pub(super) patience: Duration,
}

impl From<Error> for Blocked {
    fn from(error: Error) -> Self {
        Self { error, patience: Duration::ZERO }
    }
}

/// Repeats what is blocked for a moment. `attempt` holds no lock that others need when it returns.
pub(super) fn retried<T>(mut attempt: impl FnMut() -> Result<T, Blocked>) -> Result<T> {
    let mut blocked = None;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Blocked { error, patience }) => {
                // From the first refusal on: a wait for the folder's lock says nothing about the
                // name.
                if blocked.get_or_insert_with(Instant::now).elapsed() >= patience {
                    return Err(error);
                }
                thread::sleep(RETRY);
            }
        }
    }
}
