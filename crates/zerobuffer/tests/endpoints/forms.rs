//! Both forms of the ring in one buffer's life. Writers of this implementation and of another one
//! follow each other, and one of the other comes in without asking.
// glibc semaphores are posted by hand here.

use crate::common::segment::{FREE, METADATA, WRITE_POS, WRITER_PID, WRITTEN_COUNT};
use crate::common::{Name, Segment, check, content};
use std::{
    fs::OpenOptions,
    process::{Child, Command},
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, Error, Frame, Reader, Writer, observe};

const RING: u64 = 1024;
const LONG: Duration = Duration::from_secs(30);

/// A writer of another implementation, with its order of stores, and the pid of a process that
/// lives.
struct OldWriter<'a> {
    name: &'a Name,
    segment: Segment,
    process: Child,
    next: u64,
}

impl<'a> OldWriter<'a> {
    fn attach(name: &'a Name) -> Self {
        let process = Command::new("sleep").arg("1000").spawn().unwrap();
        let segment = Segment::open(name);
        segment.set(WRITER_PID, process.id().into());
        Self { name, segment, process, next: 1 }
    }

    /// `false`: `payload_free_bytes` says that there is no room, and nothing was stored.
    fn write(&mut self, payload: &[u8]) -> bool {
        let (total, at) = (16 + payload.len() as u64, self.segment.get(WRITE_POS) % RING);
        let need = if RING - at < total { RING - at + total } else { total };
        let has_room = self.segment.get(FREE) >= need;
        if has_room {
            self.write_without_asking(payload);
        }
        has_room
    }

    fn write_without_asking(&mut self, payload: &[u8]) {
        let segment = &self.segment;
        let (total, mut at) = (16 + payload.len() as u64, segment.get(WRITE_POS) % RING);
        let charge = |bytes: u64| segment.set(FREE, segment.get(FREE).wrapping_sub(bytes));
        let count = || segment.set(WRITTEN_COUNT, segment.get(WRITTEN_COUNT) + 1);
        let tail = RING - at;
        if tail < total {
            if tail >= 16 {
                segment.put(segment.ring() + at, &[0; 16]);
            }
            charge(tail);
            segment.set(WRITE_POS, 0);
            count();
            at = 0;
        }
        segment.set(segment.ring() + at, payload.len() as u64);
        segment.set(segment.ring() + at + 8, self.next);
        segment.put(segment.ring() + at + 16, payload);
        self.next += 1;
        segment.set(WRITE_POS, at + total);
        charge(total);
        count();
        self.name.post_data();
    }
}

