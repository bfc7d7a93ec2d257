//! The metadata of a buffer, as its reader sees them.

use super::ReaderShared;
use crate::{
    error::Result,
    ring::{MetadataState, metadata},
    sync::{Arc, lock},
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
    /// What a reader is shown now: those of the writer whose frames it takes.
    pub(super) fn read(shared: &ReaderShared) -> Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let state = MetadataState::load(&shared.region);
            if !state.holds(metadata::taken(&shared.region)) {
                break;
            }
            let copied = Self::copy(shared, state.written);
            // They may have been replaced, or removed, meanwhile.
            if MetadataState::load(&shared.region) == state {
                return copied;
            }
        }
        let writer = MetadataState::load(&shared.region).writer;
        let shown = lock(&shared.earlier).shown(metadata::taken(&shared.region));
        Ok(shown.or_else(|| shared.kept_metadata(writer)))
    }

    fn copy(shared: &ReaderShared, written: u64) -> Result<Option<Self>> {
        let region = &shared.region;
        let len = metadata::content_len(written, region.metadata_capacity())
            .and_then(|len| metadata::check_prefix(region.metadata_prefix(), len).map(|()| len))
            .map_err(|fault| shared.fault(&fault))?;
        Ok(region.copy_metadata(len).map(|bytes| Self(bytes.into())))
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
    /// Makes a copy while nothing is taken of what was found unread, unless there is one.
    #[cold]
    pub(super) fn keep(shared: &ReaderShared, state: MetadataState) {
        let (taken, Ok(Some(metadata))) =
            (metadata::taken(&shared.region), Metadata::copy(shared, state.written))
        else {
            return;
        };
        if MetadataState::load(&shared.region) != state {
            return;
        }
        let mut earlier = lock(&shared.earlier);
        // One whose writer has published nothing was never shown.
        if let Some(held) = earlier.newest.replace((state, metadata)).filter(|(state, _)| state.holds(taken))
        {
            earlier.before = Some(held);
        }
    }

    /// What is shown while the block holds nothing, or what is not to be shown yet.
    fn shown(&self, taken: u64) -> Option<Metadata> {
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
