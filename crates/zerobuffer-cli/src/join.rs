//! Waiting for the other side, and words for its going.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zerobuffer::{Error, Writer, WriterConfig, WriterHandle, observe};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{say, signals, time};

/// How long one attempt to connect lasts: the longest that Ctrl-C goes unnoticed.
const ATTEMPT: Duration = Duration::from_millis(100);
/// How long a reader that does not look is waited for.
const NOTICE: Duration = Duration::from_secs(1);

/// The writer of a command that may connect again, and what its predecessors have sent. Ctrl-C
/// interrupts whichever is there.
#[derive(Clone)]
pub(crate) struct Current(Arc<Mutex<State>>);

struct State {
    handle: WriterHandle,
    frames: u64,
    bytes: u64,
}

impl Current {
    pub(crate) fn new(writer: &Writer) -> Current {
        let current = Current(Arc::new(Mutex::new(State { handle: writer.handle(), frames: 0, bytes: 0 })));
        let interrupted = current.clone();
        signals::on_signal(move || interrupted.handle().interrupt());
        current
    }

    pub(crate) fn replace(&self, writer: &Writer) {
        let mut state = self.lock();
        let sent = state.handle.stats();
        state.frames = state.frames.saturating_add(sent.frames);
        state.bytes = state.bytes.saturating_add(sent.bytes);
        state.handle = writer.handle();
        if signals::caught().is_some() {
            state.handle.interrupt();
        }
    }

    /// Frames and bytes, over all of them.
    pub(crate) fn sent(&self) -> (u64, u64) {
        let state = self.lock();
        let sent = state.handle.stats();
        (state.frames.saturating_add(sent.frames), state.bytes.saturating_add(sent.bytes))
    }

    pub(crate) fn handle(&self) -> WriterHandle {
        self.lock().handle.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to `name`, waiting for its reader for at most `wait`, for ever if that is `None`.
pub(crate) fn connect(name: &str, config: &WriterConfig, wait: Option<Duration>) -> Result<Writer, Fail> {
    let start = Instant::now();
    let mut reported = false;
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
        if !std::mem::replace(&mut reported, true) {
            say::note(&format!("waiting for a reader of '{name}' (start one with: zerobuffer recv {name})"));
        }
        // The library may give up at once, for instance on a buffer that is being removed.
        if signals::sleep(Duration::from_millis(10)) {
            return Err(signals::interrupted(&format!("no reader of '{name}' came")));
        }
    }
}

/// Before a writer leaves that has sent nothing: gives its reader the time to see it, which else
/// waits on as if nobody had come.
pub(crate) fn let_notice(writer: &Writer) {
    if writer.stats().frames > 0 || !writer.is_reader_connected() {
        return;
    }
    // The attach has left a token that a waiting reader takes, and then it looks who has come. A
    // busy reader may take its time, and what it reads next tells it as well.
    let until = Instant::now() + NOTICE;
    while Instant::now() < until
        && writer.is_reader_connected()
        && observe::inspect(writer.name()).is_ok_and(|info| info.data_tokens.is_some_and(|tokens| tokens > 0))
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(zerobuffer::WAIT_SLICE * 3);
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
                "no reader of '{name}' came within {}: start one with `zerobuffer recv {name}`, or wait longer with --wait SECONDS",
                time::seconds(wait)
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
