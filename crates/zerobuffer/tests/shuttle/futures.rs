//! Both ends as futures, blocked calls in between, futures that are dropped while they wait, and
//! writers that die or close anywhere. Every frame whose write has returned comes once and in
//! order, and nobody sleeps beside what it waits for.

use crate::{
    oracle::content,
    random::Random,
    runs::{FIGURES, Figures, tell},
};
use shuttle::thread::{self, Thread};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use zerobuffer::{
    BufferConfig, Error, Reader, WaitStrategy, Writer, WriterConfig,
    simulated::{Ended, boot, doom, end_if_dead, enter, is_dead, pardon, park, process, sleepers},
};

const NAME: &str = "futures";
/// Of the reader's process, whose one thread waits for both.
const BESIDE: &str = "futures-beside";
const READER: u64 = 1001;
const FIRST_WRITER: u64 = 2001;
const RING: u64 = 192;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future; `None`: it was given up while it waited, perhaps with its waker just woken.
fn run_some<F: Future>(future: F, random: &mut Random) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if random.once_in(4) {
            if random.once_in(2) {
                thread::yield_now();
            }
            return None;
        }
        park();
    }
}

/// `spins`: the reader's futures take turns before they sleep. Its blocked calls would spin for
/// ever, since the time stands still, so there are none.
pub(crate) fn run(mut random: Random, spins: bool) {
    boot();
    enter(READER);
    let config = |wait| BufferConfig::ring(RING).metadata(0).wait(wait);
    let wait = if spins { WaitStrategy::Adaptive } else { WaitStrategy::Block };
    let mut reader = Reader::create(NAME, config(wait)).unwrap();
    let mut beside = random.once_in(2).then(|| Reader::create(BESIDE, config(WaitStrategy::Block)).unwrap());
    let lives = 1 + random.below(3);
    let last = Arc::new(AtomicU64::new(0));
    let (told, mut own) = (Arc::clone(&last), random.fork());
    let writing = thread::spawn(move || {
        for life in 0..lives {
            live(FIRST_WRITER + life, &mut own, &told, life + 1 == lives);
        }
    });
    let mut expected = 1;
    let mut held = None;
    loop {
        if let Some(other) = &mut beside {
            // Arms another endpoint of the process, and takes its waker out again.
            let polled = pin!(other.read_async()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        let choice = random.below(4);
        if choice != 1 {
            // A thread that sleeps holds nothing that a writer may be waiting for.
            held = None;
        }
        let read = match choice {
            0 if !spins => Some(reader.read()),
            1 => reader.try_read().transpose(),
            _ => run_some(reader.read_async(), &mut random),
        };
        match read {
            None => {}
            Some(Ok(frame)) => {
                Figures::count(&FIGURES.frames);
                tell(|| format!("read number {}", frame.sequence()));
                if frame.sequence() != expected {
                    // The number of a frame that was never published.
                    assert!(frame.sequence() == expected + 1, "{} for {expected}", frame.sequence());
                    Figures::count(&FIGURES.gaps);
                }
                expected = frame.sequence() + 1;
                let size = size(frame.sequence());
                assert_eq!(frame.data(), &content(frame.sequence(), size)[..]);
                held = random.once_in(2).then_some(frame);
            }
            Some(Err(Error::WriterGone { .. })) if last.load(Ordering::SeqCst) != 0 => {
                if expected > last.load(Ordering::SeqCst) {
                    break;
                }
                thread::yield_now();
            }
            Some(Err(Error::WriterGone { .. })) => thread::yield_now(),
            Some(Err(error)) => panic!("{error}"),
        }
    }
    drop(held);
    writing.join().unwrap();
    // The thread may be about to take a waker out.
    while sleepers(&reader) != 0 {
        thread::yield_now();
    }
}

/// Size of the frame with that number.
fn size(sequence: u64) -> u64 {
    1 + sequence * 37 % (RING - 16)
}

/// One writer; the last one says the number of its last frame before it closes.
fn live(pid: u64, random: &mut Random, last: &AtomicU64, is_last: bool) {
    if !is_last && random.once_in(2) {
        doom(pid, 1 + random.below(120));
    }
    let ended = process(pid, || {
        let mut writer = attach();
        let mut left = 1 + random.below(6);
        while left > 0 {
            let sequence = writer.next_sequence();
            let data = content(sequence, size(sequence));
            tell(|| format!("number {sequence}, {} bytes", data.len()));
            let written = match random.below(4) {
                0 => Some(writer.write(&data)),
                1 => match writer.try_write(&data) {
                    Err(Error::Full { .. }) => None,
                    other => Some(other),
                },
                _ => run_some(writer.write_async(&data), random),
            };
            go_on();
            if let Some(written) = written {
                assert_eq!(written.unwrap().sequence(), Some(sequence));
                left -= 1;
            } else {
                assert_eq!(writer.next_sequence(), sequence, "a write that was given up has gone out");
                thread::yield_now();
            }
        }
        go_on();
        pardon(pid);
        if is_last {
            last.store(writer.next_sequence() - 1, Ordering::SeqCst);
        }
        writer.close().unwrap();
    });
    match ended {
        Ended::Returned(()) => Figures::count(&FIGURES.closes),
        Ended::Killed => {
            Figures::count(&FIGURES.kills);
            tell(|| format!("process {pid} was killed"));
        }
    }
}

/// Ends the thread if its process has ended in the other one, which may still be unwinding. What
/// was found since then says nothing.
fn go_on() {
    while is_dead() {
        end_if_dead();
        thread::yield_now();
    }
}

fn attach() -> Writer {
    loop {
        // Where a process has died, time passes faster than anybody works.
        let config = WriterConfig::default().wait(WaitStrategy::Block).write_timeout(None);
        let connected = Writer::connect_with(NAME, config);
        go_on();
        match connected {
            Ok(writer) => return writer,
            Err(Error::CrashNotNoticed { .. } | Error::WriterAlreadyConnected { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}
