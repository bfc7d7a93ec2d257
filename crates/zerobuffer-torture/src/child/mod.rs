//! The processes that are killed: one endpoint each, with orders on standard input and reports on
//! standard output.

mod channel;
mod reader;
mod writer;

pub(crate) use channel::{client, server};
pub(crate) use reader::run as reader;
pub(crate) use writer::run as writer;

use anyhow::Result;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use std::{
    fs,
    io::{BufRead as _, Write as _},
    os::unix::fs::MetadataExt as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

const TOO_MANY: i32 = Errno::MFILE.raw_os_error();

/// Orders from the supervisor, each at most once.
pub(crate) struct Orders {
    /// Come to a clean end: a writer closes, a reader drains.
    finish: AtomicBool,
    /// A reader closes at once, drained or not.
    close: AtomicBool,
    /// Say when the writer is found to be gone.
    watch: AtomicBool,
    /// Another writer takes this one's place, and that is its end.
    yields: AtomicBool,
    /// The supervisor removes the buffer's names.
    unnamed: AtomicBool,
}

static ORDERS: Orders = Orders {
    finish: AtomicBool::new(false),
    close: AtomicBool::new(false),
    watch: AtomicBool::new(false),
    yields: AtomicBool::new(false),
    unnamed: AtomicBool::new(false),
};

impl Orders {
    /// Listens on a thread of its own. The end of the input is the supervisor's end, and then this
    /// process's.
    pub(crate) fn listen() -> &'static Self {
        thread::spawn(|| {
            for line in std::io::stdin().lock().lines() {
                match line.as_deref() {
                    Ok("finish") => ORDERS.finish.store(true, Ordering::SeqCst),
                    Ok("close") => ORDERS.close.store(true, Ordering::SeqCst),
                    Ok("watch") => ORDERS.watch.store(true, Ordering::SeqCst),
                    Ok("yield") => ORDERS.yields.store(true, Ordering::SeqCst),
                    Ok("unnamed") => {
                        ORDERS.unnamed.store(true, Ordering::SeqCst);
                        say("unnamed");
                    }
                    _ => break,
                }
            }
            std::process::exit(3);
        });
        &ORDERS
    }

    pub(crate) fn finishes(&self) -> bool {
        self.finish.load(Ordering::Relaxed)
    }

    pub(crate) fn closes(&self) -> bool {
        self.close.load(Ordering::Relaxed)
    }

    pub(crate) fn yields(&self) -> bool {
        self.yields.load(Ordering::Relaxed)
    }

    pub(crate) fn unnamed(&self) -> bool {
        self.unnamed.load(Ordering::Relaxed)
    }

    /// Whether the supervisor waits for the writer's end; forgets it.
    pub(crate) fn take_watch(&self) -> bool {
        self.watch.load(Ordering::Relaxed) && self.watch.swap(false, Ordering::Relaxed)
    }
}

/// One line to the supervisor, written whole.
pub(crate) fn say(text: &str) {
    // Nobody listens any more if this fails, and then this process ends by its own.
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}

/// Nanoseconds on the clock that all processes share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The segment that has the name now; 0 if there is none.
pub(crate) fn segment(name: &str) -> u64 {
    fs::metadata(format!("/dev/shm/{name}")).map_or(0, |meta| meta.ino())
}

/// This process's number in the supervisor's namespace, whose `/proc` is mounted.
pub(crate) fn hello() -> Result<()> {
    say(&format!("hello {}", fs::read_link("/proc/self")?.display()));
    Ok(())
}

/// Descriptors, threads and resident KiB of this process.
pub(crate) fn footprint() -> String {
    let count = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let rss: String = rss.chars().filter(char::is_ascii_digit).collect();
    format!("{} {} {rss}", count("/proc/self/fd"), count("/proc/self/task"))
}

/// Pauses now and then, for a random time, so both ends meet in every state.
fn pause(rng: &mut fastrand::Rng, most: u64) {
    if most > 0 && rng.u32(0..4) == 0 {
        thread::sleep(Duration::from_micros(rng.u64(0..=most)));
    }
}

/// Tries something with few descriptors left, one time in eight: then it may be refused, for that
/// reason alone.
fn starving<T>(
    rng: &mut fastrand::Rng,
    attempt: impl FnOnce() -> zerobuffer::Result<T>,
) -> Result<Option<zerobuffer::Result<T>>> {
    if rng.u32(0..8) > 0 {
        return Ok(Some(attempt()));
    }
    let limit = getrlimit(Resource::Nofile);
    let used = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let few = Rlimit { current: Some(used + rng.u64(0..8)), ..limit };
    setrlimit(Resource::Nofile, few)?;
    let result = attempt();
    setrlimit(Resource::Nofile, limit)?;
    match &result {
        Err(zerobuffer::Error::Os { source, .. }) if source.raw_os_error() == Some(TOO_MANY) => {
            say("starved");
            Ok(None)
        }
        _ => Ok(Some(result)),
    }
}
