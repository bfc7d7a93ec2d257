//! What a writer finds out about its reader while it waits for space.

use super::WriterShared;
use crate::{config::WAIT_SLICE, error::Result, link::Still, ring::reader_movement, sync::Instant};

/// Whether the reader lives, looked at only when the ring is full and once per slice, since it
/// takes system calls.
#[derive(Debug)]
pub(super) struct ReaderWatch {
    /// Why the reader is gone, once it was found to be: it does not come back to this segment.
    lost: Option<&'static str>,
    next_look: Instant,
    /// For how long nothing of the reader has moved.
    still: Still<[u64; 4]>,
}

impl ReaderWatch {
    pub(super) fn new() -> Self {
        Self { lost: None, next_look: Instant::now(), still: Still::new() }
    }

    pub(super) fn lost(&self) -> Option<&'static str> {
        self.lost
    }

    /// It is time to: something says that the reader may be gone.
    #[cfg(feature = "async")]
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next_look = now;
    }

    /// Looks if it is time to, and says when it is again. Fails if the reader is gone: at once if
    /// that is certain, else after a slice without movement (W8).
    pub(super) fn refresh(&mut self, shared: &WriterShared, now: Instant) -> Result<Instant> {
        if now < self.next_look {
            return Ok(self.next_look);
        }
        self.next_look = now + WAIT_SLICE;
        // What only a live reader changes.
        let still_for = self.still.observe(reader_movement(&shared.region), now);
        match shared.reader_loss(still_for) {
            Some(reason) => {
                self.lost = Some(reason);
                Err(shared.reader_gone(reason))
            }
            None => Ok(self.next_look),
        }
    }
}
