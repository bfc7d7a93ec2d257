//! Numbers about endpoints and buffers, by key: new ones change no interface.

use crate::{
    arguments::Out,
    border::border,
    fault::Fault,
    status::zb_status::{self, ZB_NONE, ZB_OK},
};
use zerobuffer::{ReaderStats, WriterStats};

/// Frames handed out, or published.
pub const ZB_STAT_FRAMES: i32 = 0;
/// Their payload bytes.
pub const ZB_STAT_BYTES: i32 = 1;
/// Frames that were skipped (reader), dropped (writer), or missed (tap, subscriber).
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
    pub(crate) capacity: Option<u64>,
    pub(crate) metadata_capacity: Option<u64>,
    pub(crate) utilization: f64,
}

pub(crate) fn of_reader(stats: ReaderStats) -> [u64; 5] {
    [stats.frames, stats.bytes, stats.skipped, stats.waits, stats.blocked.as_nanos() as u64]
}

pub(crate) fn of_writer(stats: WriterStats) -> [u64; 5] {
    [stats.frames, stats.bytes, stats.dropped, stats.waits, stats.blocked.as_nanos() as u64]
}

impl Numbers {
    /// `None`: this end does not know.
    pub(crate) fn get(&self, key: i32) -> Result<Option<u64>, Fault> {
        if let Some(counter) = usize::try_from(key).ok().and_then(|key| self.counters.get(key)) {
            return Ok(Some(*counter));
        }
        match key {
            ZB_STAT_CAPACITY => Ok(self.capacity),
            ZB_STAT_METADATA_CAPACITY => Ok(self.metadata_capacity),
            #[allow(clippy::cast_sign_loss, reason = "a share is 0 to 1")]
            ZB_STAT_USED_PPM => Ok(Some((self.utilization * 1e6) as u64)),
            other => Err(unknown(other)),
        }
    }
}

/// Writes a number to where the caller wants it; `None` is [`ZB_NONE`].
///
/// # Safety
///
/// `value` is NULL or can be written to.
pub(crate) unsafe fn answer(
    value: *mut u64,
    number: impl FnOnce() -> Result<Option<u64>, Fault>,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(value, "the value") }?;
        let Some(number) = number()? else {
            out.set(0);
            return Ok(ZB_NONE);
        };
        out.set(number);
        Ok(ZB_OK)
    })
}

pub(crate) fn unknown(key: i32) -> Fault {
    Fault::argument(format!("there is no number {key}: this library may be older than its header"))
}
