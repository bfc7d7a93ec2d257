//! Frames in private memory, which is used again.

use crate::{
    error::{Error, Result},
    reader::Frame,
    sync::{Mutex, lock},
};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Where the payload begins: a multiple of this. It can be viewed as numbers of any kind.
const ALIGNMENT: usize = 64;
/// Pieces of memory that are kept for the next frames: getting large ones anew costs more than the
/// copy.
const SPARE: usize = 2;

/// Memory of frames that are gone.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// A copy of `frame`.
    pub(super) fn copy(self: &Arc<Self>, frame: &Frame, skipped: u64, name: &str) -> Result<NewestFrame> {
        let mut memory = lock(&self.0).pop().unwrap_or_default();
        memory.clear();
        let needed = frame.len().saturating_add(ALIGNMENT);
        if memory.try_reserve(needed).is_err() {
            let limit = "the memory of this process".to_owned();
            return Err(Error::Limited { name: name.to_owned(), needed: needed as u64, available: 0, limit });
        }
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        memory.resize(start, 0);
        memory.extend_from_slice(frame);
        Ok(NewestFrame { memory, start, sequence: frame.sequence(), skipped, pool: Arc::clone(self) })
    }

    /// Forgets the memory that is kept.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// One frame of a [`Newest`](crate::Newest): a copy in private memory, which holds no space of the
/// ring.
#[must_use = "a frame that is dropped is lost"]
pub struct NewestFrame {
    memory: Vec<u8>,
    start: usize,
    sequence: u64,
    skipped: u64,
    pool: Arc<Pool>,
}

impl NewestFrame {
    /// The payload. It begins at a multiple of 64 bytes in memory.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.memory.get(self.start..).unwrap_or_default()
    }

    /// The payload, to be edited in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..).unwrap_or_default()
    }

    /// The number that the writer gave the frame: 1, 2, 3, … over all writers of the buffer.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Frames that came after the one that was handed out before, and were passed over for this
    /// one.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Payload bytes, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data().len()
    }

    /// Always `false`: the protocol has no empty frames.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for NewestFrame {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // In a forked child another thread may have held the lock for ever.
        if let Ok(mut pool) = self.pool.0.try_lock()
            && pool.len() < SPARE
        {
            pool.push(memory);
        }
    }
}

impl Deref for NewestFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data()
    }
}

impl DerefMut for NewestFrame {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl AsRef<[u8]> for NewestFrame {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl fmt::Debug for NewestFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewestFrame")
            .field("sequence", &self.sequence)
            .field("len", &self.len())
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}
