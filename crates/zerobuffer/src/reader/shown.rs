//! Which metadata a reader is shown: those of the writer whose frames it takes.

use super::{Metadata, ReaderShared};
use crate::{
    error::Result,
    ring::{MetadataState, metadata},
    sync::lock,
};

/// How often a look is repeated because the metadata change under it.
const ATTEMPTS: u32 = 8;

impl ReaderShared {
    /// What is shown now.
    pub(super) fn shown_metadata(&self) -> Result<Option<Metadata>> {
        for _ in 0..ATTEMPTS {
            let state = MetadataState::load(&self.region);
            if !state.holds(metadata::taken(&self.region)) {
                break;
            }
            let copied = self.copy_metadata(state.written);
            // They may have been replaced, or removed, meanwhile.
            if MetadataState::load(&self.region) == state {
                return copied;
            }
        }
        let writer = MetadataState::load(&self.region).writer;
        let shown = lock(&self.earlier).shown(metadata::taken(&self.region));
        Ok(shown.or_else(|| self.kept_metadata(writer)))
    }

    fn copy_metadata(&self, written: u64) -> Result<Option<Metadata>> {
        let region = &self.region;
        let len = metadata::content_len(written, region.metadata_capacity())
            .and_then(|len| metadata::check_prefix(region.metadata_prefix(), len).map(|()| len))
            .map_err(|fault| self.fault(&fault))?;
        Ok(region.copy_metadata(len).map(Metadata::of))
    }

    /// Makes a copy while nothing is taken of what was found unread, unless there is one.
    #[cold]
    pub(super) fn keep_earlier(&self, state: MetadataState) {
        let (taken, Ok(Some(metadata))) = (metadata::taken(&self.region), self.copy_metadata(state.written))
        else {
            return;
        };
        if MetadataState::load(&self.region) == state {
            lock(&self.earlier).keep(state, metadata, taken);
        }
    }
}
