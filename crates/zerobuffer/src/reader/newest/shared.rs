//! What the thread and the consumer share: the newest frame, and what has happened to the writer.

use super::{
    super::{Frame, Latest, ReaderHandle},
    frame::{NewestFrame, Pool},
};
#[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
use crate::link::reactor::EventFd;
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    layout::{ROUNDING, rounded},
    link::Patience,
    stats::{Counters, ReaderStats},
    sync::{AtomicBool, Instant, Mutex, MutexGuard, Ordering, lock},
};
#[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
use std::sync::OnceLock;
use std::{
    io, mem,
    sync::{Arc, Condvar, PoisonError},
    time::Duration,
};

/// How soon the thread notices a writer that has come.
const NOTICE: Duration = Duration::from_millis(5);
/// Frames that the ring holds at least: one is kept, one is read, one is written.
const FRAMES: u64 = 3;

pub(super) struct Shared {
    pub(super) reader: ReaderHandle,
    state: Mutex<State>,
    /// Signalled with every change of the state.
    changed: Condvar,
    interrupted: AtomicBool,
    pool: Arc<Pool>,
    counters: Counters,
    /// Readable with every change of the state; made when it is asked for.
    #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
    event: OnceLock<EventFd>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest frame, in the ring, until it is handed out or a newer one comes.
    newest: Option<Frame>,
    /// Frames that were passed over since the last one was handed out.
    passed: u64,
    /// Size of a frame that came meanwhile, of which the ring does not hold enough.
    unfit: Option<u64>,
    outlook: Outlook,
}

/// Whether there may be further frames.
#[derive(Debug, Default)]
enum Outlook {
    #[default]
    Open,
    /// Not before another writer comes.
    WriterGone { pid: u64 },
    /// Never.
    Ended(Error),
}

impl State {
    /// Whether there is nothing to tell; the end of a writer is known already if it is `told`.
    fn is_quiet(&self, told: bool) -> bool {
        let goes_on = matches!(self.outlook, Outlook::Open) || (told && self.is_writer_gone());
        self.newest.is_none() && self.unfit.is_none() && goes_on
    }

    fn is_writer_gone(&self) -> bool {
        matches!(self.outlook, Outlook::WriterGone { .. })
    }
}

impl Shared {
    pub(super) fn new(reader: ReaderHandle) -> Self {
        Self {
            reader,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            interrupted: AtomicBool::new(false),
            pool: Arc::default(),
            counters: Counters::default(),
            #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
            event: OnceLock::new(),
        }
    }

    #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
    pub(super) fn event(&self) -> Result<EventFd> {
        let mut event = self.event.get().cloned();
        let event = EventFd::of(&mut event, self.reader.name())?;
        Ok(self.event.get_or_init(|| event).clone())
    }

