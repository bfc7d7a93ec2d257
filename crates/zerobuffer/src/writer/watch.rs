//! What a writer finds out about its reader while it waits for space.

use super::WriterShared;
use crate::{
    config::WAIT_SLICE,
    error::Result,
    layout::Word,
    sync::{Instant, Ordering},
};

/// Whether the reader lives, looked at only when the ring is full and once per slice, since it takes system calls.
#[derive(Debug)]
pub(super) struct ReaderWatch {
    /// Why the reader is gone, once it was found to be: it does not come back to this segment.
    lost: Option<&'static str>,
    next_look: Instant,
    /// Since when nothing of the reader has moved, as of the last look, and what it was.
    still: (Instant, [u64; 2]),
}

impl ReaderWatch {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { lost: None, next_look: now, still: (now, [u64::MAX; 2]) }
    }

    pub(super) fn lost(&self) -> Option<&'static str> {
        self.lost
    }

    /// Looks if it is time to, and says when it is again. Fails if the reader is gone: at once if that is certain, else
    /// after a slice without movement (W8).
    pub(super) fn look(&mut self, shared: &WriterShared, now: Instant) -> Result<Instant> {
        if now < self.next_look {
            return Ok(self.next_look);
        }
        self.next_look = now + WAIT_SLICE;
        // What only a live reader changes.
        let movement =
            [Word::PayloadFree, Word::ReadCount].map(|word| shared.region.load(word, Ordering::Relaxed));
        if self.still.1 != movement {
            self.still = (now, movement);
        }
        match shared.reader_loss() {
            Some(loss) if loss.certain || now - self.still.0 >= WAIT_SLICE => {
                self.lost = Some(loss.reason);
                Err(shared.reader_gone(loss.reason))
            }
            _ => Ok(self.next_look),
        }
    }
}
