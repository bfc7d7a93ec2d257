//! What proves that a copied frame is whole, in native form: the steps of a tap over any memory.
//!
//! A writer claims a piece of the ring before its first store into it (`Writing::claim`). So a copy
//! is whole if no claim that is newer than its frame overlaps it, and the claims were looked at
//! after the copy.
#![forbid(unsafe_code)]

use super::memory::{Found, Memory};
use crate::layout::{ENTRIES, FRAME_HEADER_SIZE, FrameHeader, NativeWord, ROUNDING, rounded};
use std::{collections::VecDeque, io};

/// Of small frames, so many bytes are copied at once.
const BATCH: u64 = 64 * 1024;
/// Entries of a table that cannot have been overwritten while it was copied: the next one may be
/// under way.
const KEPT: u64 = ENTRIES - 2;
const JUMPS: usize = 16 * ENTRIES as usize;
const CLAIMS: usize = 24 * ENTRIES as usize;

/// Where the parts of a segment lie in it, and how long the ring is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) start: u64,
    pub(super) capacity: u64,
    pub(super) block: u64,
}

/// With which frame to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The newest one, unless it begins before that byte of the stream.
    Newest { after: u64 },
    /// The one that begins at this byte of the stream.
    Byte(u64),
}

/// Small frames that were copied and proven together with one that was delivered.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    frames: VecDeque<Whole>,
}

/// One of them: where its payload lies in the copy, its number, and where the next one begins in
/// the stream.
#[derive(Debug)]
struct Whole {
    start: usize,
    len: usize,
    sequence: u64,
    end: u64,
}

impl Ahead {
    /// The next frame.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) -> Option<Found> {
        let Whole { start, len, sequence, end } = self.frames.pop_front()?;
        into.clear();
        into.extend_from_slice(self.bytes.get(start..start.checked_add(len)?)?);
        Some(Found::Whole { sequence, end })
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }
}

/// Looks for one frame and copies it. Small ones behind it are copied with it, and wait in `ahead`.
pub(super) fn look(
    memory: &impl Memory,
    ring: Ring,
    from: From,
    ahead: &mut Ahead,
    into: &mut Vec<u8>,
) -> io::Result<Found> {
    ahead.clear();
    let block = Block { memory, at: ring.block };
    let form = block.word(NativeWord::FORM)?;
    if form.is_multiple_of(2) {
        return Ok(Found::OtherForm);
    }
    let wanted = match from {
        From::Byte(wanted) => wanted,
        From::Newest { .. } => block.word(NativeWord::LAST)?,
    };
    let published = block.word(NativeWord::PUBLISHED)?;
    // The newest frame may be the one that is just being published, or that of a writer that died
    // there.
    if wanted == published || matches!(from, From::Newest { after } if wanted < after) {
        return Ok(Found::Nothing { next: published });
    }
    let Some(piece) = block.piece(wanted, published, ring.capacity)? else { return Ok(Found::Lost) };
    let copy = Copy { memory, from: ring.start + piece.start };
    let header = copy.header()?;
    let total = rounded(header.size, ROUNDING);
    let is_possible = header.size != 0 && total <= piece.len;
    let is_small = is_possible && 2 * total <= piece.len.min(BATCH);
    if is_small {
        copy.bytes(0, piece.len.min(BATCH), &mut ahead.bytes)?;
    } else if is_possible {
        copy.bytes(FRAME_HEADER_SIZE, header.size, into)?;
    }
    // The copy is complete before the claims are looked at.
    let Some(claims) = block.claims(form)? else { return Ok(Found::OtherForm) };
    if is_small {
        ahead.sort_out(&claims, wanted, piece.start);
        return Ok(ahead.take(into).unwrap_or(Found::Lost));
    }
    let len = if is_possible { header.size } else { 0 };
    if !claims.spare(wanted, piece.start, piece.start + FRAME_HEADER_SIZE + len) {
        return Ok(Found::Lost);
    }
    if !is_possible {
        return Ok(Found::Impossible { size: header.size, most: piece.len - FRAME_HEADER_SIZE });
    }
    Ok(Found::Whole { sequence: header.sequence, end: wanted + total })
}

