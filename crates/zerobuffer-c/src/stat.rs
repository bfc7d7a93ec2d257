//! Numbers about endpoints and buffers, by key: new ones change no interface.

use crate::fault::Fault;
use zerobuffer::{ReaderStats, WriterStats};

/// Frames handed out, or published.
pub const ZB_STAT_FRAMES: i32 = 0;
/// Their payload bytes.
pub const ZB_STAT_BYTES: i32 = 1;
/// Frames that were skipped (reader), dropped (writer) or missed (tap).
pub const ZB_STAT_LOST: i32 = 2;
/// Calls that had to wait.
pub const ZB_STAT_WAITS: i32 = 3;
/// Time spent waiting, ns.
pub const ZB_STAT_BLOCKED_NS: i32 = 4;
/// Bytes of the ring.
pub const ZB_STAT_CAPACITY: i32 = 5;
/// Bytes of the metadata block; 8 of them are the length.
pub const ZB_STAT_METADATA_CAPACITY: i32 = 6;
/// Share of the ring that is in use, in millionths.
pub const ZB_STAT_USED_PPM: i32 = 7;

/// What an endpoint tells.
pub(crate) struct Numbers {
    pub(crate) counters: [u64; 5],
    pub(crate) capacity: u64,
    pub(crate) metadata_capacity: u64,
    pub(crate) utilization: f64,
}

pub(crate) fn of_reader(stats: ReaderStats) -> [u64; 5] {
    [stats.frames, stats.bytes, stats.skipped, stats.waits, stats.blocked.as_nanos() as u64]
}

pub(crate) fn of_writer(stats: WriterStats) -> [u64; 5] {
    [stats.frames, stats.bytes, stats.dropped, stats.waits, stats.blocked.as_nanos() as u64]
}

impl Numbers {
    pub(crate) fn get(&self, key: i32) -> Result<u64, Fault> {
        if let Some(counter) = usize::try_from(key).ok().and_then(|key| self.counters.get(key)) {
            return Ok(*counter);
        }
        match key {
            ZB_STAT_CAPACITY => Ok(self.capacity),
            ZB_STAT_METADATA_CAPACITY => Ok(self.metadata_capacity),
            #[allow(clippy::cast_sign_loss, reason = "a share is 0 to 1")]
            ZB_STAT_USED_PPM => Ok((self.utilization * 1e6) as u64),
            other => Err(unknown(other)),
        }
    }
}

pub(crate) fn unknown(key: i32) -> Fault {
    Fault::argument(format!("there is no number {key}: this library may be older than its header"))
}
