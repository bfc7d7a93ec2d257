//! One line on a terminal that tells how a stream goes, between its first note and its last.
use std::io::IsTerminal as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{say, size};

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(500);

/// A line under way; it goes when this is dropped.
pub(crate) struct Status {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the line is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Frames that did not get through: dropped, or passed over.
    pub(crate) lost: u64,
    /// How full the ring is, 0.0 to 1.0.
    pub(crate) fill: f64,
}

impl Status {
    /// Shows a line on standard error if a person can see it there. `apart`: no other program of a
    /// pipeline, which may have such a line of its own, stands beside this one.
    pub(crate) fn start(name: &str, apart: bool, look: impl Fn() -> Progress + Send + 'static) -> Status {
        let nothing = Status { stop: None, thread: None };
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !apart || dumb || say::is_quiet() || !std::io::stderr().is_terminal() {
            return nothing;
        }
        let (stop, stopped) = mpsc::channel();
        let name = name.to_owned();
        let show = move || {
            let mut last = (Instant::now(), look());
            while matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                let now = (Instant::now(), look());
                say::status(&line(&name, last, now));
                last = now;
            }
            say::no_status();
        };
        // A stream does not fail because its progress cannot be shown.
        std::thread::Builder::new()
            .name(String::from("status"))
            .spawn(show)
            .map_or(nothing, |thread| Status { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn line(name: &str, before: (Instant, Progress), now: (Instant, Progress)) -> String {
    let (before, then, progress) = (before.1, before.0, now.1);
    let seconds = now.0.saturating_duration_since(then).as_secs_f64().max(1e-3);
    let frames = progress.frames.saturating_sub(before.frames);
    let bytes = progress.bytes.saturating_sub(before.bytes);
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let (rate, throughput) = (frames as f64 / seconds, bytes as f64 / seconds);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let throughput = size::human(throughput as u64);
    let fill = progress.fill * 100.0;
    let lost =
        if progress.lost == 0 { String::new() } else { format!(", {} lost", thousands(progress.lost)) };
    format!(
        "{name}: {} frames, {rate:.1}/s, {throughput}/s, ring {fill:.0} % full{lost}",
        thousands(progress.frames)
    )
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn rates_are_those_since_the_last_look() {
        let start = Instant::now();
        let before = Progress { frames: 100, bytes: 0, lost: 0, fill: 0.0 };
        let now = Progress { frames: 1130, bytes: 1 << 20, lost: 2, fill: 0.25 };
        assert_eq!(
            line("cam", (start, before), (start + Duration::from_secs(1), now)),
            "cam: 1,130 frames, 1030.0/s, 1 MiB/s, ring 25 % full, 2 lost"
        );
    }
}