impl Ahead {
    /// Keeps the frames of a copy up to the first one that is not certainly whole. The first byte
    /// of the copy is byte `wanted` of the stream and byte `start` of the ring.
    fn sort_out(&mut self, claims: &Claims, wanted: u64, start: u64) {
        let mut at = 0_usize;
        while let Some(bytes) = self.bytes.get(at..at + FRAME_HEADER_SIZE as usize) {
            let Ok(bytes) = bytes.try_into() else { break };
            let header = FrameHeader::from_bytes(bytes);
            let total = rounded(header.size, ROUNDING);
            let left = (self.bytes.len() - at) as u64;
            let (from, to) = (wanted + at as u64, start + at as u64);
            let is_whole = header.size != 0
                && total <= left
                && claims.spare(from, to, to + FRAME_HEADER_SIZE + header.size);
            if !is_whole {
                break;
            }
            self.frames.push_back(Whole {
                start: at + FRAME_HEADER_SIZE as usize,
                len: header.size as usize,
                sequence: header.sequence,
                end: from + total,
            });
            at += total as usize;
        }
    }
}

/// A piece of the ring that is copied.
struct Copy<'a, M> {
    memory: &'a M,
    from: u64,
}

impl<M: Memory> Copy<'_, M> {
    fn header(&self) -> io::Result<FrameHeader> {
        let mut bytes = [0; FRAME_HEADER_SIZE as usize];
        self.memory.read(self.from, &mut bytes)?;
        Ok(FrameHeader::from_bytes(bytes))
    }

    /// `len` is at most what the ring has.
    fn bytes(&self, at: u64, len: u64, into: &mut Vec<u8>) -> io::Result<()> {
        // Bytes that are there already are not set to 0 first.
        into.resize(len as usize, 0);
        self.memory.read(self.from + at, into)
    }
}

/// Bytes of the ring in which some of the stream lie one behind the other.
struct Piece {
    start: u64,
    len: u64,
}

/// The native block.
struct Block<'a, M> {
    memory: &'a M,
    at: u64,
}

impl<M: Memory> Block<'_, M> {
    fn word(&self, word: NativeWord) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.memory.read(self.at + word.offset() as u64, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Where byte `wanted` of the stream lies, and what is published behind it there; `None` if
    /// that is not known any more.
    fn piece(&self, wanted: u64, published: u64, capacity: u64) -> io::Result<Option<Piece>> {
        if published.checked_sub(wanted).is_none_or(|behind| behind > capacity) {
            return Ok(None);
        }
        let before = self.word(NativeWord::JUMPS)?;
        let mut table = [0; JUMPS];
        let [first, _] = NativeWord::jump(0);
        self.memory.read(self.at + first.offset() as u64, &mut table)?;
        let after = self.word(NativeWord::JUMPS)?;
        let mut end = published;
        // A successor may take a jump of its predecessor back.
        for number in (after.saturating_sub(KEPT)..=before.min(after)).rev() {
            let [at, to] = NativeWord::jump(number).map(|word| entry(&table, word, first));
            if at > wanted {
                end = end.min(at);
                continue;
            }
            let Some(start) = to.checked_add(wanted - at) else { break };
            let Some(room) = capacity.checked_sub(start) else { break };
            let piece = Piece { start, len: room.min(end - wanted) };
            return Ok((piece.len >= FRAME_HEADER_SIZE).then_some(piece));
        }
        Ok(None)
    }

    /// The claims, if the ring has been in that form all the time.
    fn claims(&self, form: u64) -> io::Result<Option<Claims>> {
        let newest = self.word(NativeWord::CLAIMS)?;
        let mut table = [0; CLAIMS];
        let [first, ..] = NativeWord::claim(0);
        self.memory.read(self.at + first.offset() as u64, &mut table)?;
        let after = self.word(NativeWord::CLAIMS)?;
        let is_same = self.word(NativeWord::FORM)? == form;
        let oldest = after.saturating_sub(KEPT);
        Ok((is_same && after >= newest).then_some(Claims { table, newest, oldest }))
    }
}

/// A word of a copied table.
fn entry(table: &[u8], word: NativeWord, first: NativeWord) -> u64 {
    let at = word.offset() - first.offset();
    let bytes = table.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

/// The newest claims, as they were after a copy.
struct Claims {
    table: [u8; CLAIMS],
    newest: u64,
    /// The oldest one that cannot have been overwritten while the table was copied.
    oldest: u64,
}

impl Claims {
    /// Whether nothing was stored into ring bytes `start..end` since byte `of` of the stream was
    /// published there.
    fn spare(&self, of: u64, start: u64, end: u64) -> bool {
        let [first, ..] = NativeWord::claim(0);
        for number in (self.oldest..=self.newest).rev() {
            let [abs, from, to] = NativeWord::claim(number).map(|word| entry(&self.table, word, first));
            // Before that frame: it and all older claims.
            if number == 0 || abs <= of {
                return true;
            }
            if from < end && start < to {
                return false;
            }
        }
        // The claims do not reach back to the frame.
        false
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
