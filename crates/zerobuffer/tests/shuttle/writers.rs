//! One reader, which lives to the end, and writers that close or die anywhere. Every frame whose
//! write has returned is delivered once, in order and whole. Numbers go on, and no byte of the ring
//! is lost. What a tap delivers meanwhile is whole, and was written.

use crate::{
    oracle::{Oracle, Step, content},
    random::Random,
    runs::{FIGURES, Figures, tell},
};
use shuttle::thread;
use std::collections::BTreeSet;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use zerobuffer::{
    BufferConfig, Error, Frame, Reader, WaitStrategy, Writer, WriterConfig,
    simulated::{Ended, Tap, announce_at_most, boot, doom, enter, pardon, process, words},
};

const NAME: &str = "writers";
const READER: u64 = 1001;
const FIRST_WRITER: u64 = 2001;
const CONTENDER: u64 = 3001;
const TAP: u64 = 4001;
/// Bytes of the largest frame in a large ring.
const LARGEST: u64 = 40_000;

/// What the threads report and ask, in one step each: threads are switched at shuttle's operations
/// only.
type Reports = Arc<Mutex<Oracle>>;

/// Number and length of every frame that a writer was about to write.
static WRITTEN: Mutex<BTreeSet<(u64, usize)>> = Mutex::new(BTreeSet::new());

pub(crate) fn run(mut random: Random) {
    boot();
    WRITTEN.lock().unwrap().clear();
    enter(READER);
    let ring = random.one_of(&[64, 128, 192, 320, 8192, 64 << 10]);
    // A ring of a reader below the level of the native form stays in legacy form.
    let legacy = random.once_in(4);
    if legacy {
        announce_at_most(2);
    }
    let config = BufferConfig::ring(ring).metadata(0).wait(WaitStrategy::Block);
    tell(|| format!("a ring of {ring} bytes, legacy form: {legacy}"));
    // Legacy form refuses to be shortened to what would leave a tail without room for a marker.
    let shares = if legacy { 2 } else { 9 };
    let most = if legacy { (ring - 15) / 2 - 16 } else { (ring - 16).min(LARGEST) };
    let mut reader = Reader::create(NAME, config).unwrap();
    let oracle: Reports = Arc::new(Mutex::new(Oracle::waiting(ring)));
    let finished = Arc::new(AtomicBool::new(false));

    let (reports, done, mut own) = (Arc::clone(&oracle), Arc::clone(&finished), random.fork());
    let writing = thread::spawn(move || {
        for life in 0..=own.below(4) {
            live(FIRST_WRITER + life, &mut own, (most, shares), &reports);
        }
        // The last one writes a frame and closes, so the reader comes to an end. A writer that came
        // and went without a trace is none.
        enter(FIRST_WRITER + 9);
        let mut writer = attach(&reports);
        write(&mut writer, Step::Write(1), &reports);
        done.store(true, Ordering::SeqCst);
        drop(writer);
    });
    let contending = random.once_in(3).then(|| {
        thread::spawn(|| {
            enter(CONTENDER);
            // Takes the role for a moment, or is refused; it must not do any harm in either case.
            drop(connect());
        })
    });
    let taps = random.below(3);
    let tapping: Vec<_> = (0..taps)
        .map(|number| {
            let own = random.fork();
            thread::spawn(move || tap(TAP + number, own))
        })
        .collect();
    read(&mut reader, &mut random, &oracle, &finished);
    for tap in tapping {
        tap.join().unwrap();
    }
    writing.join().unwrap();
    if let Some(contending) = contending {
        contending.join().unwrap();
    }
    // A contender that came last.
    while !matches!(reader.try_read(), Err(Error::WriterGone { .. })) {
        thread::yield_now();
    }

    let oracle = oracle.lock().unwrap();
    assert_eq!(oracle.unread(), 0, "frames were lost");
    let [free, write_pos, read_pos, writer] = words(NAME);
    assert_eq!((free, write_pos, writer), (ring, read_pos % ring, 0), "all is read and released");
    if oracle.is_exact {
        assert_eq!(oracle.free, ring as i64);
    }
}

/// Looks on, at every frame or at the newest ones.
fn tap(pid: u64, mut random: Random) {
    enter(pid);
    let Ok(mut tap) = Tap::open(NAME) else { return };
    let often = random.one_of(&[1, 4, u64::MAX]);
    for _ in 0..random.below(40) {
        for (sequence, data) in tap.look(random.once_in(often)) {
            Figures::count(&FIGURES.tapped);
            let is_written = WRITTEN.lock().unwrap().contains(&(sequence, data.len()));
            assert!(is_written, "a tap has number {sequence} of {} bytes, which nobody wrote", data.len());
            assert!(data == content(sequence, data.len() as u64), "number {sequence} is torn for a tap");
        }
        thread::yield_now();
    }
}

fn connect() -> zerobuffer::Result<Writer> {
    Writer::connect_with(NAME, WriterConfig::default().wait(WaitStrategy::Block))
}