impl Drop for OldWriter<'_> {
    fn drop(&mut self) {
        self.segment.set(WRITER_PID, 0);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The reader, what is on its way to it, and what it holds.
struct Intake {
    reader: Reader,
    segment: Segment,
    /// Number and key of the content of each frame that was written and not read.
    coming: std::collections::VecDeque<(u64, u64, usize)>,
    held: Vec<(Frame, u64)>,
    key: u64,
    /// The highest number of a native writer.
    highest: u64,
    /// The number that the last native writer has left.
    next: u64,
    /// What was done, for who has to find out what went wrong.
    told: Vec<String>,
}

impl Intake {
    fn read(&mut self) {
        while let Some((number, key, size)) = self.coming.pop_front() {
            let frame = self.reader.read_timeout(LONG);
            let frame = frame.unwrap_or_else(|error| panic!("{}: {error}", self.told.join("; ")));
            let frame = frame.unwrap_or_else(|| panic!("frame {number} has not come"));
            assert_eq!((frame.sequence(), frame.len()), (number, size), "{}", self.told.join("; "));
            check(frame.data(), key).unwrap();
            self.told.push(format!("read {number}"));
            self.held.push((frame, key));
        }
    }

    fn release(&mut self, dice: &mut Dice) {
        while !self.held.is_empty() {
            let (frame, key) = self.held.swap_remove(dice.roll(self.held.len() as u64) as usize);
            check(frame.data(), key).unwrap();
        }
    }

    /// Looks until the ring is in legacy form; nothing is held.
    fn leave_native_form(&mut self) {
        let started = Instant::now();
        while self.segment.is_native() {
            assert!(matches!(self.reader.try_read(), Ok(None) | Err(Error::WriterGone { .. })));
            assert!(started.elapsed() < LONG, "the native form is not left");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn old_life(&mut self, name: &Name, dice: &mut Dice) {
        let mut old = OldWriter::attach(name);
        self.told.push(format!("legacy writer, native form {}", self.segment.is_native()));
        for _ in 0..dice.roll(8) {
            let size = 1 + dice.roll(200) as usize;
            self.key += 1;
            if self.segment.is_native() {
                let before = self.segment.bytes(METADATA, RING as usize);
                assert!(!old.write(&content(self.key, size)), "a writer of the other kind finds room");
                assert_eq!(self.segment.bytes(METADATA, RING as usize), before);
                self.read();
                self.release(dice);
                // It waits, and its reader makes room.
                self.leave_native_form();
            }
            let number = old.next;
            if old.write(&content(self.key, size)) {
                self.told.push(format!("legacy {number} of {size}"));
                self.coming.push_back((number, self.key, size));
            } else {
                self.read();
                self.release(dice);
            }
            if dice.roll(3) == 0 {
                self.read();
            }
        }
        self.read();
    }

    /// `exact`: the last writer was a native one, too.
    fn our_life(&mut self, name: &Name, dice: &mut Dice, exact: bool) {
        let mut writer = Writer::connect(name).unwrap();
        let first = writer.next_sequence();
        self.told.push(format!("native writer from {first}, form {}", self.segment.is_native()));
        // A writer that enters native form goes on behind all of them.
        let least = if self.segment.is_native() { self.highest + 1 } else { 1 };
        if exact {
            assert_eq!(first, self.next.max(least), "{}", self.told.join("; "));
        }
        assert!(first >= least, "{first} was given before: {}", self.told.join("; "));
        for _ in 0..dice.roll(10) {
            // Sizes with which leftovers look like a chain of the other form are among them.
            let size = if dice.roll(2) == 0 { 48 } else { 1 + dice.roll(200) as usize };
            self.key += 1;
            if dice.roll(4) == 0 {
                drop(writer.try_loan(size));
                continue;
            }
            match writer.try_write(&content(self.key, size)) {
                Ok(outcome) => {
                    let number = outcome.sequence().unwrap();
                    self.highest = number.max(self.highest);
                    self.told.push(format!("native {number} of {size}"));
                    self.coming.push_back((number, self.key, size));
                }
                Err(Error::Full { .. }) => {
                    self.read();
                    self.release(dice);
                }
                Err(error) => panic!("{error}"),
            }
            if dice.roll(3) == 0 {
                self.read();
            }
        }
        if dice.roll(2) == 0 {
            drop(writer.try_loan(48));
        }
        self.next = writer.next_sequence();
        writer.close().unwrap();
        self.read();
    }
}

#[test]
fn writers_of_both_kinds_follow_each_other_and_numbers_go_on() {
    for seed in 1..=40 {
        let (name, mut dice) = (Name::new("both"), Dice(seed));
        let reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
        let mut intake = Intake {
            reader,
            segment: Segment::open(&name),
            coming: std::collections::VecDeque::new(),
            held: Vec::new(),
            key: 0,
            highest: 0,
            next: 1,
            told: vec![format!("seed {seed}")],
        };
        let mut last_was_ours = true;
        for _ in 0..14 {
            if dice.roll(2) == 0 {
                intake.old_life(&name, &mut dice);
                last_was_ours = false;
            } else {
                intake.our_life(&name, &mut dice, last_was_ours);
                last_was_ours = true;
            }
            if dice.roll(3) > 0 {
                intake.release(&mut dice);
            }
        }
        intake.release(&mut dice);
        intake.leave_native_form();
        assert_eq!(Segment::open(&name).free(), RING, "seed {seed}: space is lost");
        intake.reader.close().unwrap();
        name.assert_gone();
    }
}

/// Each begins at 1. The last one's frames, behind those of the others, fill the ring to its end.
#[test]
fn frames_of_writers_that_came_and_went_between_two_looks() {
    // Looks before the first of them: none, at the empty ring, and at a frame of another one.
    for looks in 0..3 {
        let name = Name::new("unseen");
        let mut reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
        if looks == 1 {
            assert!(reader.try_read().unwrap().is_none());
        }
        let mut expect = |number: u64, data: &[u8]| {
            let frame = reader.read_timeout(LONG).unwrap().unwrap();
            assert_eq!((frame.sequence(), &*frame), (number, data), "{looks} looks");
        };
        if looks == 2 {
            let mut seen = OldWriter::attach(&name);
            assert!(seen.write(&[9; 48]));
            expect(1, &[9; 48]);
        }
        for count in [2, 1, 3] {
            let mut writer = OldWriter::attach(&name);
            (0..count).for_each(|number| assert!(writer.write(&[number; 48])));
        }
        let mut last = OldWriter::attach(&name);
        for count in [2, 1, 3] {
            (1..=count).for_each(|number| expect(number, &[number as u8 - 1; 48]));
        }
        let left = usize::try_from(RING).unwrap() - 16 - 64 * (6 + usize::from(looks == 2));
        assert!(last.write(&vec![7; left]));
        expect(1, &vec![7; left]);
        drop(last);
        reader.close().unwrap();
        name.assert_gone();
    }
}

/// The reader sees its number while the native writer, whose place it took, still holds the lock.
/// When that one has left, the legacy one is no native one that has died.
#[test]
fn one_in_the_place_of_a_native_writer_is_not_taken_for_it() {
    let name = Name::new("in-place");
    let mut reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(&content(1, 112)).unwrap();
    expect(&reader.read().unwrap(), 1);
    let mut legacy = OldWriter::attach(&name);
    let mut nothing_for = |time| {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(time) {
            let read = reader.read_timeout(Duration::from_millis(20));
            assert!(matches!(read, Ok(None)), "{read:?}");
        }
    };
    nothing_for(200);
    assert!(matches!(writer.try_write(&[1]), Err(Error::Replaced { .. })));
    writer.close().unwrap();
    // It waits for room all the time, and moves nothing.
    nothing_for(500);
    let registered = legacy.segment.get(WRITER_PID);
    assert_eq!(registered, u64::from(legacy.process.id()), "a live writer is taken for dead");
    assert!(reader.is_writer_connected());
    assert!(legacy.write(&content(1, 100)), "it waits for the native form to be left");
    expect(&reader.read().unwrap(), 1);
}

/// Six native frames: two are given back, one is held, three are unread.
fn in_the_middle(name: &Name) -> (Reader, Writer, Frame) {
    let mut reader = Reader::create(name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let mut writer = Writer::connect(name).unwrap();
    for key in 1..=6 {
        writer.write(&content(key, 112)).unwrap();
    }
    drop(reader.read().unwrap());
    drop(reader.read().unwrap());
    let held = reader.read().unwrap();
    (reader, writer, held)
}

fn expect(frame: &Frame, key: u64) {
    assert_eq!(frame.sequence(), key);
    check(frame.data(), key).unwrap();
}

/// It stores into bytes that are free in native form, and into the words of the other form.
#[test]
fn one_that_ignores_the_fence_in_free_bytes_harms_nothing_that_was_published() {
    let name = Name::new("ignores-free");
    let (mut reader, mut writer, held) = in_the_middle(&name);
    let mut intruder = OldWriter::attach(&name);
    intruder.write_without_asking(&[0xEE; 40]);
    drop(intruder);
    for key in 4..=6 {
        expect(&reader.read().unwrap(), key);
    }
    expect(&held, 3);
    // Its registration is gone, and the writer puts its own back.
    writer.write(&content(7, 112)).unwrap();
    expect(&reader.read().unwrap(), 7);
    writer.close().unwrap();
    drop(held);
    // The ring goes back to legacy form, in which the intruder's frame seems to be unread.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(300) {
        match reader.try_read() {
            Ok(_) | Err(Error::WriterGone { .. }) => {}
            Err(error @ (Error::Corrupt { .. } | Error::Sequence { .. })) => {
                assert!(error.to_string().contains(&*name), "{error}");
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    reader.close().unwrap();
    name.assert_gone();
}

/// It stores over frames that nobody has read yet.
#[test]
fn one_that_ignores_the_fence_over_unread_frames_is_an_error_with_numbers() {
    for at in [3 * 128, 4 * 128, 5 * 128 - 16] {
        let name = Name::new("ignores-unread");
        let (mut reader, mut writer, held) = in_the_middle(&name);
        let mut intruder = OldWriter::attach(&name);
        intruder.segment.set(WRITE_POS, at);
        intruder.write_without_asking(&[0xEE; 40]);
        drop(intruder);
        let mut read = 3;
        let error = loop {
            match reader.try_read() {
                Ok(Some(frame)) => read = frame.sequence(),
                Ok(None) => panic!("at {at}: frames are lost without an error, {read} was read"),
                Err(error) => break error,
            }
        };
        let before = 3 + (at - 3 * 128).div_ceil(128);
        assert_eq!(read, before, "at {at}");
        match &error {
            Error::Sequence { expected, got, .. } => assert_eq!((*expected, *got), (before + 1, 1)),
            Error::Corrupt { field, .. } => assert!(!field.is_empty()),
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains(&*name), "{error}");
        assert_eq!(reader.try_read().map(drop).unwrap_err().to_string(), error.to_string(), "it stays");
        expect(&held, 3);
        assert!(matches!(writer.try_write(&[1; 112]), Ok(_) | Err(Error::Full { .. })));
        drop((reader, writer, held));
        name.assert_gone();
    }
}

/// All stays within one page, so the mappings of both ends survive it.
#[test]
fn a_segment_that_was_cut_short_is_refused_with_its_numbers() {
    let whole = METADATA + RING + 1024;
    for len in [whole - 1, whole - 1023, METADATA + RING, METADATA + RING - 1, METADATA + 1, METADATA] {
        let name = Name::new("cut");
        let reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
        let file = OpenOptions::new().write(true).open(name.shm()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), whole);
        file.set_len(len).unwrap();
        let error = Writer::connect(&name).map(drop).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Corrupt { .. }), "{len} bytes: {error}");
        assert!(text.contains(&*name) && text.contains(&len.to_string()), "{len} bytes: {text}");
        if let Err(error) = observe::inspect(&name) {
            assert!(error.to_string().contains(&*name), "{error}");
        }
        drop(reader);
        name.assert_gone();
    }
}
