//! The two processes of one run: started, watched, and asked what they measured.
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use zerobuffer::observe;

use super::writer::Measured;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::rate::Rate;
use crate::{os, signals, size};

/// How often the parent looks at its children.
const LOOK: Duration = Duration::from_millis(50);
/// How long children get to end after they were asked to.
const GRACE: Duration = Duration::from_secs(2);

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

/// One of the two processes.
struct End {
    role: &'static str,
    child: Child,
    /// Both streams are read while the process runs: it must not block on a full pipe.
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    status: Option<ExitStatus>,
}

/// The reading and the writing process of one run.
pub(super) struct Pair {
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
        let (mut reader, stdout) = End::spawn("reader", "demo-reader", &reader_arguments)?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        // Its first line says that the buffer is there; end of file says that it failed.
        let ready = stdout.read_line(&mut line).is_ok_and(|count| count > 0);
        reader.stdout = Some(collect(stdout)?);
        if !ready {
            return Err(reader.failure());
        }

        let mut writer_arguments = arguments;
        writer_arguments.push(format!("--seconds={}", run.seconds.as_secs_f64()));
        writer_arguments.extend(run.rate.map(|rate| format!("--fps={rate}")));
        let (mut writer, stdout) = End::spawn("writer", "demo-writer", &writer_arguments)?;
        writer.stdout = Some(collect(stdout)?);
        Ok(Pair { reader, writer })
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
            // A failure of one ends the other by itself; only a writer that never connected leaves its reader waiting.
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

    /// The failure to report: the reader's if it found wrong bytes, else that of the end that failed first in the chain.
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
    }
}

impl End {
    fn spawn(
        role: &'static str,
        command: &str,
        arguments: &[String],
    ) -> Result<(End, BufReader<ChildStdout>), Fail> {
        let failed = |error: &std::io::Error| Fail::io(format_args!("cannot start the demo's {role}"), error);
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .arg(command)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut end = End { role, child, stdout: None, stderr: None, status: None };
        match (stdout, stderr) {
            (Some(stdout), Some(stderr)) => {
                end.stderr = Some(collect(stderr)?);
                Ok((end, BufReader::new(stdout)))
            }
            _ => Err(Fail::new(Exit::Internal, format!("the demo's {role} has no pipes"))),
        }
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>, Fail> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .map_err(|error| Fail::io(format_args!("cannot watch the demo's {}", self.role), &error))?;
        }
        Ok(self.status)
    }

    /// Asks it to end if it still runs; gives the moment after which it is ended for good.
    fn ask_to_end(&mut self) -> Instant {
        if matches!(self.poll(), Ok(None)) {
            os::ask_to_end(&mut self.child);
        }
        Instant::now() + GRACE
    }

    fn wait(&mut self, until: Instant) {
        while matches!(self.poll(), Ok(None)) {
            if Instant::now() >= until {
                let _ = self.child.kill();
                self.status = self.child.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Why it failed, in its own words.
    fn failure(&mut self) -> Fail {
        self.wait(Instant::now() + GRACE);
        let errors = join(self.stderr.take());
        let last = errors.lines().last().unwrap_or_default();
        let words = last.strip_prefix("zerobuffer: error: ").unwrap_or(last);
        let exit = self.status.and_then(|status| status.code()).map_or(Exit::PeerGone, Exit::of_child);
        if words.is_empty() {
            let how =
                self.status.map_or_else(|| String::from("without a status"), |status| status.to_string());
            return Fail::new(exit, format!("the demo's {} ended early ({how})", self.role));
        }
        Fail::new(exit, format!("the demo's {}: {words}", self.role))
    }

    fn measured(&mut self) -> Result<Measured, Fail> {
        serde_json::from_str(&join(self.stdout.take())).map_err(|error| {
            Fail::new(
                Exit::Internal,
                format!("the report of the demo's {} is not readable: {error}", self.role),
            )
        })
    }
}

/// Reads a child's pipe to its end on a thread of its own.
fn collect(mut pipe: impl std::io::Read + Send + 'static) -> Result<JoinHandle<String>, Fail> {
    std::thread::Builder::new()
        .spawn(move || {
            let mut text = Vec::new();
            // A pipe that fails gives what came before; the exit status tells the rest.
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
        .map_err(|error| Fail::io("cannot start a thread", &error))
}

fn join(thread: Option<JoinHandle<String>>) -> String {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
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
