//! A region in private memory, for tests of the ring alone.

use super::*;
use crate::layout::ControlSnapshot;

impl Region {
    pub(crate) fn subtract(&self, word: Word, value: u64) -> u64 {
        self.subtract_as(word, value, Ordering::SeqCst)
    }
}

struct Heap(Box<[u64]>);

// SAFETY: a box does not move its content, and the tests use no other way to it.
unsafe impl Memory for Heap {
    fn base(&self) -> NonNull<u8> {
        NonNull::from(&*self.0).cast()
    }

    fn len(&self) -> usize {
        self.0.len() * 8
    }
}

pub(crate) fn region(metadata: u64, payload: u64) -> Region {
    let geometry = Geometry::for_config(metadata, payload).unwrap();
    let control = ControlSnapshot::fresh(geometry, 1).to_bytes();
    let mut words: Vec<u64> =
        control.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect();
    words.resize(geometry.segment() as usize / 8, 0);
    Region::new(Heap(words.into_boxed_slice()), geometry).unwrap()
}
