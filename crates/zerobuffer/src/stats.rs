//! Counters of an endpoint: kept by its one user thread, readable from any thread.

use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// What a reader has done since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderStats {
    /// Frames handed out. Skipped ones are not among them.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Frames passed over by the `latest` family.
    pub skipped: u64,
    /// Reads that had to wait, each counted once however long it took.
    pub waits: u64,
    /// Time spent waiting.
    pub blocked: Duration,
}

/// What a writer has done since it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterStats {
    /// Frames published.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Frames dropped because the ring was full.
    pub dropped: u64,
    /// Writes that had to wait, each counted once however long it took.
    pub waits: u64,
    /// Time spent waiting.
    pub blocked: Duration,
}

/// One thread adds, any thread reads: no read-modify-write is needed.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of either endpoint; `lost` is skipped or dropped frames.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: Counter,
    pub(crate) bytes: Counter,
    pub(crate) lost: Counter,
    waits: Counter,
    blocked_ns: Counter,
}

impl Counters {
    /// A wait has ended; `counts`: it is not the continuation of one.
    pub(crate) fn waited(&self, time: Duration, counts: bool) {
        self.waits.add(counts.into());
        self.blocked_ns.add(time.as_nanos() as u64);
    }

    pub(crate) fn reader(&self) -> ReaderStats {
        ReaderStats {
            frames: self.frames.get(),
            bytes: self.bytes.get(),
            skipped: self.lost.get(),
            waits: self.waits.get(),
            blocked: Duration::from_nanos(self.blocked_ns.get()),
        }
    }

    pub(crate) fn writer(&self) -> WriterStats {
        WriterStats {
            frames: self.frames.get(),
            bytes: self.bytes.get(),
            dropped: self.lost.get(),
            waits: self.waits.get(),
            blocked: Duration::from_nanos(self.blocked_ns.get()),
        }
    }
}
