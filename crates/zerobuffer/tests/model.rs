//! One oracle, a queue of byte vectors with a byte budget, drives random operations on a real buffer and agrees with its
//! control block after every step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::{collection::vec, prelude::*};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};
use zerobuffer::{BufferConfig, Error, Frame, HotWrap, Reader, Writer, WriterConfig, observe};

const HEADER: u64 = 16;

/// One operation of a random script; numbers are reduced to what makes sense at their turn.
#[derive(Clone, Debug)]
enum Step {
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Sizes up to a little more than the largest ring; half of them small.
    let size = prop_oneof![1_u64..40, 1_u64..600];
    let step = prop_oneof![
        8 => size.clone().prop_map(Step::Write),
        3 => (size.clone(), 0_u8..9).prop_map(|(size, share)| Step::Loan(size, share)),
        1 => size.prop_map(Step::LoanAndLeave),
        8 => Just(Step::Read),
        1 => Just(Step::Latest),
        8 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Recreate),
    ];
    vec(step, 1..120)
}

/// What lies in the ring between read and write position.
#[derive(Debug)]
enum Item {
    Tail(u64),
    Frame { region: u64, data: Vec<u8>, sequence: u64 },
}

#[derive(Debug)]
struct Oracle {
    capacity: u64,
    write_pos: u64,
    read_pos: u64,
    free: u64,
    next_sequence: u64,
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
enum Place {
    At { at: u64, skip: u64 },
    Full,
    TooLarge,
}

impl Oracle {
    fn new(capacity: u64) -> Self {
        Self {
            capacity,
            write_pos: 0,
            read_pos: 0,
            free: capacity,
            next_sequence: 1,
            bound_to_start: false,
            unread: VecDeque::new(),
            handed_out: VecDeque::new(),
            credited: 0,
        }
    }

    /// Header, payload and the sliver behind them.
    fn region(&self, at: u64, size: u64) -> u64 {
        let left = self.capacity - at - HEADER - size;
        HEADER + size + if left < 16 { left } else { 0 }
    }

    fn reserve(&mut self, size: u64) -> Place {
        if size + HEADER > self.capacity {
            return Place::TooLarge;
        }
        let tail = self.capacity - self.write_pos;
        let here = (size + HEADER <= tail && !self.bound_to_start) || self.write_pos == 0;
        let (at, skip) = if here { (self.write_pos, 0) } else { (0, tail) };
        let need = skip + self.region(at, size);
        if need > self.capacity {
            if self.free < tail {
                return Place::Full;
            }
            self.free -= tail;
            self.unread.push_back(Item::Tail(tail));
            self.write_pos = 0;
            return self.reserve(size);
        }
        if self.free < need {
            return Place::Full;
        }
        self.bound_to_start |= at == 0;
        Place::At { at, skip }
    }

