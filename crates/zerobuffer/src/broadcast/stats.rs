//! What a broadcast tells about itself.

use super::SlowPolicy;
use crate::stats::WriterStats;

/// Where one frame has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Subscribers that have it in their rings.
    pub sent: usize,
    /// Subscribers that miss it, since their rings had no room for it.
    pub dropped: usize,
    /// Subscribers that had gone, or were disconnected over it.
    pub gone: usize,
}

/// One connected subscriber.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Subscriber {
    /// Its buffer, `NAME@SUBSCRIBER`.
    pub buffer: String,
    /// The part of that name behind the `@`.
    pub name: String,
    /// What becomes of a frame for which its ring has no room.
    pub policy: SlowPolicy,
    /// Frames that it got and missed, and how long it was waited for.
    pub stats: WriterStats,
    /// The share of its ring that is in use, 0.0 to 1.0.
    pub utilization: f64,
    /// What keeps it from getting everything, in words: metadata or frames that do not fit.
    pub problem: Option<String>,
}

/// Counters of a broadcast, over all subscribers that it has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastStats {
    /// Frames that were broadcast, also to nobody.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Copies in the rings of subscribers.
    pub sent: u64,
    /// Copies that were not made, since a ring had no room.
    pub dropped: u64,
    /// Subscribers that came.
    pub joined: u64,
    /// Subscribers that closed their buffers or died.
    pub left: u64,
    /// Subscribers that were disconnected.
    pub disconnected: u64,
}
