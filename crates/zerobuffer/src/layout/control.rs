//! The 128-byte control block ("OIEB"): where each field lies, and a private copy of all of them
//! (W1).

use super::{CONTROL_SIZE, Geometry};
use crate::error::{Error, Result};

/// The 64-bit fields, as byte offsets in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Word {
    MetadataFree = 16,
    MetadataWritten = 24,
    PayloadFree = 40,
    WritePos = 48,
    ReadPos = 56,
    WrittenCount = 64,
    ReadCount = 72,
    WriterPid = 80,
    ReaderPid = 88,
}

/// One private copy of the control block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlSnapshot {
    pub(crate) oieb_size: u32,
    /// Major, minor, patch, reserved.
    pub(crate) version: [u8; 4],
    pub(crate) metadata_size: u64,
    pub(crate) metadata_free: u64,
    pub(crate) metadata_written: u64,
    pub(crate) payload_size: u64,
    pub(crate) payload_free: u64,
    pub(crate) write_pos: u64,
    pub(crate) read_pos: u64,
    pub(crate) written_count: u64,
    pub(crate) read_count: u64,
    pub(crate) writer_pid: u64,
    pub(crate) reader_pid: u64,
}

impl ControlSnapshot {
    /// The control block of a fresh, empty buffer.
    pub(crate) fn fresh(geometry: Geometry, reader_pid: u64) -> Self {
        Self {
            oieb_size: CONTROL_SIZE as u32,
            version: [1, 0, 0, 0],
            metadata_size: geometry.metadata,
            metadata_free: geometry.metadata,
            metadata_written: 0,
            payload_size: geometry.payload,
            payload_free: geometry.payload,
            write_pos: 0,
            read_pos: 0,
            written_count: 0,
            read_count: 0,
            writer_pid: 0,
            reader_pid,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; CONTROL_SIZE as usize] {
        let words = [
            u64::from(self.oieb_size) | (u64::from(u32::from_le_bytes(self.version)) << 32),
            self.metadata_size,
            self.metadata_free,
            self.metadata_written,
            self.payload_size,
            self.payload_free,
            self.write_pos,
            self.read_pos,
            self.written_count,
            self.read_count,
            self.writer_pid,
            self.reader_pid,
        ];
        let mut bytes = [0; CONTROL_SIZE as usize];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; CONTROL_SIZE as usize]) -> Self {
        let mut words = [0_u64; 16];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte));
        }
        let [head, metadata_size, metadata_free, metadata_written, payload_size, payload_free, rest @ ..] =
            words;
        let [write_pos, read_pos, written_count, read_count, writer_pid, reader_pid, ..] = rest;
        Self {
            oieb_size: head as u32,
            version: ((head >> 32) as u32).to_le_bytes(),
            metadata_size,
            metadata_free,
            metadata_written,
            payload_size,
            payload_free,
            write_pos,
            read_pos,
            written_count,
            read_count,
            writer_pid,
            reader_pid,
        }
    }

    /// The checks that every attach makes first: block size, major version, sizes against the real
    /// segment.
    pub(crate) fn geometry(&self, name: &str, segment: u64) -> Result<Geometry> {
        if u64::from(self.oieb_size) != CONTROL_SIZE {
            return Err(Error::Corrupt {
                name: name.to_owned(),
                field: "oieb_size",
                value: u64::from(self.oieb_size),
                expected: CONTROL_SIZE.to_string(),
            });
        }
        let [major, minor, patch, _] = self.version;
        if major != super::PROTOCOL_VERSION.0 {
            return Err(Error::Version { name: name.to_owned(), major, minor, patch });
        }
        Geometry::check(name, self.metadata_size, self.payload_size, segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_block_has_the_published_bytes() {
        let bytes =
            ControlSnapshot::fresh(Geometry { metadata: 64, payload: 128, native: true }, 0x1234).to_bytes();
        let mut expected = [0_u8; 128];
        expected[0] = 128;
        expected[4] = 1;
        expected[8] = 64;
        expected[16] = 64;
        expected[32] = 128;
        expected[40] = 128;
        expected[88] = 0x34;
        expected[89] = 0x12;
        assert_eq!(bytes, expected);
    }

    #[test]
    fn fields_lie_where_words_say() {
        for (word, read) in [
            (Word::MetadataFree, (|s| s.metadata_free) as fn(&ControlSnapshot) -> u64),
            (Word::MetadataWritten, |s| s.metadata_written),
            (Word::PayloadFree, |s| s.payload_free),
            (Word::WritePos, |s| s.write_pos),
            (Word::ReadPos, |s| s.read_pos),
            (Word::WrittenCount, |s| s.written_count),
            (Word::ReadCount, |s| s.read_count),
            (Word::WriterPid, |s| s.writer_pid),
            (Word::ReaderPid, |s| s.reader_pid),
        ] {
            let mut bytes = [0_u8; 128];
            bytes[word as usize..word as usize + 8].copy_from_slice(&0x0807_0605_0403_0201_u64.to_le_bytes());
            let snapshot = ControlSnapshot::from_bytes(&bytes);
            assert_eq!(read(&snapshot), 0x0807_0605_0403_0201, "{word:?}");
            assert_eq!(snapshot.to_bytes(), bytes);
        }
    }
}
