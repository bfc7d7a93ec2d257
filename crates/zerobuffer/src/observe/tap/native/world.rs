//! A segment that changes while it is read. Between any two words that a tap reads, a writer in
//! native form goes on by single stores in hostile orders. It may be at fault, and the tap may be
//! lied to.

use super::*;
use std::{cell::RefCell, collections::HashMap};

/// What is switched off, or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    // Rules of the tap: it gets the answer that it would have without asking.
    NotTheFormAgain,
    NotWhatIsPublished,
    JumpsBeforePublished,
    ClaimsBeforeTheCopy,
    NotTheClaimsAgain,
    UnprovenIsWhole,
    NoOverlap,
    // Rules of the writer.
    ClaimAfterTheData,
    CountBeforeTheClaim,
    PublishedBeforeTheJump,
    NoClaimWhenNativeFormIsEntered,
    ClaimOfOneFrameForTheWindow,
    ClaimOfTheFrameBefore,
}

/// One store of a writer.
#[derive(Clone, Copy, Debug)]
enum Store {
    /// 8 bytes at that offset of the segment.
    Word(u64, u64),
    Publish(Frame),
}

/// A frame: where it lies, how long it is, and where in the stream it begins.
#[derive(Clone, Copy, Debug)]
struct Frame {
    start: u64,
    size: u64,
    total: u64,
    sequence: u64,
    of: u64,
}

pub(super) struct World {
    pub(super) ring: Ring,
    flaw: Flaw,
    state: RefCell<State>,
}

struct State {
    ring: Ring,
    flaw: Flaw,
    bytes: Vec<u8>,
    random: u64,
    /// How many stores there are at most between two words of the tap.
    lively: u64,
    /// What the present action has yet to store; the writer may die meanwhile.
    stores: VecDeque<Store>,
    mortal: bool,
    /// Frames that were published, by number.
    known: HashMap<u64, Frame>,
    /// Frames that are not given back, the oldest first.
    outstanding: VecDeque<Frame>,
    // The writer's private copies.
    published: u64,
    before: u64,
    position: u64,
    window: u64,
    jumps: u64,
    claims: u64,
    sequence: u64,
    /// The oldest jump whose run may be outstanding, and where each of them begins.
    oldest: u64,
    starts: HashMap<u64, u64>,
    /// Of the present look: what is answered instead, and how often each offset was read.
    kept: HashMap<u64, Vec<u8>>,
    reads: HashMap<u64, u32>,
    surplus: u64,
}

