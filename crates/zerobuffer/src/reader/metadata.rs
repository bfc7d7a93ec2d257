//! The metadata of a buffer, as its reader sees them.

use super::ReaderShared;
use crate::{
    error::Result,
    layout::Word,
    ring::Fault,
    sync::{Arc, End, Ordering, order},
};
use std::{fmt, ops::Deref};

/// How often a look is repeated because the metadata change under it.
const ATTEMPTS: u32 = 8;

/// The metadata of a buffer: a copy, since a later writer may replace them.
///
/// ```
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-metadata-{}", std::process::id());
/// let reader = Reader::create(&name, BufferConfig::default())?;
/// assert!(reader.metadata()?.is_none());
/// Writer::connect(&name)?.set_metadata(b"{}")?;
/// assert_eq!(reader.metadata()?.as_deref(), Some(&b"{}"[..]));
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Metadata(Arc<[u8]>);

impl Metadata {
    /// What the control block says of them now.
    pub(super) fn read(shared: &ReaderShared) -> Result<Option<Self>> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let before = state(shared);
            let copied = match before {
                (writer, 0) => Ok(shared.kept_metadata(writer)),
                (_, written) => Self::copy(shared, written),
            };
            // A writer writes them once: only with another one, or when they are removed, can they
            // have changed.
            if state(shared) == before {
                return copied;
            }
            last = Some(copied);
        }
        last.unwrap_or(Ok(None))
    }

    fn copy(shared: &ReaderShared, written: u64) -> Result<Option<Self>> {
        let region = &shared.region;
        let capacity = region.metadata_capacity();
        if written < 8 || written > capacity {
            let expected = format!("0, or 8 to {capacity}");
            return Err(shared.fault(&Fault::field("metadata_written_bytes", written, expected)));
        }
        let prefix = region.metadata_prefix();
        if prefix != written - 8 {
            let expected = format!("{} (metadata_written_bytes less 8)", written - 8);
            return Err(shared.fault(&Fault::field("metadata length prefix", prefix, expected)));
        }
        Ok(region.copy_metadata(prefix).map(|bytes| Self(bytes.into())))
    }

    /// The bytes that the writer gave; may be empty.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.0
    }
}

/// The writer's number, and how many bytes of metadata are there.
fn state(shared: &ReaderShared) -> (u64, u64) {
    let writer = shared.region.load(Word::WriterPid, Ordering::Acquire);
    // Edge E6, acquire end: prefix and content are complete.
    (writer, shared.region.load(Word::MetadataWritten, order(End::E6Acquire, Ordering::Acquire)))
}

impl Deref for Metadata {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data()
    }
}

impl AsRef<[u8]> for Metadata {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(any(loom, shuttle)))]
mod tests {
    use crate::{BufferConfig, Reader, Writer};

    #[test]
    fn metadata_in_hand_do_not_change_with_the_next_writer() {
        let name = crate::testing::name("metadata-held");
        let reader = Reader::create(&name, BufferConfig::default().free_sequences(true)).unwrap();
        let mut first = Writer::connect(&name).unwrap();
        first.set_metadata(b"first").unwrap();
        let held = reader.metadata().unwrap().unwrap();
        first.close().unwrap();
        let mut second = Writer::connect(&name).unwrap();
        assert_eq!(reader.metadata().unwrap(), None, "the predecessor's are removed");
        second.set_metadata(b"other").unwrap();
        assert_eq!(reader.metadata().unwrap().as_deref(), Some(&b"other"[..]));
        assert_eq!(&held[..], b"first");
    }
}
