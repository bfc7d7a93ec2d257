//! A ring that goes from one form to the other. Native writers and writers that store as 1.3.0
//! does take turns; one of these also takes the place of a native one that lives. Every frame that
//! was published comes once, whole and in order.
//!
//! Python 1.3.0 itself is in the rounds of `cargo xtask torture --switch`, with deaths. Here its
//! stores are done by hand, and nobody dies: a death is noticed after a wait.

use crate::{
    damage::objects,
    fresh,
    hostile::{hurried, judge},
    script::Script,
};
use std::{
    collections::VecDeque,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    sync::{OnceLock, mpsc},
    thread,
};
use zerobuffer::{BufferConfig, Error, Frame, Reader, WaitStrategy, Writer, observe};

const FREE: u64 = 40;
const WRITE_POS: u64 = 48;
const WRITTEN_COUNT: u64 = 64;
const WRITER_PID: u64 = 80;
const RING: u64 = 128;
/// Of the native block behind the ring.
const FORM: u64 = 128;

const MOST: usize = 160;
/// Frames held at a time.
const HELD: usize = 5;

/// Numbers of which each seems to be a live process of its own: threads that sleep for ever.
fn pids() -> &'static [u64] {
    static PIDS: OnceLock<Vec<u64>> = OnceLock::new();
    PIDS.get_or_init(|| {
        let start = || {
            let (tell, told) = mpsc::channel();
            thread::spawn(move || {
                let own = fs::read_link("/proc/thread-self").unwrap();
                let number = own.file_name().and_then(|name| name.to_str()?.parse().ok());
                tell.send(number.unwrap()).unwrap();
                loop {
                    thread::park();
                }
            });
            told.recv().unwrap()
        };
        (0..16).map(|_| start()).collect()
    })
}

/// Files of the buffer, past every endpoint.
struct Segment {
    memory: File,
    data: File,
    payload: u64,
}

impl Segment {
    fn open(name: &str, payload: u64) -> Self {
        let [memory, data, _] =
            objects(name).map(|path| File::options().read(true).write(true).open(path).unwrap());
        Self { memory, data, payload }
    }

    fn get(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at).unwrap();
        u64::from_le_bytes(word)
    }

    fn set(&self, at: u64, value: u64) {
        self.memory.write_all_at(&value.to_le_bytes(), at).unwrap();
    }

    fn is_native(&self) -> bool {
        self.get(RING + self.payload + FORM) % 2 == 1
    }

    /// Nobody sleeps here.
    fn post(&self) {
        let mut word = [0; 4];
        self.data.read_exact_at(&mut word, 0).unwrap();
        self.data.write_all_at(&(u32::from_le_bytes(word) + 1).to_le_bytes(), 0).unwrap();
    }

    /// `write_frame` of 1.3.0, store by store. `false`: there is no room by `payload_free_bytes`.
    fn write_as_legacy(&self, number: u64, payload: &[u8]) -> bool {
        let (total, mut at) = (16 + payload.len() as u64, self.get(WRITE_POS) % self.payload);
        let tail = self.payload - at;
        let need = if tail < total { tail + total } else { total };
        if self.get(FREE) < need {
            return false;
        }
        let charge = |bytes| self.set(FREE, self.get(FREE) - bytes);
        let count = || self.set(WRITTEN_COUNT, self.get(WRITTEN_COUNT) + 1);
        if tail < total {
            if tail >= 16 {
                self.memory.write_all_at(&[0; 16], RING + at).unwrap();
            }
            charge(tail);
            self.set(WRITE_POS, 0);
            count();
            at = 0;
        }
        self.set(RING + at, payload.len() as u64);
        self.set(RING + at + 8, number);
        self.memory.write_all_at(payload, RING + at + 16).unwrap();
        self.set(WRITE_POS, at + total);
        charge(total);
        count();
        self.post();
        true
    }
}

/// A legacy writer that has registered.
struct Legacy {
    pid: u64,
    next: u64,
}

struct World {
    name: String,
    reader: Reader,
    segment: Segment,
    native: Option<Writer>,
    /// Since the native writer came, another one has been in its place.
    was_replaced: bool,
    legacy: Option<Legacy>,
    /// Legacy writers that came since the reader looked last.
    unseen: usize,
    attached: usize,
    coming: VecDeque<(u64, Vec<u8>)>,
    held: Vec<(Frame, Vec<u8>)>,
    salt: u8,
}

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let name = fresh::name("forms");
    let payload = script.pick(&[128, 256, 512, 1024]);
    let config = BufferConfig::ring(payload).metadata(0).prefault(false).wait(WaitStrategy::Block);
    let reader = Reader::create(&name, config).unwrap();
    let segment = Segment::open(&name, payload);
    let mut world = World {
        reader,
        segment,
        native: None,
        was_replaced: false,
        legacy: None,
        unseen: 0,
        attached: 0,
        coming: VecDeque::new(),
        held: Vec::new(),
        salt: 0,
        name: name.clone(),
    };
    for _ in 0..MOST {
        let Some(step) = script.next() else { break };
        world.step(step, &mut script);
    }
    world.end(payload);
    fresh::assert_gone(&name);
}

