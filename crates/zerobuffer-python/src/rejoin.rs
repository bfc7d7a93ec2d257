//! `Writer(reconnect=True)`: a writer that outlives its reader and attaches to the next one of the
//! name.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zerobuffer::{Error, Writer, WriterConfig, WriterHandle, WriterStats};

/// Why the next reader's buffer cannot be written to yet.
const UNREAD: &str = "another writer's frames are unread there, whose metadata differ";

/// Time between two looks whether the reader lives: a writer that finds room does not notice.
const LOOK: Duration = Duration::from_millis(100);

/// What a writer needs to begin anew, and what it has done before.
pub(crate) struct Rejoin {
    name: String,
    config: WriterConfig,
    state: Mutex<State>,
    /// Times that another reader was found.
    count: AtomicU64,
    born: Instant,
    /// When the reader is looked after next, in nanoseconds since `born`.
    next_look: AtomicU64,
}

struct State {
    /// What has been said of the frames: each reader gets it.
    metadata: Option<Vec<u8>>,
    /// Counters of the connections that are over.
    before: WriterStats,
}

impl Rejoin {
    pub(crate) fn new(name: &str, config: &WriterConfig) -> Self {
        let state = State { metadata: None, before: WriterStats::default() };
        let config = config.clone().connect_timeout(Duration::ZERO);
        let rejoin = Self {
            name: name.to_owned(),
            config,
            state: Mutex::new(state),
            count: AtomicU64::new(0),
            born: Instant::now(),
            next_look: AtomicU64::new(0),
        };
        rejoin.look_later();
        rejoin
    }

    fn look_later(&self) {
        self.next_look.store(nanoseconds(self.born.elapsed() + LOOK), Relaxed);
    }

    /// Whether it is time to look after the reader.
    pub(crate) fn is_due(&self) -> bool {
        nanoseconds(self.born.elapsed()) >= self.next_look.load(Relaxed)
    }

    /// Whether the reader has gone, if it is time to look.
    pub(crate) fn is_lost(&self, handle: &WriterHandle) -> bool {
        let due = self.is_due();
        if due {
            self.look_later();
        }
        due && !handle.is_reader_connected()
    }

    /// Leaves a buffer whose reader has gone: its lock stands in the way of the next.
    pub(crate) fn leave(&self, writer: Writer) {
        let done = writer.stats();
        log::warn!(
            target: "zerobuffer::writer",
            "buffer '{}': its reader is gone; what it had not read is lost, the writer waits for the next one",
            self.name
        );
        let mut state = self.state.lock();
        state.before = sum(state.before, done);
        drop(state);
        drop(writer);
    }

    /// Attaches to the next reader, if there is one.
    pub(crate) fn attempt(&self) -> Result<Writer, Error> {
        let mut writer = Writer::connect_with(&self.name, self.config.clone()).map_err(|error| match error {
            Error::NotFound { name, .. } | Error::NotReady { name, .. } => Error::ReaderGone {
                name,
                pid: 0,
                reason: "there is no other one yet (reconnect=True waits for it, at most the write timeout)",
            },
            other => other,
        })?;
        let metadata = self.state.lock().metadata.clone();
        if let Some(metadata) = metadata {
            // Frames of another writer may still be unread there: that is waited for as for a
            // reader.
            writer.set_metadata(&metadata).map_err(|error| match error {
                Error::MetadataInUse { name, .. } => Error::ReaderGone { name, pid: 0, reason: UNREAD },
                other => other,
            })?;
        }
        self.count.fetch_add(1, Relaxed);
        self.look_later();
        log::info!(target: "zerobuffer::writer", "buffer '{}': the writer is attached to another reader", self.name);
        Ok(writer)
    }

    /// What the next readers are to get, too.
    pub(crate) fn remember(&self, metadata: &[u8]) {
        self.state.lock().metadata = Some(metadata.to_vec());
    }

    /// A frame that is dropped since there is no reader.
    pub(crate) fn drop_frame(&self) {
        self.state.lock().before.dropped += 1;
    }

    /// The counters of all connections, the present one's being `now`.
    pub(crate) fn total(&self, now: WriterStats) -> WriterStats {
        sum(self.state.lock().before, now)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn sum(mut one: WriterStats, other: WriterStats) -> WriterStats {
    one.frames += other.frames;
    one.bytes += other.bytes;
    one.dropped += other.dropped;
    one.waits += other.waits;
    one.blocked += other.blocked;
    one
}
