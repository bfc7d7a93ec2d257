//! What each frame holds of its reader: it keeps the memory mapped like an `Arc`, but to take one needs no atomic operation.

use super::ReaderShared;
use crate::sync::{Arc, AtomicU64, Ordering};
use std::{fmt, ops::Deref, ptr::NonNull};

/// More than frames can ever be taken.
const ALL: u64 = 1 << 62;

/// How many shares have not been given back.
#[derive(Debug)]
pub(crate) struct Outstanding(AtomicU64);

impl Outstanding {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(ALL))
    }
}

/// The reader's: has all shares from the beginning, lends them to frames, and gives the rest back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lender {
    share: Share,
    left: u64,
}

impl Lender {
    /// Once for each reader.
    pub(crate) fn new(shared: &Arc<ReaderShared>) -> Self {
        let owner = Arc::into_raw(Arc::clone(shared));
        // SAFETY: an `Arc` points somewhere.
        Self { share: Share(unsafe { NonNull::new_unchecked(owner.cast_mut()) }), left: ALL - 1 }
    }

    #[inline]
    pub(crate) fn lend(&mut self) -> Share {
        self.left -= 1;
        Share(self.share.0)
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        // All but the one that is dropped with it, so that this is never the last.
        self.share.outstanding.0.fetch_sub(self.left, Ordering::AcqRel);
    }
}

/// One share: what it points at lives at least as long.
pub(crate) struct Share(NonNull<ReaderShared>);

// SAFETY: a share is used like an `Arc`, whose target is `Send` and `Sync`.
unsafe impl Send for Share {}
// SAFETY: as above.
unsafe impl Sync for Share {}

impl Share {
    pub(crate) fn to_arc(&self) -> Arc<ReaderShared> {
        // SAFETY: the pointer comes from `Arc::into_raw`, and that `Arc` lives as long as there are shares.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }
}

impl Deref for Share {
    type Target = ReaderShared;

    #[inline]
    fn deref(&self) -> &ReaderShared {
        // SAFETY: the `Arc` of the lender is dropped with the last share.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Share {
    #[inline]
    fn drop(&mut self) {
        if self.outstanding.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the pointer comes from `Arc::into_raw`; the last share drops that `Arc`, and is not used after this.
            drop(unsafe { Arc::from_raw(self.0.as_ptr()) });
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::{BufferConfig, Reader, Writer, sync::Arc};

    #[test]
    fn what_is_lent_outlives_the_reader_and_no_longer_than_its_frames() {
        let name = format!("zb-share-{}", std::process::id());
        let mut reader = Reader::create(&name, BufferConfig::new(0, 4096)).unwrap();
        let mut writer = Writer::connect(&name).unwrap();
        for frame in [b"one", b"two"] {
            writer.write(frame).unwrap();
        }
        let (one, two) = (reader.read().unwrap(), reader.read().unwrap());
        let shared = Arc::downgrade(&reader.shared);
        let is_alive = || shared.strong_count() > 0;
        drop(reader);
        drop(one);
        assert_eq!((two.data(), is_alive()), (&b"two"[..], true));
        let kept = two.keep_alive();
        drop(two);
        assert!(is_alive());
        drop(kept);
        assert!(!is_alive(), "nothing is leaked");
        drop(writer);

        let reader = Reader::create(&name, BufferConfig::new(0, 4096)).unwrap();
        let shared = Arc::downgrade(&reader.shared);
        drop(reader);
        assert_eq!(shared.strong_count(), 0, "without a frame too");
    }
}
