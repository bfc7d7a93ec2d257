//! In legacy form no frame that is delivered is torn or another one. Beside the tap a reader takes
//! and gives back and a writer fills, by single stores between any two words that a tap reads.

use super::*;
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
};

/// A question that is not asked, so the tap gets an answer of before; or a reader at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    NotTheCountAgain,
    NotTheCountAfterTheWalk,
    CountAfterThePosition,
    PublishedBeforeTheCount,
    CreditBeforeTheCount,
}

struct World {
    ring: Ring,
    flaw: Flaw,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    capacity: u64,
    random: u64,
    flaw_credit: bool,
    writer: VecDeque<Store>,
    reader: VecDeque<Store>,
    /// What lies in the ring and is not taken: totals, 0 for a marker.
    items: VecDeque<u64>,
    free: u64,
    write_at: u64,
    read_at: u64,
    sequence: u64,
    written: u64,
    taken: u64,
    known: HashMap<u64, u64>,
    kept: HashMap<u64, Vec<u8>>,
    reads: HashMap<u64, u32>,
}

#[derive(Clone, Copy)]
enum Store {
    Word(u64, u64),
    /// The writer has published something of that total; a marker has 0.
    Item(u64),
    Known(u64, u64),
    /// The reader has given so many bytes back.
    Credit(u64),
}

const START: u64 = 128;

/// Payloads look like headers, for who walks astray.
fn content(sequence: u64, index: u64) -> u64 {
    let mut z = (sequence << 20 | index).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^= z >> 27;
    if index.is_multiple_of(2) { 8 * (1 + z % 12) } else { z >> 1 }
}

impl State {
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }

    fn step(&mut self) {
        let store = if self.below(2) == 0 {
            if self.writer.is_empty() {
                self.write();
            }
            self.writer.pop_front()
        } else {
            if self.reader.is_empty() {
                self.take();
            }
            self.reader.pop_front()
        };
        match store {
            Some(Store::Word(at, value)) => {
                self.bytes[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
            }
            Some(Store::Item(total)) => self.items.push_back(total),
            Some(Store::Known(sequence, size)) => drop(self.known.insert(sequence, size)),
            Some(Store::Credit(bytes)) => self.free += bytes,
            None => {}
        }
    }

    /// One frame, behind a marker if it must; sizes are whole words.
    fn write(&mut self) {
        let most = if self.below(5) == 0 { self.capacity / 2 } else { 100 };
        let size = 8 * (1 + self.below(most / 8));
        let (total, tail) = (size + 16, self.capacity - self.write_at);
        let skipped = if total > tail { tail } else { 0 };
        if self.free < total + skipped {
            return;
        }
        self.free -= total + skipped;
        let mut put = |at: u64, value: u64| self.writer.push_back(Store::Word(START + at, value));
        if skipped >= 16 {
            put(self.write_at, 0);
            put(self.write_at + 8, 0);
            self.written += 1;
        }
        let at = if skipped > 0 { 0 } else { self.write_at };
        self.sequence += 1;
        put(at, size);
        put(at + 8, self.sequence);
        for index in (0..size / 8).rev() {
            put(at + 16 + 8 * index, content(self.sequence, index));
        }
        self.written += 1;
        self.write_at = (at + total) % self.capacity;
        self.writer.push_back(Store::Known(self.sequence, size));
        self.writer.push_back(Store::Word(Word::WritePos as u64, self.write_at));
        if skipped > 0 {
            self.writer.push_back(Store::Item(0));
        }
        self.writer.push_back(Store::Item(total));
        self.writer.push_back(Store::Word(Word::WrittenCount as u64, self.written));
    }

    fn take(&mut self) {
        let Some(total) = self.items.pop_front() else { return };
        let tail = self.capacity - self.read_at;
        let bytes = if total == 0 { tail } else { total };
        self.read_at = if total == 0 { 0 } else { self.read_at + total };
        self.taken += u64::from(total != 0 || tail >= 16);
        let position = self.read_at;
        self.read_at %= self.capacity;
        self.reader.push_back(Store::Word(Word::ReadPos as u64, position));
        if self.flaw_credit {
            self.reader.push_back(Store::Credit(bytes));
        }
        self.reader.push_back(Store::Word(Word::ReadCount as u64, self.taken));
        if !self.flaw_credit {
            self.reader.push_back(Store::Credit(bytes));
        }
    }
}

