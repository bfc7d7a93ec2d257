//! Python's loggers `zerobuffer.reader`, `zerobuffer.writer` and `zerobuffer.broadcast`, for the
//! glue and for records of the core.
//!
//! The core logs while it may hold its own locks. So its records are queued per thread and handed
//! to Python once the call has returned and the thread is attached again. Threads of a duplex
//! server return from no call; the next thread that comes hands their records on.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use std::{mem, thread};

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

/// Python's number of the level DEBUG.
const DEBUG: u8 = 10;
/// A thread that never comes back to Python must not fill the memory with records.
const MAX_QUEUED: usize = 10_000;
/// What logs on threads that may never come back to Python.
const SERVER: &str = "zerobuffer::duplex::server";
/// Threads that never do: of a reader of the newest frame, and of a broadcaster.
const OWN_THREADS: [&str; 2] = ["zb-newest", "zb-broadcast"];

/// One Python logger, with a cheap test of its level.
pub(crate) struct Channel {
    name: &'static str,
    bit: usize,
    parts: PyOnceLock<Parts>,
    /// Twice the number of [`CHANGES`] at which the logger was asked, and one if DEBUG was on.
    known: AtomicU64,
}

struct Parts {
    logger: Py<PyAny>,
    /// The logger's own memory of `isEnabledFor`, if it tells when the logging package clears it.
    cache: Option<Py<PyDict>>,
}

/// How often the logging package has forgotten what is enabled, since a level has changed.
static CHANGES: AtomicU64 = AtomicU64::new(1);

/// What is enabled has changed.
#[pyfunction(name = "_levels_changed")]
pub(crate) fn levels_changed() {
    CHANGES.fetch_add(1, AcqRel);
}

pub(crate) static READER: Channel = Channel::new("zerobuffer.reader", 1);
pub(crate) static WRITER: Channel = Channel::new("zerobuffer.writer", 2);
pub(crate) static BROADCAST: Channel = Channel::new("zerobuffer.broadcast", 4);

impl Channel {
    const fn new(name: &'static str, bit: usize) -> Self {
        Self { name, bit, parts: PyOnceLock::new(), known: AtomicU64::new(0) }
    }

    #[inline]
    fn parts(&self, py: Python<'_>) -> PyResult<&Parts> {
        self.parts.get(py).map_or_else(|| self.look_up(py), Ok)
    }

    /// Outside the cell: a signal handler that runs meanwhile may come here too. Inside it would
    /// wait for itself.
    #[cold]
    fn look_up(&self, py: Python<'_>) -> PyResult<&Parts> {
        let logger = py.import("logging")?.call_method1("getLogger", (self.name,))?;
        let cache = py.import("zerobuffer._logging")?.call_method1("watched_levels", (&logger,))?;
        let cache = cache.cast_into::<PyDict>().ok().map(Bound::unbind);
        let parts = Parts { logger: logger.unbind(), cache };
        Ok(self.parts.get_or_init(py, || parts))
    }

    /// Whether DEBUG records would go anywhere; also tells the core.
    #[inline]
    pub(crate) fn debugging(&self, py: Python<'_>) -> PyResult<bool> {
        let known = self.known.load(Relaxed);
        let changes = CHANGES.load(Acquire);
        if known >> 1 == changes { Ok(known & 1 != 0) } else { self.ask(py, changes) }
    }

    #[cold]
    fn ask(&self, py: Python<'_>, changes: u64) -> PyResult<bool> {
        let parts = self.parts(py)?;
        let enabled = parts.logger.bind(py).call_method1(intern!(py, "isEnabledFor"), (DEBUG,))?;
        // Known from here on if the logger remembers it, too: one that is disabled does not.
        let remembered = match &parts.cache {
            Some(cache) => cache.bind(py).get_item(DEBUG)?,
            None => None,
        };
        let on = remembered.as_ref().unwrap_or(&enabled).is_truthy()?;
        if remembered.is_some() {
            self.known.store((changes << 1) | u64::from(on), Relaxed);
        }
        tell_core(self.bit, on);
        Ok(on)
    }

    pub(crate) fn debug(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        self.emit(py, intern!(py, "debug"), text)
    }

    pub(crate) fn info(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        self.emit(py, intern!(py, "info"), text)
    }

    pub(crate) fn warning(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        self.emit(py, intern!(py, "warning"), text)
    }

    pub(crate) fn error(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        self.emit(py, intern!(py, "error"), text)
    }

