//! The ring's operations as data, and the one oracle that says what they must do: a queue of byte
//! vectors with a byte budget.
//!
//! The property test (`tests/model.rs`) and the fuzzer drive it step by step beside a real buffer
//! ([`Rig`]). The schedules of shuttle and loom (`src/schedules`) drive it from several threads at
//! once.

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

/// A published frame that is not read.
#[derive(Debug)]
struct Item {
    total: u64,
    data: Vec<u8>,
    sequence: u64,
}

/// What a buffer holds. Where it lies is the writer's affair: any free place will do.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) capacity: u64,
    /// Below 0 only while several threads are at work, see [`Self::waiting`].
    pub(crate) free: i64,
    /// The writer waits for room instead of giving up.
    waits: bool,
    pub(crate) next_sequence: u64,
    /// `free` is known: no writer has died.
    pub(crate) is_exact: bool,
    /// A writer has died, and none has attached since.
    is_orphaned: bool,
    /// The last frames of writers that died: each may never have been published, although its
    /// number is used up.
    doubtful: Vec<u64>,
    /// The total of all frames since nothing was outstanding, if it is the same.
    uniform: Option<u64>,
    unread: VecDeque<Item>,
    /// Handed-out regions in order: bytes, released.
    handed_out: VecDeque<(u64, bool)>,
    /// Regions credited so far: `handed_out[0]` is region number `credited`.
    credited: usize,
}

/// Whether there is room for a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Room {
    /// Promised.
    Sure,
    /// Enough bytes are free; whether they lie in one piece depends on what was released when.
    Maybe,
    /// Too few bytes are free.
    Full,
    TooLarge,
}

/// What a frame takes from the ring.
pub(crate) fn total(size: u64) -> u64 {
    (size + HEADER).next_multiple_of(16)
}

impl Oracle {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            free: capacity.cast_signed(),
            waits: false,
            next_sequence: 1,
            is_exact: true,
            is_orphaned: false,
            doubtful: Vec::new(),
            uniform: None,
            unread: VecDeque::new(),
            handed_out: VecDeque::new(),
            credited: 0,
        }
    }

    /// For a writer that blocks until there is room. Steps are reported to the oracle in another
    /// order than the one in which they happen. So `free` is exact only when nobody is at work.
    pub(crate) fn waiting(capacity: u64) -> Self {
        Self { waits: true, ..Self::new(capacity) }
    }

    /// Whether a frame of that size finds room now.
    pub(crate) fn room(&self, size: u64) -> Room {
        let (total, used) = (total(size), self.capacity.cast_signed() - self.free);
        if total > self.capacity {
            Room::TooLarge
        } else if self.waits || used == 0 {
            Room::Sure
        } else if self.free < total.cast_signed() {
            Room::Full
        } else if self.uniform == Some(total) {
            // Frames of one size since nothing was outstanding: as many as the ring has room for.
            Room::Sure
        } else {
            Room::Maybe
        }
    }

    pub(crate) fn publish(&mut self, data: Vec<u8>) -> u64 {
        let total = total(data.len() as u64);
        let is_first = self.free == self.capacity.cast_signed();
        self.uniform = self.uniform.filter(|&other| other == total).or(is_first.then_some(total));
        self.free -= total.cast_signed();
        let sequence = self.next_sequence;
        self.unread.push_back(Item { total, data, sequence });
        self.next_sequence += 1;
        sequence
    }

    /// A loan of another size than what is committed leaves a gap behind it.
    pub(crate) fn shortened(&mut self) {
        self.uniform = None;
    }

    /// The next frame: content, sequence, number of its region.
    pub(crate) fn read(&mut self) -> Option<(Vec<u8>, u64, usize)> {
        let Item { total, data, sequence } = self.unread.pop_front()?;
        self.handed_out.push_back((total, false));
        Some((data, sequence, self.credited + self.handed_out.len() - 1))
    }

    /// A writer has died, perhaps in the middle of a frame that was reported as published.
    pub(crate) fn killed(&mut self) {
        self.is_exact = false;
        self.is_orphaned = true;
    }

    /// A writer begins with that number. After a death it says whether the last frame was
    /// published; where the next one goes is not known here.
    pub(crate) fn attached(&mut self, number: u64) {
        if std::mem::take(&mut self.is_orphaned) {
            if number + 1 == self.next_sequence {
                let unread = self.unread.pop_back();
                let is_it = unread.as_ref().map(|item| item.sequence) == Some(number);
                assert!(is_it, "the number {number} was delivered, and is given again");
                self.next_sequence = number;
            }
            self.doubtful.extend(self.unread.back().map(|item| item.sequence));
        }
        assert_eq!(self.next_sequence, number, "W9: a successor continues");
    }

    /// The reader has come upon that number. `true`: one or more before it were never published. A
    /// writer may die between the last header of a frame at offset 0 and its charge. It leaves what
    /// a frame that was read leaves (RELIABILITY.md), and its successor goes on behind it. The
    /// frame's write had not returned.
    pub(crate) fn found(&mut self, number: u64) -> bool {
        let mut is_gap = false;
        while self
            .unread
            .front()
            .is_some_and(|next| next.sequence < number && self.doubtful.contains(&next.sequence))
        {
            self.unread.pop_front();
            is_gap = true;
        }
        is_gap
    }

    /// How many frames are reported as published, and not read.
    pub(crate) fn unread(&self) -> usize {
        self.unread.len()
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