/// Attaches as soon as that is possible.
fn attach(reports: &Reports) -> Writer {
    loop {
        match connect() {
            Ok(writer) => {
                tell(|| format!("attached, next number {}", writer.next_sequence()));
                reports.lock().unwrap().attached(writer.next_sequence());
                return writer;
            }
            // A predecessor is not judged yet, or a contender is there.
            Err(Error::CrashNotNoticed { .. } | Error::WriterAlreadyConnected { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// One writer, from its attach to its end.
fn live(pid: u64, random: &mut Random, frames: (u64, u64), reports: &Reports) {
    if random.once_in(2) {
        let points = random.one_of(&[20, 60, 200]);
        doom(pid, 1 + random.below(points));
    }
    let ended = process(pid, || {
        let mut writer = attach(reports);
        for _ in 0..random.below(8) {
            let step = step(random, frames);
            write(&mut writer, step, reports);
        }
        pardon(pid);
        writer.close().unwrap();
    });
    match ended {
        Ended::Returned(()) => Figures::count(&FIGURES.closes),
        Ended::Killed => {
            Figures::count(&FIGURES.kills);
            tell(|| format!("process {pid} was killed"));
            reports.lock().unwrap().killed();
        }
    }
}

/// One of the writing steps of the property test, blocking where there is no room.
fn step(random: &mut Random, (most, shares): (u64, u64)) -> Step {
    let size = 1 + match random.below(4) {
        0 => random.below(most),
        1 => most - 1 - random.below(most.min(16)),
        _ => random.below(most.min(60)),
    };
    if random.once_in(4) {
        Step::Loan(size, (random.below(shares) * 8 / (shares - 1)) as u8)
    } else {
        Step::Write(size)
    }
}

fn write(writer: &mut Writer, step: Step, reports: &Reports) {
    tell(|| format!("{step:?}, number {}", writer.next_sequence()));
    let (size, committed) = match step {
        Step::Write(size) => (size, size),
        Step::Loan(size, share) => (size, size * u64::from(share) / 8),
        _ => unreachable!("a step of a writer"),
    };
    // Reported before it is done: the reader may have the frame before the write returns.
    let (data, sequence) = {
        let mut oracle = reports.lock().unwrap();
        let data = content(oracle.next_sequence, committed);
        let sequence = (committed > 0).then(|| oracle.publish(data.clone()));
        if let Some(sequence) = sequence {
            WRITTEN.lock().unwrap().insert((sequence, data.len()));
        }
        (data, sequence)
    };
    if let Step::Write(_) = step {
        assert_eq!(writer.write(&data).unwrap().sequence(), sequence);
    } else {
        let mut loan = writer.loan(size as usize).unwrap();
        // Backwards, and others run in between.
        let piece = 16.max(data.len() / 8);
        for start in (0..data.len()).step_by(piece).rev() {
            let end = data.len().min(start + piece);
            loan[start..end].copy_from_slice(&data[start..end]);
            thread::yield_now();
        }
        if let Some(sequence) = sequence {
            assert_eq!(loan.commit_len(data.len()).unwrap().sequence(), Some(sequence));
        }
    }
}

/// A frame that is held, and what it must show until it is released.
struct Held {
    frame: Frame,
    data: Vec<u8>,
    region: usize,
}

impl Held {
    fn release(self, reports: &Reports) {
        assert_eq!(self.frame.data(), self.data, "a held frame has changed");
        drop(self.frame);
        reports.lock().unwrap().release(self.region);
    }
}

/// Reads to the end; a second thread of the process releases some of the frames.
fn read(reader: &mut Reader, random: &mut Random, reports: &Reports, finished: &AtomicBool) {
    let mut held: Vec<Held> = Vec::new();
    loop {
        let is_last = finished.load(Ordering::SeqCst);
        // A thread that sleeps holds nothing that a writer may be waiting for.
        let waits = random.once_in(2);
        if waits {
            release(&mut held, reports);
        }
        let got = if waits { reader.read().map(Some) } else { reader.try_read() };
        match got {
            Ok(Some(frame)) => {
                Figures::count(&FIGURES.frames);
                tell(|| format!("read number {}, {} bytes", frame.sequence(), frame.len()));
                let mut oracle = reports.lock().unwrap();
                if oracle.found(frame.sequence()) {
                    Figures::count(&FIGURES.gaps);
                }
                let (data, sequence, region) = oracle.read().expect("a frame that nobody wrote");
                drop(oracle);
                assert_eq!((frame.sequence(), frame.data()), (sequence, &data[..]));
                held.push(Held { frame, data, region });
            }
            Ok(None) => thread::yield_now(),
            Err(Error::WriterGone { .. }) if is_last => break,
            Err(Error::WriterGone { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
        if !held.is_empty() && random.once_in(2) {
            let some = held.swap_remove(random.below(held.len() as u64) as usize);
            if random.once_in(3) {
                let reports = Arc::clone(reports);
                thread::spawn(move || {
                    enter(READER);
                    some.release(&reports);
                })
                .join()
                .unwrap();
            } else {
                some.release(reports);
            }
        }
        // A reader without anything to read may not keep the writer waiting for ever.
        if held.len() > 3 {
            release(&mut held, reports);
        }
    }
    release(&mut held, reports);
}

fn release(held: &mut Vec<Held>, reports: &Reports) {
    for one in held.drain(..) {
        one.release(reports);
    }
}
