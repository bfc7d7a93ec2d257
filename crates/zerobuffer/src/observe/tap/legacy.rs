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
    let (mut before, mut walked) = (0, 0);
    let (mut first, mut newest) = (None, None);
    for _ in 0..STEPS {
        let tail = capacity - at;
        let header = if tail < FRAME_HEADER_SIZE { None } else { Some(header(memory, ring, at)?) };
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

fn header(memory: &impl Memory, ring: Ring, at: u64) -> io::Result<FrameHeader> {
    let mut bytes = [0; FRAME_HEADER_SIZE as usize];
    memory.read(ring.start + at, &mut bytes)?;
    Ok(FrameHeader::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