    /// [`Self::take`] without patience. A look that finds nothing makes the event descriptor
    /// unreadable until there is something.
    pub(super) fn try_take(&self) -> Result<Option<NewestFrame>> {
        let taken = self.take(&mut Patience::at_most(Duration::ZERO));
        #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
        if let (Some(event), Ok(None) | Err(Error::WriterGone { .. })) = (self.event.get(), &taken) {
            // What changes from here on makes it readable; what has changed before is seen.
            event.drain();
            let again = self.take(&mut Patience::at_most(Duration::ZERO));
            if !matches!(again, Ok(None) | Err(Error::WriterGone { .. })) {
                event.signal();
            }
            return again;
        }
        taken
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut lock(&self.state));
        self.changed.notify_all();
        #[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
        if let Some(event) = self.event.get() {
            event.signal();
        }
        result
    }

    /// A newer frame has come. The one that it replaces goes back to the ring.
    pub(super) fn put(&self, latest: Latest) {
        let Latest { frame, skipped } = latest;
        let size = frame.len() as u64;
        let fits = needed(size) <= self.reader.capacity();
        let replaced = self.change(|state| {
            state.outlook = Outlook::Open;
            state.passed += skipped;
            let replaced = if fits {
                state.unfit = None;
                state.newest.replace(frame)
            } else {
                state.unfit = Some(size);
                Some(frame)
            };
            state.passed += u64::from(replaced.is_some());
            replaced
        });
        // Not under the lock: this may wake the writer.
        drop(replaced);
    }

    pub(super) fn writer_gone(&self, pid: u64) {
        self.change(|state| state.outlook = Outlook::WriterGone { pid });
    }

    pub(super) fn writer_came(&self) {
        self.change(|state| state.outlook = Outlook::Open);
    }

    /// No frame comes any more. The first reason counts.
    pub(super) fn ended(&self, error: Error) {
        self.change(|state| {
            if !matches!(state.outlook, Outlook::Ended(_)) {
                state.outlook = Outlook::Ended(error);
            }
        });
    }

    /// Ends the thread and the consumer's call.
    pub(super) fn interrupt(&self) {
        if self.reader.is_forked() {
            return;
        }
        self.interrupted.store(true, Ordering::SeqCst);
        self.reader.interrupt();
        self.change(|_| ());
    }

    /// The thread has ended: what it kept goes.
    pub(super) fn let_go(&self) {
        let kept = self.change(|state| state.newest.take());
        drop(kept);
        self.pool.clear();
    }

    /// Hands the newest frame out, once there is one.
    pub(super) fn take(&self, patience: &mut Patience<'_>) -> Result<Option<NewestFrame>> {
        if self.reader.is_forked() {
            // The thread may have held the lock at the fork.
            return Err(Error::forked(self.reader.name()));
        }
        let mut taken = self.look();
        if matches!(taken, Ok(None)) {
            let started = Instant::now();
            patience.begin(started);
            taken = self.look_until(started, patience);
            self.counters.waited(started.elapsed(), patience.counts());
        }
        let Some((frame, passed)) = taken? else { return Ok(None) };
        let copy = self.pool.copy(&frame, passed, self.reader.name()).inspect_err(|_| {
            // Passed over like those before it, for the next one.
            lock(&self.state).passed += passed + 1;
        })?;
        self.counters.lost.add(passed);
        // Its space returns to the writer.
        drop(frame);
        self.counters.frames.add(1);
        self.counters.bytes.add(copy.len() as u64);
        Ok(Some(copy))
    }

    fn look_until(&self, started: Instant, patience: &mut Patience<'_>) -> Result<Option<(Frame, u64)>> {
        let mut now = started;
        // Not under the lock: it may ask a hook.
        while !patience.ends(now) {
            let state = lock(&self.state);
            // If so, another writer has come, which the thread is about to notice.
            let told = state.is_writer_gone();
            let until = patience.until(now + if told { NOTICE } else { WAIT_SLICE });
            let quiet = |state: &mut State| state.is_quiet(told) && !self.is_interrupted();
            let waited = self.changed.wait_timeout_while(state, until.saturating_duration_since(now), quiet);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let taken = self.take_from(state);
            if !matches!(taken, Ok(None)) {
                return taken;
            }
            now = Instant::now();
        }
        Ok(None)
    }

    fn look(&self) -> Result<Option<(Frame, u64)>> {
        self.take_from(lock(&self.state))
    }

    fn take_from(&self, mut state: MutexGuard<'_, State>) -> Result<Option<(Frame, u64)>> {
        let name = self.reader.name();
        if self.is_interrupted() {
            return Err(Error::closed(name));
        }
        if let Some(frame) = state.newest.take() {
            return Ok(Some((frame, mem::take(&mut state.passed))));
        }
        if let Some(size) = state.unfit.take() {
            let (name, capacity) = (name.to_owned(), self.reader.capacity());
            return Err(Error::RingTooSmall { name, size, capacity, needed: needed(size) });
        }
        match &state.outlook {
            Outlook::Open => Ok(None),
            Outlook::WriterGone { .. } if self.reader.is_writer_connected() => Ok(None),
            Outlook::WriterGone { pid } => Err(Error::WriterGone { name: name.to_owned(), pid: *pid }),
            Outlook::Ended(error) => Err(again(error, name)),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    pub(super) fn stats(&self) -> ReaderStats {
        let mut stats = self.counters.reader();
        if !self.reader.is_forked() {
            stats.skipped += lock(&self.state).passed;
        }
        stats
    }
}

/// Bytes of a ring that holds enough frames of this size.
fn needed(size: u64) -> u64 {
    rounded(size, ROUNDING).saturating_mul(FRAMES)
}

/// What ended the thread, once more: these errors stay.
fn again(error: &Error, buffer: &str) -> Error {
    match error {
        Error::Corrupt { name, field, value, expected } => {
            Error::Corrupt { name: name.clone(), field, value: *value, expected: expected.clone() }
        }
        Error::Sequence { name, expected, got } => {
            Error::Sequence { name: name.clone(), expected: *expected, got: *got }
        }
        Error::NamesRemoved { name, lost } => Error::NamesRemoved { name: name.clone(), lost: lost.clone() },
        Error::Os { operation, object, source } => {
            let same = source.raw_os_error().map(io::Error::from_raw_os_error);
            let source = same.unwrap_or_else(|| io::Error::from(source.kind()));
            Error::Os { operation, object: object.clone(), source }
        }
        _ => Error::closed(buffer),
    }
}