    fn emit(&self, py: Python<'_>, method: &Bound<'_, PyString>, text: &str) -> PyResult<()> {
        if is_finalizing(py)? {
            return Ok(());
        }
        self.parts(py)?.logger.bind(py).call_method1(method, (text,))?;
        Ok(())
    }
}

/// Which channels have DEBUG on, one bit each.
static DEBUGGING: AtomicUsize = AtomicUsize::new(0);

fn tell_core(bit: usize, on: bool) {
    let before = DEBUGGING.load(Relaxed);
    let after = if on { before | bit } else { before & !bit };
    if before != after {
        DEBUGGING.store(after, Relaxed);
        log::set_max_level(if after == 0 { LevelFilter::Info } else { LevelFilter::Debug });
    }
}

/// Receives the core's records.
struct Queue;

/// What takes them instead: this process is a run of the command.
static COMMAND: OnceLock<Box<dyn Log>> = OnceLock::new();

/// Hands all further records to another logger.
pub(crate) fn hand_over(logger: Box<dyn Log>, level: LevelFilter) {
    if COMMAND.set(logger).is_ok() {
        log::set_max_level(level);
    }
}

/// Level, target, text.
type Entry = (Level, String, String);

/// The records of one thread.
struct Records(RefCell<Vec<Entry>>);

impl Drop for Records {
    fn drop(&mut self) {
        let records = mem::take(self.0.get_mut());
        let left = records.len();
        let mut shared = SHARED.lock();
        let room = MAX_QUEUED.saturating_sub(shared.len());
        shared.extend(records.into_iter().take(room));
        QUEUED.fetch_sub(left.saturating_sub(room), Relaxed);
    }
}

thread_local! {
    static RECORDS: Records = const { Records(RefCell::new(Vec::new())) };
}
/// Records of duplex servers, and what threads have left.
static SHARED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
/// How many there are in all.
static QUEUED: AtomicUsize = AtomicUsize::new(0);

fn put(records: &mut Vec<Entry>, record: &Record<'_>) {
    if records.len() < MAX_QUEUED {
        records.push((record.level(), record.target().replace("::", "."), record.args().to_string()));
        QUEUED.fetch_add(1, Relaxed);
    }
}

impl Log for Queue {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zerobuffer::")
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(command) = COMMAND.get() {
            return command.log(record);
        }
        if !self.enabled(record.metadata()) {
            return;
        }
        let returns = !record.target().starts_with(SERVER)
            && !thread::current().name().is_some_and(|name| OWN_THREADS.contains(&name));
        let kept = returns
            && RECORDS
                .try_with(|records| records.0.try_borrow_mut().map(|mut own| put(&mut own, record)))
                .is_ok();
        // A thread that is ending has no queue any more.
        if !kept {
            put(&mut SHARED.lock(), record);
        }
    }

    fn flush(&self) {}
}

/// `sys.is_finalizing`, looked up while modules can still be imported.
static IS_FINALIZING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Whether the interpreter is being torn down: endpoints that are collected then have nobody to
/// tell.
fn is_finalizing(py: Python<'_>) -> PyResult<bool> {
    match IS_FINALIZING.get(py) {
        Some(function) => function.bind(py).call0()?.is_truthy(),
        None => Ok(true),
    }
}

/// Connects the core's records; once per process.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    IS_FINALIZING
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("sys")?.getattr("is_finalizing")?.unbind()))?;
    if log::set_logger(&Queue).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    Ok(())
}

/// Hands what the core has logged on this thread, and what servers and ended threads have left, to
/// Python. Costs one load when there is nothing.
pub(crate) fn flush(py: Python<'_>) -> PyResult<()> {
    if QUEUED.load(Relaxed) == 0 {
        return Ok(());
    }
    let mut records = mem::take(&mut *SHARED.lock());
    records.extend(
        RECORDS.with(|own| own.0.try_borrow_mut().map(|mut own| mem::take(&mut *own)).unwrap_or_default()),
    );
    if records.is_empty() {
        return Ok(());
    }
    QUEUED.fetch_sub(records.len(), Relaxed);
    if is_finalizing(py)? {
        return Ok(());
    }
    let logging = py.import(intern!(py, "logging"))?;
    for (level, target, text) in records {
        let number = match level {
            Level::Error => 40,
            Level::Warn => 30,
            Level::Info => 20,
            Level::Debug | Level::Trace => DEBUG,
        };
        logging
            .call_method1(intern!(py, "getLogger"), (target,))?
            .call_method1(intern!(py, "log"), (number, text))?;
    }
    Ok(())
}
