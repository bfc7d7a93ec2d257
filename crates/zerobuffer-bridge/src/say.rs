//! Lines for people, on stderr. Nothing here fails: a closed stderr must not end a stream.
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static QUIET: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Peers cause lines, and one of them could fill a disk. This many come at once, and then one
/// more in each [`PACE`].
const BURST: u32 = 200;
const PACE: Duration = Duration::from_secs(1);

static LINES: Mutex<Budget> = Mutex::new(Budget { left: BURST, since: None, unsaid: 0 });

/// Lines that may be printed.
#[derive(Debug)]
struct Budget {
    left: u32,
    /// When the last one was added.
    since: Option<Instant>,
    /// Lines that were left out since the last one that was not.
    unsaid: u64,
}

impl Budget {
    /// Whether a line may be printed, and how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let more = u32::try_from(now.duration_since(since).as_secs() / PACE.as_secs()).unwrap_or(BURST);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.since = Some(now);
        }
        if self.left == 0 {
            self.unsaid += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// What happened, unless `--quiet`.
pub(crate) fn note(message: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        within_budget(message);
    }
}

/// What must be seen.
pub(crate) fn warn(message: &str) {
    within_budget(&format!("warning: {message}"));
}

fn within_budget(message: &str) {
    let said = LINES.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
    match said {
        None => {}
        Some(0) => line(message),
        Some(unsaid) => {
            line(&format!("warning: {unsaid} lines were left out"));
            line(message);
        }
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_flood_of_lines_is_left_out_and_counted() {
        let mut budget = Budget { left: BURST, since: None, unsaid: 0 };
        let start = Instant::now();
        assert_eq!((0..1000).filter(|_| budget.take(start).is_some()).count(), BURST as usize);
        let later = start + PACE * 2;
        assert_eq!(budget.take(later), Some(800));
        assert_eq!((budget.take(later), budget.take(later)), (Some(0), None));
        let much_later = start + PACE * 10_000;
        assert_eq!((0..1000).filter(|_| budget.take(much_later).is_some()).count(), BURST as usize);
    }
}
