//! A real buffer beside its oracle: after every step both must agree.

use super::{Oracle, Room, Step, content, total};
use std::sync::atomic::{AtomicU64, Ordering};
use zerobuffer::{BufferConfig, Error, Frame, Reader, Writer, WriterConfig, observe};

/// The real buffer beside its oracle.
pub(crate) struct Rig {
    name: String,
    reader: Reader,
    /// Always there but for the moment of a reconnect.
    writer: Option<Writer>,
    held: Vec<(Frame, Vec<u8>, usize)>,
    oracle: Oracle,
    salt: u64,
}

impl Rig {
    pub(crate) fn new(capacity: u64) -> Self {
        static RIGS: AtomicU64 = AtomicU64::new(0);
        let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
        let name = format!("{mark}model-{}-{}", std::process::id(), RIGS.fetch_add(1, Ordering::Relaxed));
        let reader = Reader::create(&name, BufferConfig::ring(capacity).metadata(0)).unwrap();
        let writer = Some(connect(&name));
        Self { reader, writer, held: Vec::new(), oracle: Oracle::new(capacity), salt: 0, name }
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    fn content(&mut self, size: u64) -> Vec<u8> {
        self.salt += 1;
        content(self.salt, size)
    }

    pub(crate) fn run(&mut self, step: &Step) {
        match *step {
            Step::Write(size) => self.write(size),
            Step::Loan(size, share) => self.loan(size, size * u64::from(share) / 8),
            Step::LoanAndLeave(size) => {
                let room = self.oracle.room(size);
                let begun = self.writer().try_begin(size as usize);
                self.expect(room, size, begun.map(drop));
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
        let room = self.oracle.room(size);
        match self.writer().try_write(&data) {
            Ok(outcome) => {
                self.expect(room, size, Ok(()));
                assert_eq!(outcome.sequence(), Some(self.oracle.publish(data)));
            }
            Err(error) => self.expect(room, size, Err(error)),
        }
    }

    /// Whether that is what the oracle says of a frame of `size` bytes.
    fn expect(&self, room: Room, size: u64, reserved: Result<(), Error>) {
        match (room, reserved) {
            (Room::Sure | Room::Maybe, Ok(())) | (Room::TooLarge, Err(Error::FrameTooLarge { .. })) => {}
            (Room::Full | Room::Maybe, Err(Error::Full { free, needed, largest_gap, held, .. })) => {
                assert_eq!((free.cast_signed(), needed), (self.oracle.free, total(size)));
                assert!(largest_gap < needed && largest_gap <= free, "{largest_gap} of {free} in one piece");
                assert!(held <= self.oracle.capacity - free, "{held} held");
            }
            (room, other) => panic!("{room:?} for {size} bytes, {other:?}"),
        }
    }

    fn loan(&mut self, size: u64, committed: u64) {
        let room = self.oracle.room(size);
        let data = self.content(committed);
        let begun = self.writer().try_begin(size as usize);
        let is_begun = begun.is_ok();
        self.expect(room, size, begun);
        if !is_begun {
            return;
        }
        self.writer().pending().unwrap()[..data.len()].copy_from_slice(&data);
        if data.is_empty() {
            assert!(self.writer().abort());
        } else {
            let sequence = self.writer().commit(data.len()).unwrap();
            assert_eq!(sequence, self.oracle.publish(data));
            if committed != size {
                self.oracle.shortened();
            }
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

    pub(crate) fn check(&self) {
        let info = observe::inspect(&self.name).unwrap();
        let oracle = &self.oracle;
        assert_eq!(info.free.cast_signed(), oracle.free, "free bytes");
        assert_eq!(info.defects, Vec::<String>::new());
        for (frame, data, _) in &self.held {
            assert_eq!(frame.data(), data, "a held frame has changed");
        }
    }
}

fn connect(name: &str) -> Writer {
    Writer::connect_with(name, WriterConfig::default()).unwrap()
}
