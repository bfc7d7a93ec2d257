//! Waiting for the other side, and words for its going.
use std::time::{Duration, Instant};

use zerobuffer::{Error, Writer, WriterConfig};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{say, signals};

/// How long one attempt to connect lasts: the longest that Ctrl-C goes unnoticed.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Connects to `name`, waiting for its reader for at most `wait`, for ever if that is `None`.
pub(crate) fn connect(name: &str, config: &WriterConfig, wait: Option<Duration>) -> Result<Writer, Fail> {
    let start = Instant::now();
    let mut told = false;
    loop {
        let left = wait.map(|wait| wait.saturating_sub(start.elapsed()));
        let attempt = left.map_or(ATTEMPT, |left| left.min(ATTEMPT));
        let error = match Writer::connect_with(name, config.clone().connect_timeout(attempt)) {
            Ok(writer) => return Ok(writer),
            Err(error) => error,
        };
        if signals::caught().is_some() {
            return Err(signals::interrupted(&format!("no reader of '{name}' came")));
        }
        if !is_worth_waiting(&error) {
            return Err(error.into());
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(too_late(name, error, wait.unwrap_or_default()));
        }
        if !std::mem::replace(&mut told, true) {
            say::note(&format!("waiting for a reader of '{name}' (start one with: zerobuffer recv {name})"));
        }
        // The library may give up at once, for instance on a buffer that is being removed.
        if signals::sleep(Duration::from_millis(10)) {
            return Err(signals::interrupted(&format!("no reader of '{name}' came")));
        }
    }
}

/// Whether a reader that comes (back) makes the attempt succeed.
fn is_worth_waiting(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. }
            | Error::NotReady { .. }
            | Error::ReaderGone { .. }
            | Error::CrashNotNoticed { .. }
    )
}

fn too_late(name: &str, error: Error, wait: Duration) -> Fail {
    match error {
        Error::NotFound { .. } => Fail::new(
            Exit::Absent,
            format!(
                "no reader of '{name}' came within {} s: start one with `zerobuffer recv {name}`, or wait longer with --wait SECONDS",
                wait.as_secs_f64()
            ),
        ),
        other => other.into(),
    }
}

/// The failure for an error of a stream that was running: what was done is part of the message.
pub(crate) fn ended(error: Error, done: &str) -> Fail {
    match error {
        Error::Closed { .. } => signals::interrupted(done),
        error => Fail::from(error).hint(done),
    }
}

/// `1 frame`, `2 frames`.
pub(crate) fn frames(count: u64) -> String {
    if count == 1 { String::from("1 frame") } else { format!("{count} frames") }
}