impl World {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 16 {
            0..=3 => self.write_natively(script),
            4 => {
                if let Some(writer) = &mut self.native {
                    drop(writer.try_loan(1 + usize::from(script.byte())));
                }
            }
            5 => self.leave_natively(),
            6 => self.attach_as_legacy(),
            7..=9 => self.write_as_legacy(script),
            10 => self.leave_as_legacy(),
            11..=13 => self.read(),
            14 if !self.held.is_empty() => {
                let at = usize::from(script.byte()) % self.held.len();
                self.release(at);
            }
            _ => {
                if self.coming.is_empty() {
                    self.read();
                }
            }
        }
    }

    fn content(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        let most = (self.segment.payload - 15) / 2 - 16;
        let size = 1 + script.short() % most;
        self.salt = self.salt.wrapping_add(1);
        (0..size).map(|i| (i as u8).wrapping_mul(31) ^ self.salt).collect()
    }

    fn write_natively(&mut self, script: &mut Script<'_>) {
        if self.native.is_none() {
            // It would wait for the place of a live one.
            if self.legacy.is_some() {
                return;
            }
            self.native = judge(&self.name, Writer::connect_with(&self.name, hurried()));
            self.was_replaced = false;
        }
        let data = self.content(script);
        let Some(writer) = &mut self.native else { return };
        match writer.try_write(&data) {
            Ok(outcome) => {
                let number = outcome.sequence().unwrap();
                assert!(self.legacy.is_none(), "frame {number} went out beside another writer");
                self.coming.push_back((number, data));
            }
            Err(Error::Full { .. }) => assert!(self.legacy.is_none(), "it is not the writer any more"),
            Err(Error::Replaced { .. }) => {
                assert!(self.was_replaced, "nobody else was there");
                self.native = None;
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn leave_natively(&mut self) {
        drop(self.native.take());
    }

    /// It takes a native writer's place only in native form. In legacy form two writers of any kind
    /// overwrite each other.
    fn attach_as_legacy(&mut self) {
        let is_taken = self.segment.get(WRITER_PID) != 0;
        if self.legacy.is_some() || (is_taken && (self.native.is_none() || !self.segment.is_native())) {
            return;
        }
        if self.unseen + 2 > pids().len() {
            self.read();
        }
        self.attached += 1;
        self.unseen += 1;
        let pid = pids()[self.attached % pids().len()];
        self.segment.set(WRITER_PID, pid);
        self.was_replaced |= self.native.is_some();
        self.legacy = Some(Legacy { pid, next: 1 });
    }

    fn write_as_legacy(&mut self, script: &mut Script<'_>) {
        let data = self.content(script);
        let Some(legacy) = &mut self.legacy else { return };
        let number = legacy.next;
        let fenced = self.segment.is_native();
        if self.segment.write_as_legacy(number, &data) {
            assert!(!fenced, "a legacy writer finds room in native form");
            legacy.next += 1;
            self.coming.push_back((number, data));
        }
    }

    fn leave_as_legacy(&mut self) {
        if let Some(legacy) = self.legacy.take()
            && self.segment.get(WRITER_PID) == legacy.pid
        {
            self.segment.set(WRITER_PID, 0);
        }
    }

    /// The next frame, or that there is none.
    fn read(&mut self) {
        self.unseen = 0;
        let found = match self.reader.try_read() {
            Ok(found) => found,
            Err(Error::WriterGone { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        match (found, self.coming.pop_front()) {
            (Some(frame), Some((number, data))) => {
                assert_eq!((frame.sequence(), frame.data()), (number, &data[..]));
                self.held.push((frame, data));
            }
            (None, None) => {}
            (found, expected) => panic!("got {found:?}, expected {:?}", expected.map(|(number, _)| number)),
        }
        if self.held.len() > HELD {
            self.release(0);
        }
    }

    fn release(&mut self, at: usize) {
        let (frame, data) = self.held.swap_remove(at);
        assert_eq!(frame.data(), data, "a held frame has changed");
    }

    /// All writers leave; then all is read and given back, and the ring is as if fresh.
    fn end(mut self, payload: u64) {
        self.leave_natively();
        self.leave_as_legacy();
        while !self.coming.is_empty() {
            self.read();
        }
        while !self.held.is_empty() {
            self.release(0);
        }
        for _ in 0..3 {
            self.read();
        }
        let info = observe::inspect(&self.name).unwrap();
        assert_eq!((info.free, info.used, info.frames_waiting), (payload, 0, 0), "{info:?}");
        assert_eq!(info.defects, Vec::<String>::new());
        self.reader.close().unwrap();
    }
}
