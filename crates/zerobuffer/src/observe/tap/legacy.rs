//! What proves that a copied frame is whole, in legacy form: it is unread before the copy and after
//! it.
//!
//! A reader stores its position, then its count, and gives the bytes back after that. So while the
//! count has not passed a frame, nobody may store into its bytes.
#![forbid(unsafe_code)]

use super::memory::{Found, Memory};
use crate::layout::{FRAME_HEADER_SIZE, FrameHeader, NativeWord, Word};
use std::{cmp::Ordering, io};

/// Frames and markers that are looked at before one is chosen.
const STEPS: u32 = 1 << 16;

/// Bytes that are read at once where frames are small.
const PIECE: u64 = 64 * 1024;
/// Up to this size frames are small: more headers lie in the same piece.
const SMALL: u64 = 4 * 1024;

/// Where the ring lies in the segment, and the native block, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) start: u64,
    pub(super) capacity: u64,
    pub(super) block: Option<u64>,
}

/// Which of the unread frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// The newest one, else the oldest one that is wanted.
    pub(super) newest: bool,
    /// None up to this number; `None`: the newest one.
    pub(super) behind: Option<u64>,
}

/// A frame that was unread: its place, and how many frames and markers are to be read before it.
#[derive(Clone, Copy)]
struct Unread {
    at: u64,
    header: FrameHeader,
    before: u64,
}

/// Looks for one frame that is unread, and copies it.
pub(super) fn look(memory: &impl Memory, ring: Ring, want: Want, into: &mut Vec<u8>) -> io::Result<Found> {
    let form = form(memory, ring)?;
    if form % 2 == 1 {
        return Ok(Found::OtherForm);
    }
    // In this order. A reader that goes on meanwhile seems to have taken less than it has, never
    // more, and what is published lies behind its position.
    let count = word(memory, Word::ReadCount)?;
    let from = word(memory, Word::ReadPos)?;
    let to = word(memory, Word::WritePos)?;
    let unread = choose(memory, ring, from, to, want)?;
    // While nothing is taken, all headers on the way were those of unread frames.
    if word(memory, Word::ReadCount)? != count {
        return Ok(Found::Lost);
    }
    let Some(unread) = unread else { return Ok(Found::Nothing { next: 0 }) };
    let size = unread.header.size;
    into.resize(size as usize, 0);
    memory.read(ring.start + unread.at + FRAME_HEADER_SIZE, into)?;
    // After the copy.
    let taken = word(memory, Word::ReadCount)?.wrapping_sub(count);
    if self::form(memory, ring)? != form {
        return Ok(Found::OtherForm);
    }
    if taken > unread.before {
        return Ok(Found::Lost);
    }
    Ok(Found::Whole { sequence: unread.header.sequence, end: 0 })
}

fn word(memory: &impl Memory, word: Word) -> io::Result<u64> {
    let mut bytes = [0; 8];
    memory.read(word as u64, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// 0 where there is no native block.
fn form(memory: &impl Memory, ring: Ring) -> io::Result<u64> {
    let Some(block) = ring.block else { return Ok(0) };
    let mut bytes = [0; 8];
    memory.read(block + NativeWord::FORM.offset() as u64, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Walks over what is unread.
fn choose(memory: &impl Memory, ring: Ring, from: u64, to: u64, want: Want) -> io::Result<Option<Unread>> {
    let capacity = ring.capacity;
    let (mut at, to) = (from % capacity, to % capacity);
    // Nothing is unread, or all of the ring. The counts of old ends tell these apart only nearly,
    // and what is taken may be given back at any time.
    if at == to {
        return Ok(None);
    }
    let (mut before, mut walked, mut are_small) = (0, 0, false);
    let (mut first, mut newest) = (None, None);
    let mut headers = Headers { memory, ring, start: 0, bytes: Vec::new() };
    for _ in 0..STEPS {
        let tail = capacity - at;
        let ahead = if at < to { to - at } else { tail };
        let len = if are_small { ahead.min(PIECE) } else { 0 };
        let header = if tail < FRAME_HEADER_SIZE { None } else { Some(headers.at(at, len)?) };
        match header.filter(|header| !header.is_wrap()) {
            None if at == 0 => break,
            None => {
                // Less than a header is skipped without a marker.
                before += u64::from(tail >= FRAME_HEADER_SIZE);
                walked += tail;
                at = 0;
            }
            Some(header) => {
                let total = header.total().filter(|total| *total <= tail);
                let Some(total) = total.filter(|_| header.unpublished_sequence().is_none()) else { break };
                let unread = Unread { at, header, before };
                first = first.or(Some(unread));
                newest = Some(unread);
                if !want.newest && want.behind.is_some_and(|number| header.sequence > number) {
                    return Ok(Some(unread));
                }
                are_small = total <= SMALL;
                before += 1;
                walked += total;
                at = (at + total) % capacity;
            }
        }
        if at == to || walked >= capacity {
            break;
        }
    }
    let Some(number) = want.behind else { return Ok(newest) };
    // Numbers that are all smaller are those of a new writer, which counts from 1.
    Ok(match newest.map(|newest| newest.header.sequence.cmp(&number)) {
        Some(Ordering::Less) if !want.newest => first,
        Some(Ordering::Less | Ordering::Greater) => newest,
        Some(Ordering::Equal) | None => None,
    })
}

/// Headers of the ring, and what was read with the newest of them.
struct Headers<'m, M> {
    memory: &'m M,
    ring: Ring,
    start: u64,
    bytes: Vec<u8>,
}

impl<M: Memory> Headers<'_, M> {
    /// The header there. If it was not read with another one, `len` bytes are read with it.
    fn at(&mut self, at: u64, len: u64) -> io::Result<FrameHeader> {
        let read = at.checked_sub(self.start).and_then(|at| self.bytes.get(at as usize..)?.first_chunk());
        if let Some(header) = read {
            return Ok(FrameHeader::from_bytes(*header));
        }
        self.start = at;
        self.bytes.resize(len.max(FRAME_HEADER_SIZE) as usize, 0);
        self.memory.read(self.ring.start + at, &mut self.bytes)?;
        Ok(FrameHeader::from_bytes(self.bytes.first_chunk().copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests;
