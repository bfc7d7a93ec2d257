//! The ring's operations as data, and the one oracle that says what they must do: a queue of byte vectors with a byte budget.
//!
//! The property test (`tests/model.rs`) and the fuzzer drive it step by step beside a real buffer ([`Rig`]); the
//! schedules of shuttle and loom (`src/schedules`) drive it from several threads at once.

#![allow(dead_code, reason = "each user has its own part of this module")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[cfg(not(any(loom, shuttle)))]
mod rig;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use rig::Rig;

use std::collections::VecDeque;

pub(crate) const HEADER: u64 = 16;

/// One operation of a random script; numbers are reduced to what makes sense at their turn.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(u64),
    /// Loan so much, commit that share of it (of 8; 0 drops the loan).
    Loan(u64, u8),
    /// Loan, then leave with the loan still out.
    LoanAndLeave(u64),
    Read,
    Latest,
    /// Release the held frame at that place.
    Release(usize),
    Reconnect,
    Recreate,
}

/// What lies in the ring between read and write position.
#[derive(Debug)]
pub(crate) enum Item {
    Tail(u64),
    Frame { region: u64, data: Vec<u8>, sequence: u64 },
}

impl Item {
    fn sequence(&self) -> Option<u64> {
        match self {
            Self::Tail(_) => None,
            Self::Frame { sequence, .. } => Some(*sequence),
        }
    }
}

// Facts independent of each other.
#[allow(clippy::struct_excessive_bools)]
/// What a buffer holds, and where.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) capacity: u64,
    pub(crate) write_pos: u64,
    pub(crate) read_pos: u64,
    /// Below 0 only while several threads are at work, see [`Self::waiting`].
    pub(crate) free: i64,
    /// The writer waits for room instead of giving up.
    waits: bool,
    pub(crate) next_sequence: u64,
    /// Positions and `free` are known: no writer has died.
    pub(crate) is_exact: bool,
    /// A writer has died, and none has attached since.
    is_orphaned: bool,
    /// The last frames of writers that died: each may never have been published, although its number is used up.
    doubtful: Vec<u64>,
    /// A loan at the start was dropped: the next frame goes there.
    bound_to_start: bool,
    unread: VecDeque<Item>,
    /// Handed-out regions in ring order: bytes, released.
    handed_out: VecDeque<(u64, bool)>,
    /// Regions credited so far: `handed_out[0]` is region number `credited`.
    credited: usize,
}

/// A place for a frame: offset, and the bytes skipped before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    At { at: u64, skip: u64 },
    Full,
    TooLarge,
}

