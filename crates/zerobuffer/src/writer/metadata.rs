//! The metadata of a writer: once per writer in native form, once per buffer in legacy form.

use super::Writer;
use crate::{
    error::{Error, Result},
    link::Patience,
    ring::{MetadataState, metadata},
    sync::Instant,
};
use std::time::Duration;

/// Pause between two looks at what the reader has taken.
const PAUSE: Duration = Duration::from_millis(1);

impl Writer {
    /// Writes the metadata, once per writer. At most [`Self::metadata_capacity`] less 8 bytes, may
    /// be empty.
    ///
    /// The metadata of a previous writer are replaced: this waits for that writer's frames to be
    /// taken, at most the write timeout. The reader sees the new ones with this writer's first
    /// frame. The same bytes as before pass at once.
    ///
    /// Beside a reader of another implementation, and while frames that such a writer has left are
    /// unread, metadata can be written once per buffer.
    ///
    /// # Errors
    ///
    /// [`Error::MetadataAlreadyWritten`] for a second call, and where another writer's cannot be
    /// replaced. [`Error::MetadataInUse`] if the previous writer's frames are not taken in time.
    /// [`Error::MetadataTooLarge`], [`Error::ReaderGone`], [`Error::Replaced`], [`Error::Closed`],
    /// [`Error::Forked`], [`Error::Corrupt`].
    pub fn set_metadata(&mut self, data: &[u8]) -> Result<()> {
        let mut patience = Patience::for_timeout(self.config.write_timeout);
        self.set_metadata_with(data, &mut patience)
    }

    /// As [`Self::set_metadata`], but waits as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::set_metadata`].
    pub fn set_metadata_with(&mut self, data: &[u8], patience: &mut Patience<'_>) -> Result<()> {
        self.check()?;
        if self.set_metadata {
            return Err(Error::MetadataAlreadyWritten { name: self.shared.name.clone() });
        }
        self.put_metadata(data, self.producer.start(), patience)
    }

    /// As [`Self::set_metadata_with`], for a writer that may call it again. What it has set before
    /// is replaced as a predecessor's is, once its own frames are taken. In legacy form there is no
    /// second time.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn renew_metadata_with(&mut self, data: &[u8], patience: &mut Patience<'_>) -> Result<()> {
        self.check()?;
        let start = if self.set_metadata { self.producer.published() } else { self.producer.start() };
        self.put_metadata(data, start, patience)
    }

    /// Writes metadata that hold from the byte `start` of the stream on; `None`: in legacy form.
    fn put_metadata(&mut self, data: &[u8], start: Option<u64>, patience: &mut Patience<'_>) -> Result<()> {
        let name = || self.shared.name.clone();
        let (region, size) = (&self.shared.region, data.len() as u64);
        let found = MetadataState::load(region);
        if found.written != 0 && self.has_metadata(data) {
            // A writer that was started anew says what its predecessor has said: that is so
            // already.
            self.set_metadata = true;
            return Ok(());
        }
        if found.written != 0 && start.is_none() {
            return Err(Error::MetadataAlreadyWritten { name: name() });
        }
        let max = region.metadata_capacity().saturating_sub(8);
        let too_large = || Error::MetadataTooLarge { name: name(), size, max };
        if region.metadata_capacity() == 0 || size > max {
            return Err(too_large());
        }
        if found.written != 0
            && let Some(start) = start
        {
            self.wait_until_taken(start, patience)?;
        }
        let region = &self.shared.region;
        let fits = match start {
            // In a channel each client removes its predecessor's when it connects.
            Some(_) if self.has_free_sequences() => metadata::replace(region, data, 0),
            Some(start) => metadata::replace(region, data, metadata::first_byte(region, start, found)),
            None => metadata::write_once(region, data),
        };
        if !fits {
            return Err(Error::MetadataTooLarge { name: self.shared.name.clone(), size, max });
        }
        self.set_metadata = true;
        log::info!(target: "zerobuffer::writer", "buffer '{}': {size} bytes of metadata written", self.shared.name);
        Ok(())
    }

    /// Whether the block holds these bytes.
    fn has_metadata(&self, data: &[u8]) -> bool {
        let (region, size) = (&self.shared.region, data.len() as u64);
        let before = MetadataState::load(region);
        before.written == size + 8
            && region.metadata_prefix() == size
            && region.copy_metadata(size).as_deref() == Some(data)
    }

    /// Waits until the reader has taken the frames of this writer's predecessors.
    fn wait_until_taken(&mut self, start: u64, patience: &mut Patience<'_>) -> Result<()> {
        loop {
            let taken = metadata::taken(&self.shared.region);
            if taken >= start {
                return Ok(());
            }
            let now = Instant::now();
            self.watch.refresh(&self.shared, now)?;
            self.check()?;
            if patience.pause(PAUSE, now).is_break() {
                let name = self.shared.name.clone();
                return Err(Error::MetadataInUse { name, unread: start - taken, waited: patience.waited() });
            }
        }
    }
}