    fn publish(&mut self, at: u64, skip: u64, data: Vec<u8>) -> u64 {
        let region = self.region(at, data.len() as u64);
        self.free -= skip + region;
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
    fn read(&mut self) -> Option<(Vec<u8>, u64, usize)> {
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

    fn release(&mut self, region: usize) {
        self.handed_out[region - self.credited].1 = true;
        self.credit();
    }

    fn credit(&mut self) {
        while let Some(&(bytes, true)) = self.handed_out.front() {
            self.handed_out.pop_front();
            self.credited += 1;
            self.free += bytes;
        }
    }
}

/// The real buffer beside its oracle.
struct Rig {
    name: String,
    reader: Reader,
    /// Always there but for the moment of a reconnect.
    writer: Option<Writer>,
    held: Vec<(Frame, Vec<u8>, usize)>,
    oracle: Oracle,
    salt: u8,
}

impl Rig {
    fn new(capacity: u64) -> Self {
        static RIGS: AtomicU64 = AtomicU64::new(0);
        let name = format!("model-{}-{}", std::process::id(), RIGS.fetch_add(1, Ordering::Relaxed));
        let reader = Reader::create(&name, BufferConfig::new(0, capacity)).unwrap();
        let writer = Some(connect(&name));
        Self { reader, writer, held: Vec::new(), oracle: Oracle::new(capacity), salt: 0, name }
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    fn content(&mut self, size: u64) -> Vec<u8> {
        self.salt = self.salt.wrapping_add(1);
        (0..size).map(|i| (i as u8).wrapping_mul(31) ^ self.salt).collect()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Write(size) => self.write(size),
            Step::Loan(size, share) => self.loan(size, size * u64::from(share) / 8),
            Step::LoanAndLeave(size) => {
                let place = self.oracle.reserve(size);
                let begun = self.writer().try_begin(size as usize);
                assert_eq!(begun.is_ok(), matches!(place, Place::At { .. }));
                self.reconnect();
            }
            Step::Read => match (self.oracle.read(), self.reader.try_read().unwrap()) {
                (None, None) => {}
                (Some((data, sequence, region)), Some(frame)) => self.hold(frame, data, sequence, region),
                (expected, got) => panic!("expected {expected:?}, got {got:?}"),
            },
            Step::Latest => self.latest(),
            Step::Release(_) if self.held.is_empty() => {}
            Step::Release(place) => {
                let (frame, _, region) = self.held.swap_remove(place % self.held.len());
                drop(frame);
                self.oracle.release(region);
            }
            Step::Reconnect => self.reconnect(),
            Step::Recreate => self.recreate(),
        }
    }

    fn write(&mut self, size: u64) {
        let data = self.content(size);
        let place = self.oracle.reserve(size);
        let written = self.writer().try_write(&data);
        match place {
            Place::At { at, skip } => {
                let sequence = self.oracle.publish(at, skip, data);
                assert_eq!(written.unwrap().sequence(), Some(sequence));
            }
            Place::Full => match written {
                Err(Error::Full { free, needed, .. }) => assert!(free == self.oracle.free && needed > free),
                other => panic!("{other:?} in a full ring"),
            },
            Place::TooLarge => assert!(matches!(written, Err(Error::FrameTooLarge { .. })), "{written:?}"),
        }
    }

    fn loan(&mut self, size: u64, committed: u64) {
        let place = self.oracle.reserve(size);
        let data = self.content(committed);
        let loan = self.writer.as_mut().unwrap().try_loan(size as usize);
        let Place::At { at, skip } = place else {
            assert!(loan.is_err());
            return;
        };
        let mut loan = loan.unwrap();
        loan[..data.len()].copy_from_slice(&data);
        if !data.is_empty() {
            let sequence = loan.commit_len(data.len()).unwrap();
            assert_eq!(sequence, self.oracle.publish(at, skip, data));
        }
    }

    fn hold(&mut self, frame: Frame, data: Vec<u8>, sequence: u64, region: usize) {
        assert_eq!((frame.sequence(), frame.data()), (sequence, &data[..]));
        self.held.push((frame, data, region));
    }

    fn latest(&mut self) {
        let mut newest: Option<(Vec<u8>, u64, usize)> = None;
        let mut passed = 0;
        while let Some(next) = self.oracle.read() {
            if let Some((_, _, older)) = newest.replace(next) {
                self.oracle.release(older);
                passed += 1;
            }
        }
        match (newest, self.reader.try_latest().unwrap()) {
            (None, None) => {}
            (Some((data, sequence, region)), Some(latest)) => {
                assert_eq!(latest.skipped, passed);
                self.hold(latest.frame, data, sequence, region);
            }
            (expected, got) => panic!("expected {expected:?}, got {got:?}"),
        }
    }

    fn reconnect(&mut self) {
        self.writer.take();
        self.writer = Some(connect(&self.name));
        let expected = self.oracle.next_sequence;
        assert_eq!(self.writer().next_sequence(), expected, "W9: a successor continues");
    }

    fn recreate(&mut self) {
        let kept = std::mem::take(&mut self.held);
        let capacity = self.oracle.capacity;
        *self = Self::new(capacity);
        for (frame, data, _) in kept {
            assert_eq!(frame.data(), data, "a frame outlives its reader");
        }
    }

    fn check(&self) {
        let info = observe::inspect(&self.name).unwrap();
        let oracle = &self.oracle;
        assert_eq!(info.free, oracle.free, "free bytes");
        assert_eq!(info.write_pos, oracle.write_pos, "write position");
        assert_eq!(info.read_pos % oracle.capacity, oracle.read_pos, "read position");
        assert_eq!(info.defects, Vec::<String>::new());
        for (frame, data, _) in &self.held {
            assert_eq!(frame.data(), data, "a held frame has changed");
        }
    }
}

fn connect(name: &str) -> Writer {
    Writer::connect_with(name, WriterConfig::default().hot_wrap(HotWrap::Off)).unwrap()
}

proptest! {
    // PROPTEST_CASES overrides the number; a failing script is shrunk and printed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)) })]

    #[test]
    fn a_buffer_agrees_with_the_oracle(
        capacity in prop_oneof![Just(64_u64), Just(128), Just(192), Just(512)],
        script in steps(),
    ) {
        let mut rig = Rig::new(capacity);
        for step in &script {
            rig.run(step);
            rig.check();
        }
    }
}