impl Oracle {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            write_pos: 0,
            read_pos: 0,
            free: capacity.cast_signed(),
            waits: false,
            next_sequence: 1,
            is_exact: true,
            is_orphaned: false,
            doubtful: Vec::new(),
            bound_to_start: false,
            unread: VecDeque::new(),
            handed_out: VecDeque::new(),
            credited: 0,
        }
    }

    /// For a writer that blocks until there is room: steps are told to the oracle in another order than the one in which
    /// they happen, so that `free` is exact only when nobody is at work.
    pub(crate) fn waiting(capacity: u64) -> Self {
        Self { waits: true, ..Self::new(capacity) }
    }

    fn lacks(&self, bytes: u64) -> bool {
        !self.waits && self.free < bytes.cast_signed()
    }

    /// Header, payload and the sliver behind them.
    fn region(&self, at: u64, size: u64) -> u64 {
        let left = self.capacity - at - HEADER - size;
        HEADER + size + if left < 16 { left } else { 0 }
    }

    pub(crate) fn reserve(&mut self, size: u64) -> Place {
        if size + HEADER > self.capacity {
            return Place::TooLarge;
        }
        let tail = self.capacity - self.write_pos;
        let here = (size + HEADER <= tail && !self.bound_to_start) || self.write_pos == 0;
        let (at, skip) = if here { (self.write_pos, 0) } else { (0, tail) };
        let need = skip + self.region(at, size);
        if need > self.capacity {
            if self.lacks(tail) {
                return Place::Full;
            }
            self.free -= tail.cast_signed();
            self.unread.push_back(Item::Tail(tail));
            self.write_pos = 0;
            return self.reserve(size);
        }
        if self.lacks(need) {
            return Place::Full;
        }
        self.bound_to_start |= at == 0;
        Place::At { at, skip }
    }

    pub(crate) fn publish(&mut self, at: u64, skip: u64, data: Vec<u8>) -> u64 {
        let region = self.region(at, data.len() as u64);
        self.free -= (skip + region).cast_signed();
        if skip > 0 {
            self.unread.push_back(Item::Tail(skip));
        }
        let sequence = self.next_sequence;
        self.unread.push_back(Item::Frame { region, data, sequence });
        self.write_pos = (at + region) % self.capacity;
        self.bound_to_start &= at != 0;
        self.next_sequence += 1;
        sequence
    }

    /// The next frame: content, sequence, number of its region.
    pub(crate) fn read(&mut self) -> Option<(Vec<u8>, u64, usize)> {
        loop {
            match self.unread.pop_front()? {
                Item::Tail(bytes) => {
                    self.read_pos = 0;
                    self.handed_out.push_back((bytes, true));
                    self.credit();
                }
                Item::Frame { region, data, sequence } => {
                    self.read_pos = (self.read_pos + region) % self.capacity;
                    self.handed_out.push_back((region, false));
                    return Some((data, sequence, self.credited + self.handed_out.len() - 1));
                }
            }
        }
    }

    /// A writer has died, perhaps in the middle of a frame that was told as published.
    pub(crate) fn killed(&mut self) {
        self.is_exact = false;
        self.is_orphaned = true;
    }

    /// A writer begins with that number. After a death it says whether the last frame was published; where the next one
    /// goes is not known here.
    pub(crate) fn attached(&mut self, number: u64) {
        if std::mem::take(&mut self.is_orphaned) {
            if number + 1 == self.next_sequence {
                let unread = self.unread.pop_back();
                let is_it = unread.as_ref().and_then(Item::sequence) == Some(number);
                assert!(is_it, "the number {number} was delivered, and is given again");
                self.next_sequence = number;
            }
            self.doubtful.extend(self.unread.back().and_then(Item::sequence));
            self.write_pos = 0;
            self.bound_to_start = false;
        }
        assert_eq!(self.next_sequence, number, "W9: a successor continues");
    }

    /// The reader has come upon that number. `true`: one or more before it were never published. A writer that dies between the
    /// last header of a frame at offset 0 and its charge leaves what a frame that was read leaves (RELIABILITY.md), and its
    /// successor goes on behind it. The frame's write had not returned.
    pub(crate) fn found(&mut self, number: u64) -> bool {
        let mut is_gap = false;
        while let Some(first) = self.unread.iter().position(|item| item.sequence().is_some()) {
            let next = self.unread.get(first).and_then(Item::sequence);
            if !next.is_some_and(|next| next < number && self.doubtful.contains(&next)) {
                break;
            }
            self.unread.drain(..=first);
            is_gap = true;
        }
        is_gap
    }

    /// How many frames are published, as far as was told, and not read.
    pub(crate) fn unread(&self) -> usize {
        self.unread.iter().filter(|item| matches!(item, Item::Frame { .. })).count()
    }

    pub(crate) fn release(&mut self, region: usize) {
        self.handed_out[region - self.credited].1 = true;
        self.credit();
    }

    fn credit(&mut self) {
        while let Some(&(bytes, true)) = self.handed_out.front() {
            self.handed_out.pop_front();
            self.credited += 1;
            self.free += bytes.cast_signed();
        }
    }
}

/// Payload bytes that differ from those of other frames.
pub(crate) fn content(salt: u64, size: u64) -> Vec<u8> {
    (0..size).map(|i| (i as u8).wrapping_mul(31) ^ salt as u8).collect()
}
