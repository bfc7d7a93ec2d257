//! DEBUG records about the inside of a buffer, from a read-only look at it after each operation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use zerobuffer::observe;

use crate::logging::{Channel, READER, WRITER};

/// Bytes in front of every frame.
const HEADER: u64 = 16;

/// Follows one endpoint's position, so going back to the start of the ring is noticed.
pub(crate) struct Trace {
    reads: bool,
    position: AtomicU64,
}

impl Trace {
    pub(crate) const fn of_reader() -> Self {
        Self { reads: true, position: AtomicU64::new(0) }
    }

    pub(crate) const fn of_writer() -> Self {
        Self { reads: false, position: AtomicU64::new(0) }
    }

    /// Logs control block, semaphores and wrap-around, after a frame of `size` bytes. Only to be
    /// called while DEBUG is on: a look opens the segment.
    pub(crate) fn look(&self, py: Python<'_>, name: &str, size: usize) -> PyResult<()> {
        let channel: &Channel = if self.reads { &READER } else { &WRITER };
        // A buffer that cannot be looked at (closed, replaced) is not worth an error in a log
        // record.
        let Ok(info) = py.detach(|| observe::inspect(name)) else { return Ok(()) };
        let position = if self.reads { info.read_pos } else { info.write_pos };
        let before = self.position.swap(position, Relaxed);
        // Where the frame began, as the position alone need not have gone down: frames of half a
        // ring end at one place. Between ends of this library a frame takes a multiple of 16 bytes.
        let total = size as u64 + HEADER;
        let at_start = position == total || position == total.next_multiple_of(HEADER);
        if position < before || (before != 0 && at_start) {
            let ring = info.payload_size;
            channel.debug(py, &format!("Wrap-around: from position {before} to {position} of {ring}"))?;
        }
        let (free, written, read) = (info.free, info.written_count, info.read_count);
        channel.debug(
            py,
            &format!(
                "OIEB: payload_free_bytes={free}, payload_write_pos={}, payload_read_pos={}, \
                 payload_written_count={written}, payload_read_count={read}",
                info.write_pos, info.read_pos
            ),
        )?;
        let count = |tokens: Option<u32>| tokens.map_or("unknown".to_owned(), |tokens| tokens.to_string());
        let (data, space) = (count(info.data_tokens), count(info.space_tokens));
        channel.debug(py, &format!("Semaphores: data={data}, space={space}"))
    }
}
