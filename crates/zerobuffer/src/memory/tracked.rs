//! The memory of a region under a model checker: its words are the checker's atomics, and loom
//! watches every byte.

use crate::{
    layout::{CONTROL_SIZE, ControlSnapshot, NATIVE_SIZE, NativeWord, Word},
    sync::AtomicU64,
};

/// Bytes behind the control block that share one of loom's cells in a large segment: its frames are
/// as large, or multiples.
#[cfg(loom)]
const GRAIN: usize = 1024;
/// A larger segment than this is large.
#[cfg(loom)]
const SMALL: usize = 16 * 1024;

/// Control and native words, and, under loom, one cell per byte of the segment, or per [`GRAIN`] of
/// a large one. An access that no edge orders after an earlier one to the same cell is reported as
/// a data race.
#[derive(Debug)]
pub(crate) struct Tracked {
    words: Vec<AtomicU64>,
    native: Vec<AtomicU64>,
    #[cfg(loom)]
    cells: Vec<loom::cell::UnsafeCell<()>>,
    #[cfg(loom)]
    grain: usize,
}

impl Tracked {
    /// `len`: bytes of the whole segment.
    #[cfg_attr(shuttle, allow(unused_variables))]
    pub(crate) fn new(control: &[u8; CONTROL_SIZE as usize], len: usize) -> Self {
        let word = |bytes: &[u8; 8]| AtomicU64::new(u64::from_le_bytes(*bytes));
        #[cfg(loom)]
        let grain = if len > SMALL { GRAIN } else { 1 };
        Self {
            words: control.as_chunks().0.iter().map(word).collect(),
            native: (0..NATIVE_SIZE / 8).map(|_| AtomicU64::new(0)).collect(),
            #[cfg(loom)]
            cells: (0..=len.div_ceil(grain)).map(|_| loom::cell::UnsafeCell::new(())).collect(),
            #[cfg(loom)]
            grain,
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

    /// The word at that offset of the native block.
    #[cfg(shuttle)]
    #[allow(clippy::indexing_slicing, reason = "the caller has the block's length")]
    pub(crate) fn native_at(&self, offset: usize) -> &AtomicU64 {
        &self.native[offset / 8]
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
        self.cells(at, len).for_each(|cell| cell.with(|_| ()));
    }

    #[cfg(loom)]
    pub(crate) fn writes(&self, at: usize, len: usize) {
        self.cells(at, len).for_each(|cell| cell.with_mut(|_| ()));
    }

    /// Those of `len` bytes. The control block, whose words are watched themselves, has the first
    /// one.
    #[cfg(loom)]
    fn cells(&self, at: usize, len: usize) -> impl Iterator<Item = &loom::cell::UnsafeCell<()>> {
        let control = CONTROL_SIZE as usize;
        let cell = |at: usize| at.checked_sub(control).map_or(0, |at| at / self.grain + 1);
        let (first, end) = (cell(at), cell(at + len - usize::from(len > 0)) + usize::from(len > 0));
        self.cells.iter().skip(first).take(end.saturating_sub(first))
    }
}

// SAFETY: loom's cells are not `Sync` because they hand out pointers; these only register accesses,
// and hold nothing.
#[cfg(loom)]
unsafe impl Sync for Tracked {}
