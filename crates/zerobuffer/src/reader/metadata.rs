//! The metadata of a buffer, as its reader sees them.

use super::ReaderShared;
use crate::{
    error::Result,
    layout::Word,
    ring::Fault,
    sync::{Arc, Counted, End, Ordering, order},
};
use std::fmt;

/// The metadata of a buffer: a view of shared memory, written once by the writer.
///
/// ```
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-metadata-{}", std::process::id());
/// let reader = Reader::create(&name, BufferConfig::default())?;
/// assert!(reader.metadata()?.is_none());
/// Writer::connect(&name)?.set_metadata(b"{}")?;
/// assert_eq!(reader.metadata()?.map(|metadata| metadata.as_slice().to_vec()), Some(b"{}".to_vec()));
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Clone)]
pub struct Metadata {
    shared: Arc<Counted<ReaderShared>>,
    len: u64,
}

impl Metadata {
    /// What the control block says of them now.
    pub(super) fn read(shared: &Arc<Counted<ReaderShared>>) -> Result<Option<Self>> {
        let looked = Self::look(shared);
        // A duplex server makes room for its next client's metadata: a look in that moment is repeated, once.
        if looked.is_err() { Self::look(shared) } else { looked }
    }

    fn look(shared: &Arc<Counted<ReaderShared>>) -> Result<Option<Self>> {
        let region = &shared.region;
        // Edge E6, acquire end: prefix and content are complete.
        let written = region.load(Word::MetadataWritten, order(End::E6Acquire, Ordering::Acquire));
        if written == 0 {
            return Ok(None);
        }
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
        Ok(Some(Self { shared: Arc::clone(shared), len: prefix }))
    }

    /// The bytes that the writer gave; may be empty.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.shared.region.metadata(self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Metadata {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("len", &self.len).finish_non_exhaustive()
    }
}
