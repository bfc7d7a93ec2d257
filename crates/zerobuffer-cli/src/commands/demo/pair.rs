//! The two processes of one run: started, watched, and asked what they measured.
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use zerobuffer::observe;

use super::writer::Measured;
use crate::commands::end::{End, sweep};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::rate::Rate;
use crate::{signals, size};

/// How often the parent looks at its children.
const LOOK: Duration = Duration::from_millis(50);

/// What one run streams.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) name: String,
    pub(super) frame_bytes: u64,
    pub(super) ring: u64,
    /// `None`: at full speed.
    pub(super) rate: Option<Rate>,
    pub(super) seconds: Duration,
    pub(super) input: Option<&'a str>,
}

/// The reading and the writing process of one run.
pub(super) struct Pair {
    name: String,
    reader: End,
    writer: End,
}

impl Pair {
    /// Starts the reader, waits until its buffer exists, then starts the writer.
    pub(super) fn start(run: &Run<'_>) -> Result<Pair, Fail> {
        let size = run.frame_bytes.to_string();
        let mut arguments = vec![run.name.clone(), format!("--size={size}")];
        arguments.extend(run.input.map(|input| format!("--input={input}")));

        let mut reader_arguments = arguments.clone();
        reader_arguments.push(format!("--ring={}", run.ring));
        // Its first line says that the buffer is there.
        let reader = End::start_ready("the demo's reader", "demo-reader", &reader_arguments)?;

        let mut writer_arguments = arguments;
        writer_arguments.push(format!("--seconds={}", run.seconds.as_secs_f64()));
        writer_arguments.extend(run.rate.map(|rate| format!("--fps={rate}")));
        let writer = End::start("the demo's writer", "demo-writer", &writer_arguments)?;
        Ok(Pair { name: run.name.clone(), reader, writer })
    }

    /// Shows progress until both have ended; gives what the writer and the reader measured.
    pub(super) fn finish(mut self, run: &Run<'_>) -> Result<(Measured, Measured), Fail> {
        let bar = progress_bar(run);
        let start = Instant::now();
        let result = self.watch(run, &bar, start);
        bar.finish_and_clear();
        result?;
        Ok((self.writer.measured()?, self.reader.measured()?))
    }

    fn watch(&mut self, run: &Run<'_>, bar: &ProgressBar, start: Instant) -> Result<(), Fail> {
        loop {
            if signals::sleep(LOOK) {
                self.stop();
                return Err(signals::interrupted("the demo's processes have ended, too"));
            }
            let (reader, writer) = (self.reader.poll()?, self.writer.poll()?);
            if let (Some(reader), Some(writer)) = (reader, writer) {
                if !reader.success() || !writer.success() {
                    return Err(self.failure());
                }
                return Ok(());
            }
            // A failure of one ends the other by itself; only a writer that never connected leaves
            // its reader waiting.
            if writer.is_some_and(|status| !status.success()) && reader.is_none() {
                let asked = self.reader.ask_to_end();
                self.reader.wait(asked);
                return Err(self.failure());
            }
            show(run, bar, start);
        }
    }

    /// Ends both: politely, then for good.
    fn stop(&mut self) {
        let asked = self.writer.ask_to_end();
        let _ = self.reader.ask_to_end();
        self.writer.wait(asked);
        self.reader.wait(asked);
    }

    /// The failure to report: the reader's if it found wrong bytes, else that of the end that
    /// failed first in the chain.
    fn failure(&mut self) -> Fail {
        let mismatch = i32::from(Exit::Mismatch.code());
        let code = |end: &End| end.status.and_then(|status| status.code());
        let peer_gone = Some(i32::from(Exit::PeerGone.code()));
        let writer_is_cause = code(&self.writer) != Some(0) && code(&self.writer) != peer_gone;
        if code(&self.reader) != Some(mismatch) && writer_is_cause {
            return self.writer.failure();
        }
        if code(&self.reader) == Some(0) { self.writer.failure() } else { self.reader.failure() }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop();
        sweep(&self.name);
    }
}

/// A bar on stderr, hidden when that is no terminal.
fn progress_bar(run: &Run<'_>) -> ProgressBar {
    let length = u64::try_from(run.seconds.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(match run.rate {
        None => String::from("full speed"),
        Some(rate) => format!("{rate} frames/s"),
    });
    bar
}

/// What the buffer itself says about the stream, read without disturbing it.
fn show(run: &Run<'_>, bar: &ProgressBar, start: Instant) {
    if bar.is_hidden() {
        return;
    }
    bar.set_position(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
    if let Ok(info) = observe::inspect(&run.name) {
        let used = info.payload_size.saturating_sub(info.free);
        bar.set_message(format!("{} in the ring", size::human(used)));
    }
}
