//! The ring's operations as data, and the one oracle that says what they must do: a queue of byte vectors with a byte budget.
//!
//! The property test (`tests/model.rs`) and the fuzzer drive it step by step beside a real buffer ([`Rig`]); the
//! schedules of shuttle and loom (`src/schedules`) drive it from several threads at once.

#![allow(dead_code, reason = "each user has its own part of this module")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(clippy::cast_possible_wrap, clippy::semicolon_if_nothing_returned, reason = "capacities are small")]

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
            free: capacity as i64,
            waits: false,
            next_sequence: 1,
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
        !self.waits && self.free < bytes as i64
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
            self.free -= tail as i64;
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
        self.free -= (skip + region) as i64;
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

    pub(crate) fn release(&mut self, region: usize) {
        self.handed_out[region - self.credited].1 = true;
        self.credit();
    }

    fn credit(&mut self) {
        while let Some(&(bytes, true)) = self.handed_out.front() {
            self.handed_out.pop_front();
            self.credited += 1;
            self.free += bytes as i64;
        }
    }
}

/// Payload bytes that differ from those of other frames.
pub(crate) fn content(salt: u64, size: u64) -> Vec<u8> {
    (0..size).map(|i| (i as u8).wrapping_mul(31) ^ salt as u8).collect()
}
