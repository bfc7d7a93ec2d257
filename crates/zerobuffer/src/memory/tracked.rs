//! The memory of a region under a model checker: its words are the checker's atomics, and loom
//! watches every byte.

use crate::{
    layout::{CONTROL_SIZE, ControlSnapshot, NATIVE_SIZE, NativeWord, Word},
    sync::AtomicU64,
};

/// Control and native words, and, under loom, one cell per byte of the segment. An access that no
/// edge orders after an earlier one to the same byte is reported as a data race.
#[derive(Debug)]
pub(crate) struct Tracked {
    words: Vec<AtomicU64>,
    native: Vec<AtomicU64>,
    #[cfg(loom)]
    bytes: Vec<loom::cell::UnsafeCell<()>>,
}

impl Tracked {
    /// `len`: bytes of the whole segment.
    #[cfg_attr(shuttle, allow(unused_variables))]
    pub(crate) fn new(control: &[u8; CONTROL_SIZE as usize], len: usize) -> Self {
        let word = |bytes: &[u8; 8]| AtomicU64::new(u64::from_le_bytes(*bytes));
        Self {
            words: control.as_chunks().0.iter().map(word).collect(),
            native: (0..NATIVE_SIZE / 8).map(|_| AtomicU64::new(0)).collect(),
            #[cfg(loom)]
            bytes: (0..len).map(|_| loom::cell::UnsafeCell::new(())).collect(),
        }
    }

    pub(crate) fn word(&self, word: Word) -> &AtomicU64 {
        self.at(word as usize)
    }

    /// The word at an offset in the first 128 bytes.
    #[allow(clippy::indexing_slicing, reason = "there are 16 words")]
    pub(crate) fn at(&self, offset: usize) -> &AtomicU64 {
        &self.words[offset / 8]
    }

    #[allow(clippy::indexing_slicing, reason = "every native word lies in the block")]
    pub(crate) fn native(&self, word: NativeWord) -> &AtomicU64 {
        &self.native[word.offset() / 8]
    }

    /// The control block as a look from outside sees it.
    pub(crate) fn control(&self) -> [u8; CONTROL_SIZE as usize] {
        let mut bytes = [0; CONTROL_SIZE as usize];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(&self.words) {
            // A read-modify-write sees the newest value and orders nothing.
            let value = word.fetch_add(0, crate::sync::Ordering::Relaxed);
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn snapshot(&self) -> ControlSnapshot {
        ControlSnapshot::from_bytes(&self.control())
    }

    #[cfg(loom)]
    pub(crate) fn reads(&self, at: usize, len: usize) {
        self.bytes.iter().skip(at).take(len).for_each(|byte| byte.with(|_| ()));
    }

    #[cfg(loom)]
    pub(crate) fn writes(&self, at: usize, len: usize) {
        self.bytes.iter().skip(at).take(len).for_each(|byte| byte.with_mut(|_| ()));
    }
}

// SAFETY: loom's cells are not `Sync` because they hand out pointers; these only register accesses,
// and hold nothing.
#[cfg(loom)]
unsafe impl Sync for Tracked {}
