//! The metadata block: 8 bytes of length, then content. Its words are the ring's affair, see
//! `ring::metadata`.

use super::{AtomicWord, Region};
use crate::{crash, layout::CONTROL_SIZE};
use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, Ordering},
};

impl Region {
    /// The length that stands in front of the content, if there is a block.
    fn metadata_len(&self) -> Option<&AtomicWord> {
        // SAFETY: a block has at least 64 bytes. It begins at a multiple of 8 inside of the
        // segment. All of this implementation accesses its length atomically.
        (self.geometry.metadata != 0)
            .then(|| unsafe { AtomicWord::from_ptr(self.metadata_base().as_ptr().cast()) })
    }

    fn metadata_base(&self) -> NonNull<u8> {
        // SAFETY: the block starts behind the control block, inside the segment.
        unsafe { self.base.add(CONTROL_SIZE as usize) }
    }

    /// The first `len` content bytes; `None` if the block is smaller.
    fn metadata_content(&self, len: u64) -> Option<&[AtomicU8]> {
        let fits = len.checked_add(8).is_some_and(|end| end <= self.geometry.metadata);
        // SAFETY: the range is inside of the metadata block, which the region keeps mapped. A byte
        // is aligned anywhere. One that the peer writes at the same time is read as an atomic.
        fits.then(|| unsafe {
            std::slice::from_raw_parts(self.metadata_base().add(8).as_ptr().cast(), len as usize)
        })
    }

    /// The length that stands in front of the metadata; 0 if there is no block.
    pub(crate) fn metadata_prefix(&self) -> u64 {
        self.reads_metadata(8);
        self.metadata_len().map_or(0, |len| u64::from_le(len.load(Ordering::Acquire)))
    }

    /// A copy of the first `len` content bytes; `None` if the block is smaller. The bytes may
    /// change meanwhile: what is read of the block's words after this tells whether they have.
    pub(crate) fn copy_metadata(&self, len: u64) -> Option<Vec<u8>> {
        let content = self.metadata_content(len)?;
        self.reads_metadata(8 + len);
        Some(content.iter().map(|byte| byte.load(Ordering::Acquire)).collect())
    }

    /// Stores content and length; `false` if they do not fit. A reader that gets one of these bytes
    /// sees what was stored before.
    #[cfg_attr(crash_points, track_caller)]
    #[must_use]
    pub(crate) fn put_metadata(&self, content: &[u8]) -> bool {
        let (Some(room), Some(len)) = (self.metadata_content(content.len() as u64), self.metadata_len())
        else {
            return false;
        };
        self.writes(self.metadata_base(), content.len() as u64 + 8);
        // In two steps: a writer may die in between.
        let half = content.len() / 2;
        for (first, count) in [(0, half), (half, content.len() - half)] {
            let bytes = room.iter().zip(content).skip(first).take(count);
            crash::around(|| bytes.for_each(|(place, byte)| place.store(*byte, Ordering::Release)));
        }
        crash::around(|| len.store((content.len() as u64).to_le(), Ordering::Release));
        true
    }

    fn reads_metadata(&self, len: u64) {
        if self.geometry.metadata != 0 {
            self.reads(self.metadata_base(), len);
        }
    }
}
