//! Lines for people, on stderr. Nothing here fails: a closed stderr must not end a stream.
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

static QUIET: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// What happened, unless `--quiet`.
pub(crate) fn note(message: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        line(message);
    }
}

/// What must be seen.
pub(crate) fn warn(message: &str) {
    line(&format!("warning: {message}"));
}

pub(crate) fn error(message: &str) {
    line(&format!("error: {message}"));
}

fn line(message: &str) {
    // One write: lines of several processes must not mix.
    let _ = std::io::stderr().lock().write_all(format!("zerobuffer-bridge: {}\n", plain(message)).as_bytes());
}

/// Without line feeds and other signs for a terminal: names and reasons of peers are in it.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(
            |sign| if sign.is_control() { sign.escape_default().collect::<Vec<_>>() } else { vec![sign] },
        )
        .collect()
}

/// Says a thing again only when it has changed.
#[derive(Debug, Default)]
pub(crate) struct Once(String);

impl Once {
    pub(crate) fn warn(&mut self, message: String) {
        if self.0 != message {
            warn(&message);
            self.0 = message;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
