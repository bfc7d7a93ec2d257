//! The metadata of a buffer, as its reader sees them.

use crate::{ring::MetadataState, sync::Arc};
use std::{fmt, ops::Deref};

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
    /// A copy of what the block held.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The bytes that the writer gave; may be empty.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.0
    }
}

/// Copies of what the block has held: the metadata of a writer until its successor's first frame,
/// when the block holds the successor's already.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// The newest, of which no frame may have been taken.
    newest: Option<(MetadataState, Metadata)>,
    before: Option<(MetadataState, Metadata)>,
}

impl Earlier {
    /// A copy was made while so many bytes of the stream were taken.
    pub(super) fn keep(&mut self, state: MetadataState, metadata: Metadata, taken: u64) {
        // One whose writer has published nothing was never shown.
        if let Some(held) = self.newest.replace((state, metadata)).filter(|(state, _)| state.holds(taken)) {
            self.before = Some(held);
        }
    }

    /// What is shown while the block holds nothing, or what is not to be shown yet.
    pub(super) fn shown(&self, taken: u64) -> Option<Metadata> {
        let newest = self.newest.as_ref().filter(|(state, _)| state.holds(taken));
        newest.or(self.before.as_ref()).map(|(_, metadata)| metadata.clone())
    }
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
