//! The words of the metadata block. In legacy form it is written once; in native form a successor
//! of its writer replaces it.

use super::Fault;
use crate::{
    layout::{NativeWord, Word},
    memory::Region,
    sync::{End, Ordering, order},
};

/// What the words say of the block, read one after the other. Copied bytes are whole if the words
/// were the same before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetadataState {
    /// The registered writer.
    pub(crate) writer: u64,
    /// 8 and the length of the content; 0: nothing is there, or it is being written.
    pub(crate) written: u64,
    /// Odd while they are written in native form.
    generation: u64,
    /// The byte of the stream from which they hold; 0: at once.
    from: u64,
}

impl MetadataState {
    pub(crate) fn load(region: &Region) -> Self {
        let writer = region.load(Word::WriterPid, Ordering::Acquire);
        // Edge E6, acquire end: prefix, content and the other words are complete.
        let written = region.load(Word::MetadataWritten, order(End::E6Acquire, Ordering::Acquire));
        let generation = region.native_load(NativeWord::METADATA_GENERATION, Ordering::Acquire);
        let from = region.native_load(NativeWord::METADATA_FROM, Ordering::Acquire);
        Self { writer, written, generation, from }
    }

    /// Whether a reader that has taken so many bytes of the stream shows them: with the first frame
    /// of their writer.
    pub(crate) fn holds(self, taken: u64) -> bool {
        // A writer of legacy form that has found none writes at once, also where one in native form
        // has died writing.
        self.written != 0 && (self.from == 0 || taken > self.from || self.generation % 2 == 1)
    }

    pub(crate) fn generation(self) -> u64 {
        self.generation
    }

    /// Whether the content is the same.
    pub(crate) fn is_same(self, other: Self) -> bool {
        (self.generation, self.written) == (other.generation, other.written)
    }

    /// Whether nobody has written metadata yet.
    fn is_untouched(self) -> bool {
        self.written == 0 && self.generation <= 1
    }
}

/// Bytes of the content, by the word that says how much is written.
pub(crate) fn content_len(written: u64, capacity: u64) -> Result<u64, Fault> {
    match written.checked_sub(8) {
        Some(len) if written <= capacity => Ok(len),
        _ => Err(Fault::field("metadata_written_bytes", written, format!("0, or 8 to {capacity}"))),
    }
}

/// Whether the prefix of the content says the same.
pub(crate) fn check_prefix(prefix: u64, len: u64) -> Result<(), Fault> {
    if prefix == len {
        return Ok(());
    }
    Err(Fault::field("metadata length prefix", prefix, format!("{len} (metadata_written_bytes less 8)")))
}

/// A number that changes whenever metadata are written in native form. A hint, without an order.
#[inline]
pub(crate) fn generation(region: &Region) -> u64 {
    region.native_load(NativeWord::METADATA_GENERATION, Ordering::Relaxed)
}

/// Bytes of the stream that the reader has taken in native form.
pub(crate) fn taken(region: &Region) -> u64 {
    region.native_load(NativeWord::TAKEN, Ordering::Acquire)
}

/// The byte from which a writer's metadata hold: its own first one, behind the `start` bytes that
/// it found published. At once where nobody has written any metadata or frame before.
pub(crate) fn first_byte(region: &Region, start: u64, state: MetadataState) -> u64 {
    let is_first = start == 0 && region.load(Word::WrittenCount, Ordering::Relaxed) == 0;
    if is_first && state.is_untouched() { 0 } else { start.max(1) }
}

/// Writes the block in legacy form, in which there is none before. `false`: they do not fit.
pub(crate) fn write_once(region: &Region, data: &[u8]) -> bool {
    let fits = region.put_metadata(data);
    if fits {
        publish(region, data.len() as u64);
    }
    fits
}

/// Writes the block in native form; `from`: the byte of the stream from which it holds, 0 for at
/// once. The reader has taken all frames of the metadata's former writer. `false`: they do not fit.
pub(crate) fn replace(region: &Region, data: &[u8], from: u64) -> bool {
    if data.len() as u64 > region.metadata_capacity().saturating_sub(8) {
        return false;
    }
    let generation = begin(region, from);
    let fits = region.put_metadata(data);
    region.native_store(NativeWord::METADATA_GENERATION, generation + 1, Ordering::Release);
    if fits {
        publish(region, data.len() as u64);
    }
    fits
}

/// In a channel metadata are the client's: its successor removes them (D7).
pub(crate) fn remove(region: &Region) {
    if region.load(Word::MetadataWritten, Ordering::Acquire) != 0 {
        let generation = begin(region, 0);
        region.native_store(NativeWord::METADATA_GENERATION, generation + 1, Ordering::Release);
    }
}

/// Nothing is there from now on. A reader that gets a byte written after this sees that.
fn begin(region: &Region, from: u64) -> u64 {
    region.store(Word::MetadataFree, region.metadata_capacity(), Ordering::Relaxed);
    region.store(Word::MetadataWritten, 0, Ordering::Release);
    // One that has died while it wrote has left an odd number.
    let generation = region.native_load(NativeWord::METADATA_GENERATION, Ordering::Relaxed) | 1;
    region.native_store(NativeWord::METADATA_GENERATION, generation, Ordering::Release);
    region.native_store(NativeWord::METADATA_FROM, from, Ordering::Release);
    generation
}

fn publish(region: &Region, size: u64) {
    region.store(Word::MetadataFree, region.metadata_capacity() - size - 8, Ordering::Relaxed);
    // Edge E6, release end: prefix, content and the other words are complete.
    region.store(Word::MetadataWritten, size + 8, order(End::E6Release, Ordering::Release));
}

/// A dead writer that has left nothing in the block leaves no word on when it holds.
pub(crate) fn repair(region: &Region) {
    if region.load(Word::MetadataWritten, Ordering::Acquire) == 0 {
        region.native_store(NativeWord::METADATA_FROM, 0, Ordering::Release);
    }
}
