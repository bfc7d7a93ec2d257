//! Lines for people, on stderr. Nothing here fails: a closed stderr must not end a stream.
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::text;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Keeps notes from being printed; errors still are.
pub(crate) fn set_quiet(quiet: bool) {
    // Set once before any other thread speaks; nothing else depends on the order.
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Prints a note unless `--quiet`.
pub(crate) fn note(message: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        line(message);
    }
}

/// Prints an error.
pub(crate) fn error(message: &str) {
    line(&format!("error: {message}"));
}

fn line(message: &str) {
    // One write for the whole line, so that lines of several processes do not mix.
    let line = format!("zerobuffer: {}\n", text::one_line(message));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