/// Word `index` of the payload of a frame.
fn content(sequence: u64, index: u64) -> u64 {
    let mut z = (sequence << 20 | index).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

impl State {
    /// Less than `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }

    fn at(&self, word: NativeWord) -> u64 {
        self.ring.block + word.offset() as u64
    }

    fn word(&self, word: NativeWord) -> u64 {
        let at = self.at(word) as usize;
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    fn put(&mut self, at: u64, value: u64) {
        self.bytes[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn later(&mut self, word: NativeWord, value: u64) {
        let at = self.at(word);
        self.stores.push_back(Store::Word(at, value));
    }

    /// One store.
    fn step(&mut self) {
        if self.stores.is_empty() {
            self.plan();
        }
        if self.mortal && self.below(400) == 0 {
            self.succeed();
            return;
        }
        match self.stores.pop_front() {
            Some(Store::Word(at, value)) => self.put(at, value),
            Some(Store::Publish(frame)) => {
                let at = self.at(NativeWord::PUBLISHED);
                self.put(at, frame.of + frame.total);
                self.known.insert(frame.sequence, frame);
                self.outstanding.push_back(frame);
                self.sequence = frame.sequence + 1;
            }
            None => {}
        }
    }

    /// The writer dies, and another one takes over what it finds.
    fn succeed(&mut self) {
        self.stores.clear();
        self.published = self.word(NativeWord::PUBLISHED);
        self.jumps = self.word(NativeWord::JUMPS);
        self.claims = self.word(NativeWord::CLAIMS);
        let jump = |state: &Self| NativeWord::jump(state.jumps).map(|word| state.word(word));
        if self.jumps > 0 && jump(self)[0] == self.published {
            self.jumps -= 1;
            let at = self.at(NativeWord::JUMPS);
            self.put(at, self.jumps);
        }
        let [at, to] = jump(self);
        self.position = to + (self.published - at);
        self.window = 0;
    }

    fn plan(&mut self) {
        self.mortal = true;
        match self.below(60) {
            0 if self.outstanding.is_empty() => self.leave_and_enter(),
            0..20 => {
                let given = self.below(self.outstanding.len() as u64 + 1);
                self.credit(given);
            }
            20..23 => self.credit(self.outstanding.len() as u64),
            _ => self.frame(),
        }
    }

    fn credit(&mut self, count: u64) {
        self.outstanding.drain(..count as usize);
        let credited = self.outstanding.front().map_or(self.published, |frame| frame.of);
        while self.oldest < self.jumps && self.starts[&(self.oldest + 1)] <= credited {
            self.oldest += 1;
        }
    }

    fn claim(&mut self, of: u64, start: u64, end: u64) {
        self.claims += 1;
        let words = NativeWord::claim(self.claims);
        if self.flaw == Flaw::CountBeforeTheClaim {
            self.later(NativeWord::CLAIMS, self.claims);
        }
        for (word, value) in words.into_iter().zip([of, start, end]) {
            self.later(word, value);
        }
        self.later(NativeWord::CLAIMS, self.claims);
    }

    /// A writer of another implementation fills the ring; then native form is entered again.
    fn leave_and_enter(&mut self) {
        self.mortal = false;
        let form = self.word(NativeWord::FORM);
        self.later(NativeWord::FORM, form + 1);
        let mut at = 0;
        while at + 48 <= self.ring.capacity {
            for (offset, value) in [(0, 32), (8, self.sequence), (16, 1), (24, 2), (32, 3), (40, 4)] {
                self.stores.push_back(Store::Word(self.ring.start + at + offset, value));
            }
            at += 48;
        }
        if self.published > 0 && self.flaw != Flaw::NoClaimWhenNativeFormIsEntered {
            self.claim(self.published, 0, self.ring.capacity);
        }
        self.later(NativeWord::FORM, form + 2);
        self.window = 0;
    }

    /// Whether no outstanding frame lies there.
    fn is_free(&self, start: u64, end: u64) -> bool {
        end <= self.ring.capacity
            && self.outstanding.iter().all(|frame| frame.start >= end || start >= frame.start + frame.total)
    }

    /// A loan in some free place: filled in any order, then published, shortened, or dropped.
    fn frame(&mut self) {
        let most = self.ring.capacity - FRAME_HEADER_SIZE;
        let most = if self.below(4) == 0 { most } else { most.min(100) };
        let size = 1 + self.below(most);
        let total = rounded(size, ROUNDING);
        let in_window = total <= self.window;
        let mut place = self.is_free(self.position, self.position + total).then_some(self.position);
        if !in_window && (place.is_none() || self.below(2) == 0) && self.jumps - self.oldest < ENTRIES - 1 {
            for _ in 0..6 {
                let start = 16 * self.below(self.ring.capacity / 16);
                let start = if self.below(3) == 0 { 0 } else { start };
                place = self.is_free(start, start + total).then_some(start).or(place);
            }
        }
        let Some(start) = place else {
            self.credit(self.outstanding.len().min(1) as u64);
            return;
        };
        let mut room = self.window.saturating_sub(total);
        let frame = Frame { start, size, total, sequence: self.sequence, of: self.published };
        if !in_window {
            let mut end = start + total;
            for _ in 0..self.below(8) {
                end += 16 * u64::from(self.is_free(start, end + 16));
            }
            room = end - start - total;
            if self.flaw == Flaw::ClaimAfterTheData {
                self.fill(frame);
            }
            let of = if self.flaw == Flaw::ClaimOfTheFrameBefore { self.before } else { self.published };
            let short = self.flaw == Flaw::ClaimOfOneFrameForTheWindow;
            self.claim(of, start, if short { start + total } else { end });
        }
        if self.flaw != Flaw::ClaimAfterTheData || in_window {
            self.fill(frame);
        }
        match self.below(8) {
            // Dropped: the position and the window stay.
            0 => {}
            1 => {
                let size = 1 + self.below(size);
                let kept = rounded(size, ROUNDING);
                self.stores.push_back(Store::Word(self.ring.start + start, size));
                self.publish(Frame { size, total: kept, ..frame }, room + total - kept);
            }
            _ => self.publish(frame, room),
        }
    }

    /// Header and payload, words in any order.
    fn fill(&mut self, frame: Frame) {
        let at = self.ring.start + frame.start;
        let payload = (0..frame.size.div_ceil(8))
            .map(|index| Store::Word(at + 16 + 8 * index, content(frame.sequence, index)));
        let header = [Store::Word(at, frame.size), Store::Word(at + 8, frame.sequence)];
        let mut stores: Vec<Store> = header.into_iter().chain(payload).collect();
        match self.below(3) {
            0 => stores.reverse(),
            1 => {
                for index in (1..stores.len()).rev() {
                    stores.swap(index, self.below(index as u64 + 1) as usize);
                }
            }
            _ => {}
        }
        self.stores.extend(stores);
    }

    fn publish(&mut self, frame: Frame, room: u64) {
        if self.flaw == Flaw::PublishedBeforeTheJump {
            self.stores.push_back(Store::Publish(frame));
        }
        if frame.start != self.position {
            self.jumps += 1;
            self.starts.insert(self.jumps, frame.of);
            let [at, to] = NativeWord::jump(self.jumps);
            self.later(at, frame.of);
            self.later(to, frame.start);
            self.later(NativeWord::JUMPS, self.jumps);
        }
        self.later(NativeWord::LAST, frame.of);
        if self.flaw != Flaw::PublishedBeforeTheJump {
            self.stores.push_back(Store::Publish(frame));
        }
        self.before = frame.of;
        self.published += frame.total;
        self.position = frame.start + frame.total;
        self.window = room;
    }
}

impl World {
    pub(super) fn new(seed: u64, flaw: Flaw) -> Self {
        let mut random = State::new(seed, flaw, Ring { start: 0, capacity: 0, block: 0 });
        let capacity = 64 * (2 + random.below(14));
        let ring = Ring { start: 0, capacity, block: capacity };
        let mut state = State::new(random.random, flaw, ring);
        state.lively = [1, 3, 15, 30][state.below(4) as usize];
        let form = state.at(NativeWord::FORM);
        state.put(form, 1);
        Self { ring, flaw, state: RefCell::new(state) }
    }

    /// Before a look: some stores, and what the tap reads instead of what it asks for.
    pub(super) fn begin(&self) {
        let state = &mut *self.state.borrow_mut();
        for _ in 0..state.below(200) {
            state.step();
        }
        let words = match self.flaw {
            Flaw::JumpsBeforePublished => vec![(NativeWord::JUMPS, 8)],
            Flaw::ClaimsBeforeTheCopy => vec![(NativeWord::CLAIMS, 8), (NativeWord::claim(0)[0], CLAIMS)],
            _ => Vec::new(),
        };
        let copies = words.into_iter().map(|(word, len)| {
            let at = state.at(word);
            (at, state.bytes[at as usize..at as usize + len].to_vec())
        });
        state.kept = copies.collect();
        state.reads.clear();
        state.surplus = 16 * state.below(6);
    }

    /// What is wrong with a frame that was delivered as whole.
    pub(super) fn judge(&self, sequence: u64, end: u64, bytes: &[u8]) -> Result<(), String> {
        let state = self.state.borrow();
        let Some(frame) = state.known.get(&sequence) else {
            return Err(format!("frame {sequence} was never published"));
        };
        let (size, known_end) = (frame.size, frame.of + frame.total);
        if (size, known_end) != (bytes.len() as u64, end) {
            let len = bytes.len();
            return Err(format!("frame {sequence}: {len} bytes up to {end}, not {size} up to {known_end}"));
        }
        for (index, chunk) in bytes.chunks(8).enumerate() {
            if content(sequence, index as u64).to_le_bytes()[..chunk.len()] != *chunk {
                return Err(format!("frame {sequence} is torn at byte {}", index * 8));
            }
        }
        Ok(())
    }
}

impl State {
    fn new(seed: u64, flaw: Flaw, ring: Ring) -> Self {
        Self {
            ring,
            flaw,
            bytes: vec![0; ring.capacity as usize + 1024],
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            lively: 1,
            stores: VecDeque::new(),
            mortal: true,
            known: HashMap::new(),
            outstanding: VecDeque::new(),
            published: 0,
            before: 0,
            position: 0,
            window: 0,
            jumps: 0,
            claims: 0,
            sequence: 1,
            oldest: 0,
            starts: HashMap::new(),
            kept: HashMap::new(),
            reads: HashMap::new(),
            surplus: 0,
        }
    }
}

impl Memory for World {
    /// Forwards or backwards, and the writer goes on before each word.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        let count = state.reads.entry(at).or_default();
        *count += 1;
        let again = *count > 1;
        let is = |word: NativeWord| at == self.ring.block + word.offset() as u64;
        let is_claims = is(NativeWord::claim(0)[0]);
        // To lie about the oldest claim, one has to know which one that is.
        let stands = self.flaw == Flaw::UnprovenIsWhole && (is_claims || is(NativeWord::CLAIMS) && again);
        let burst = if state.lively > 3 && state.below(30) == 0 { 1000 } else { state.lively };
        let parts = into.len().div_ceil(8);
        let backwards = state.below(2) == 0;
        for part in 0..parts {
            for _ in 0..if stands { 0 } else { state.below(burst) } {
                state.step();
            }
            let part = if backwards { parts - 1 - part } else { part };
            let (from, to) = (part * 8, (part * 8 + 8).min(into.len()));
            into[from..to].copy_from_slice(&state.bytes[at as usize + from..at as usize + to]);
        }
        if let Some(kept) = state.kept.get(&at) {
            into.copy_from_slice(kept);
        }
        match self.flaw {
            Flaw::NotTheFormAgain if is(NativeWord::FORM) && !again => {
                state.kept.insert(at, into.to_vec());
            }
            Flaw::NotTheClaimsAgain if is(NativeWord::CLAIMS) && !again => {
                state.kept.insert(at, into.to_vec());
            }
            Flaw::NotWhatIsPublished if is(NativeWord::PUBLISHED) => {
                let more = u64::from_le_bytes((&*into).try_into().unwrap()) + state.surplus;
                into.copy_from_slice(&more.to_le_bytes());
            }
            Flaw::NoOverlap if is_claims => into.chunks_mut(24).for_each(|entry| entry[8..].fill(0)),
            Flaw::UnprovenIsWhole if is_claims => {
                let oldest = state.word(NativeWord::CLAIMS).saturating_sub(KEPT) % ENTRIES;
                into[24 * oldest as usize..][..8].fill(0);
            }
            _ => {}
        }
        Ok(())
    }
}
