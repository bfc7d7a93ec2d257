//! Lines for people, on stderr. Nothing here fails: a closed stderr must not end a stream.
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::text;

static QUIET: AtomicBool = AtomicBool::new(false);
/// Whether a status line stands at the end of stderr. Held while anything is written there.
static STATUS: Mutex<bool> = Mutex::new(false);

/// Goes to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// Keeps notes from being printed; errors still are.
pub(crate) fn set_quiet(quiet: bool) {
    // Set once before any other thread speaks; nothing else depends on the order.
    QUIET.store(quiet, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a note unless `--quiet`.
pub(crate) fn note(message: &str) {
    if !is_quiet() {
        line(message);
    }
}

/// Prints an error.
pub(crate) fn error(message: &str) {
    line(&format!("error: {message}"));
}

/// Puts `message` in the place of the last status line.
pub(crate) fn status(message: &str) {
    // A terminal that does not know its width says 0.
    let width = crossterm::terminal::size().map_or(0, |(width, _)| width);
    let width = if width < 20 { 79 } else { width - 1 };
    let mut shown = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    *shown = true;
    write(&format!("{CLEAR}{}", text::excerpt(message, usize::from(width))));
}

/// Takes the status line away.
pub(crate) fn no_status() {
    let mut shown = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    if std::mem::take(&mut *shown) {
        write(CLEAR);
    }
}

/// Prints a line that is complete and safe for a terminal, its line feed apart.
pub(crate) fn raw_line(line: &str) {
    let mut shown = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    let clear = if std::mem::take(&mut *shown) { CLEAR } else { "" };
    // One write for the whole line, so lines of several processes do not mix.
    write(&format!("{clear}{line}\n"));
}

fn line(message: &str) {
    raw_line(&format!("zerobuffer: {}", text::one_line(message)));
}

fn write(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
