//! What a reader hands out: frames, views of shared memory that hold a share of its mapping.

use super::ReaderShared;
use crate::{link::Keepalive, memory::Span, sync::Share};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// One received frame: a view of shared memory, not a copy.
///
/// Any number of frames may be held, moved to other threads and dropped in any order. Dropping a
/// frame returns its ring space, in ring order. Space behind a frame that is still held stays taken
/// until that one is dropped too. A frame stays readable after its reader was closed.
///
/// If the writer is of this library, the payload begins at a multiple of 16 bytes in memory. So it
/// can be viewed as numbers without a copy. A frame of another implementation's writer may begin
/// anywhere.
///
/// ```
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-frame-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::default())?;
/// let mut writer = Writer::connect(&name)?;
/// writer.write(b"one")?;
/// writer.write(b"two")?;
/// let (one, two) = (reader.read()?, reader.read()?);
/// drop(one);
/// assert_eq!((two.sequence(), two.data()), (2, &b"two"[..]));
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[must_use = "a frame that is dropped is lost"]
pub struct Frame {
    shared: Share<ReaderShared>,
    span: Span,
}

impl Frame {
    pub(crate) fn new(shared: Share<ReaderShared>, span: Span) -> Self {
        Self { shared, span }
    }

    /// The payload, in shared memory.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.shared.region.frame(&self.span)
    }

    /// The payload, to be edited in place. The writer never looks at it again.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.shared.region.frame_mut(&mut self.span)
    }

    /// The number that the writer gave the frame: 1, 2, 3, … over all writers of the buffer.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.span.sequence
    }

    /// Keeps the memory of [`Self::data`] mapped after the frame was dropped, for bindings that
    /// cannot end a view. What the memory then shows is whatever the writer puts there.
    #[doc(hidden)]
    #[must_use]
    pub fn keep_alive(&self) -> Keepalive {
        Keepalive::new(self.shared.to_arc())
    }

    /// Payload bytes, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.span.size as usize
    }

    /// Always `false`: the protocol has no empty frames.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        self.shared.release(self.span.start, self.span.end);
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.data()
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl AsMut<[u8]> for Frame {
    fn as_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("sequence", &self.sequence())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The newest frame, and how many older ones were passed over to get to it.
///
/// ```
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-latest-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::default())?;
/// let mut writer = Writer::connect(&name)?;
/// for frame in [b"old", b"mid", b"new"] {
///     writer.write(frame)?;
/// }
/// let latest = reader.latest()?;
/// assert_eq!((latest.frame.data(), latest.skipped), (&b"new"[..], 2));
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a frame that is dropped is lost"]
pub struct Latest {
    /// The newest frame that was there.
    pub frame: Frame,
    /// Older frames that were dropped unread.
    pub skipped: u64,
}

#[cfg(test)]
mod tests {
    use crate::{BufferConfig, Reader, Writer, sync::Arc};

    #[test]
    fn frames_outlive_their_reader_and_nothing_outlives_the_last_frame() {
        let name = crate::testing::name("zb-share");
        let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
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
    }
}