impl Memory for World {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        let count = state.reads.entry(at).or_default();
        *count += 1;
        let count = *count;
        let burst = if state.below(20) == 0 { 20 + state.below(500) } else { 2 };
        for part in 0..into.len().div_ceil(8) {
            let burst = if part == 0 { burst } else { 2 };
            for _ in 0..state.below(burst) {
                state.step();
            }
            let (from, to) = (part * 8, (part * 8 + 8).min(into.len()));
            into[from..to].copy_from_slice(&state.bytes[at as usize + from..at as usize + to]);
        }
        let is_count = at == Word::ReadCount as u64;
        if is_count && count == 1 {
            state.kept.insert(at, into.to_vec());
        }
        let skipped = match self.flaw {
            Flaw::NotTheCountAfterTheWalk => 2,
            Flaw::NotTheCountAgain => 3,
            _ => 0,
        };
        if is_count && count == skipped {
            into.copy_from_slice(&state.kept[&at]);
        }
        if self.flaw == Flaw::CountAfterThePosition && at == Word::ReadPos as u64 {
            into.copy_from_slice(&state.kept[&0]);
        }
        if self.flaw == Flaw::PublishedBeforeTheCount && at == Word::WritePos as u64 {
            into.copy_from_slice(&state.kept[&1]);
        }
        Ok(())
    }
}

/// Frames that were delivered, and lost.
fn follow(seed: u64, flaw: Flaw) -> Result<(u64, u64), String> {
    let mut state = State { random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, ..State::default() };
    let capacity = 64 * (2 + state.below(14));
    state.capacity = capacity;
    state.free = capacity;
    state.flaw_credit = flaw == Flaw::CreditBeforeTheCount;
    state.bytes = vec![0; (START + capacity) as usize];
    let ring = Ring { start: START, capacity, block: None };
    let world = World { ring, flaw, state: RefCell::new(state) };
    let (mut last, mut bytes, mut found) = (None, Vec::new(), (0, 0));
    for turn in 0..400 {
        {
            let state = &mut *world.state.borrow_mut();
            for _ in 0..state.below(60) {
                state.step();
            }
            state.reads.clear();
            let copy = |word: Word| state.bytes[word as usize..][..8].to_vec();
            let kept = [(0, copy(Word::ReadPos)), (1, copy(Word::WritePos))];
            state.kept = HashMap::from(kept);
        }
        let want = Want { newest: seed.is_multiple_of(2) && turn % 3 == 0, behind: last };
        match look(&world, world.ring, want, &mut bytes).unwrap() {
            Found::Whole { sequence, .. } => {
                let state = world.state.borrow();
                if state.known.get(&sequence) != Some(&(bytes.len() as u64)) {
                    return Err(format!("frame {sequence} of {} bytes was never published", bytes.len()));
                }
                for (index, chunk) in bytes.chunks(8).enumerate() {
                    if content(sequence, index as u64).to_le_bytes()[..] != *chunk {
                        return Err(format!("frame {sequence} is torn at byte {}", index * 8));
                    }
                }
                if last.is_some_and(|last| sequence <= last) {
                    return Err(format!("frame {sequence} comes after {last:?}"));
                }
                last = Some(sequence);
                found.0 += 1;
            }
            Found::Lost => found.1 += 1,
            Found::Nothing { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    Ok(found)
}

#[test]
fn every_frame_that_is_delivered_is_whole() {
    let (mut whole, mut lost) = (0, 0);
    for seed in 1..=300 {
        let found = follow(seed, Flaw::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        whole += found.0;
        lost += found.1;
    }
    println!("whole {whole}, lost {lost}");
    assert!(whole > 1000 && lost > 100, "{whole} {lost}");
}

#[test]
fn each_rule_that_is_switched_off_lets_a_wrong_frame_through() {
    for flaw in [
        Flaw::NotTheCountAgain,
        Flaw::NotTheCountAfterTheWalk,
        Flaw::CountAfterThePosition,
        Flaw::PublishedBeforeTheCount,
        Flaw::CreditBeforeTheCount,
    ] {
        let wrong = (1..=3000).find_map(|seed| Some((seed, follow(seed, flaw).err()?)));
        println!("{flaw:?}: {wrong:?}");
        assert!(wrong.is_some(), "without it nothing is wrong: {flaw:?}");
    }
}

/// Memory in which nothing moves.
struct Still {
    bytes: Vec<u8>,
    reads: std::cell::Cell<u32>,
}

impl Memory for Still {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        into.copy_from_slice(&self.bytes[at as usize..at as usize + into.len()]);
        Ok(())
    }
}

#[test]
fn ten_thousand_unread_frames_are_no_ten_thousand_reads() {
    for (size, count, most) in [(16_u64, 10_000_u64, 16), (16 * 1024, 30, 40)] {
        let total = size + 16;
        let capacity = (total * (count + 1)).next_multiple_of(64);
        let mut bytes = vec![0; (START + capacity) as usize];
        let mut put = |at: u64, value: u64| {
            bytes[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
        };
        for number in 0..count {
            put(START + number * total, size);
            put(START + number * total + 8, number + 1);
        }
        put(Word::WritePos as u64, count * total);
        let memory = Still { bytes, reads: std::cell::Cell::new(0) };
        let ring = Ring { start: START, capacity, block: None };
        let want = Want { newest: true, behind: None };
        let found = look(&memory, ring, want, &mut Vec::new()).unwrap();
        assert_eq!(found, Found::Whole { sequence: count, end: 0 });
        assert!(memory.reads.get() <= most, "{} reads for {count} frames", memory.reads.get());
    }
}
