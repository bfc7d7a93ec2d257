//! Readers that close or die anywhere, and a writer that goes from one to the next. It learns of
//! each end and is never left waiting. The name can be had again, and what is delivered is what was
//! written.

use crate::{
    oracle::content,
    random::Random,
    runs::{FIGURES, Figures, tell},
};
use shuttle::thread;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use zerobuffer::{
    BufferConfig, Error, Reader, WaitStrategy, Writer, WriterConfig,
    simulated::{Ended, boot, doom, enter, process},
};

const NAME: &str = "readers";
const FIRST_READER: u64 = 1001;
const WRITER: u64 = 2001;
const RING: u64 = 128;

pub(crate) fn run(mut random: Random) {
    boot();
    let lives = 1 + random.below(3);
    let ended = Arc::new(AtomicU64::new(0));
    let (reports, mut own) = (Arc::clone(&ended), random.fork());
    let writing = thread::spawn(move || {
        enter(WRITER);
        while reports.load(Ordering::SeqCst) <= lives {
            write(&mut own);
        }
    });
    for life in 0..lives {
        read(FIRST_READER + life, &mut random);
        ended.fetch_add(1, Ordering::SeqCst);
    }
    // The last one goes when its writer has gone or knows of the end.
    enter(FIRST_READER + lives);
    let reader = create();
    ended.fetch_add(1, Ordering::SeqCst);
    drop(reader);
    writing.join().unwrap();
}

fn create() -> Reader {
    Reader::create(NAME, BufferConfig::ring(RING).metadata(0).wait(WaitStrategy::Block)).unwrap()
}

/// Size of the frame with that number.
fn size(sequence: u64) -> u64 {
    1 + sequence * 37 % (RING - 16)
}

/// One reader, from its creation to its end.
fn read(pid: u64, random: &mut Random) {
    if random.once_in(2) {
        doom(pid, 1 + random.below(80));
    }
    let ended = process(pid, || {
        let mut reader = create();
        let frames = random.below(6);
        tell(|| format!("reader {pid} takes {frames} frames"));
        for sequence in 1..=frames {
            let frame = loop {
                match reader.read() {
                    Ok(frame) => break frame,
                    // The writer has found out that its former reader is gone, or is on its way.
                    Err(Error::WriterGone { .. }) => thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            };
            Figures::count(&FIGURES.frames);
            tell(|| format!("read number {}", frame.sequence()));
            assert_eq!((frame.sequence(), frame.data()), (sequence, &content(sequence, size(sequence))[..]));
        }
        reader.close().unwrap();
    });
    match ended {
        Ended::Returned(()) => Figures::count(&FIGURES.closes),
        Ended::Killed => Figures::count(&FIGURES.kills),
    }
}

/// Writes to one reader until that one is gone.
fn write(random: &mut Random) {
    let config = WriterConfig::default().wait(WaitStrategy::Block);
    let mut writer = match Writer::connect_with(NAME, config) {
        Ok(writer) => writer,
        // The last: the reader's judgement holds the writer's byte just now.
        Err(Error::NotFound { .. } | Error::NotReady { .. } | Error::WriterAlreadyConnected { .. }) => {
            return thread::yield_now();
        }
        Err(error) => panic!("{error}"),
    };
    let frames = if random.once_in(4) { random.below(4) } else { u64::MAX };
    for _ in 0..frames {
        let sequence = writer.next_sequence();
        tell(|| format!("number {sequence}, {} bytes", size(sequence)));
        match writer.write(&content(sequence, size(sequence))) {
            Ok(outcome) => assert_eq!(outcome.sequence(), Some(sequence)),
            Err(Error::ReaderGone { .. }) => return tell(|| "the reader is gone".to_owned()),
            Err(error) => panic!("{error}"),
        }
    }
    tell(|| "the writer closes".to_owned());
    writer.close().unwrap();
}
