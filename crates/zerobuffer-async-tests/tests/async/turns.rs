//! A future whose frames come at once does not sleep for each. It has itself polled again a few
//! times, and the executor's other tasks run between.

use super::{LONG, common::Name, pair};
use std::{
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
    time::Instant,
};
use zerobuffer::{BufferConfig, Frame, Reader, WaitStrategy, Writer};

/// More than a future ever polls itself without sleeping.
const MANY: u32 = 100;

/// Counts how often it is woken by its own thread. The thread that waits for futures may wake it
/// too.
struct Own(ThreadId, AtomicU32);

impl Own {
    fn new() -> Arc<Self> {
        Arc::new(Self(thread::current().id(), AtomicU32::new(0)))
    }

    fn count(&self) -> u32 {
        self.1.load(Ordering::SeqCst)
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        if thread::current().id() == self.0 {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Others use the processor too, and a wait or a turn is a long one then: tries until one is not.
fn until_found<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = attempt();
        if found.is_some() || started.elapsed() > LONG {
            return found;
        }
    }
}

/// A wait that is over a moment after it began.
fn short_wait(reader: &mut Reader, writer: &mut Writer) {
    let mut reading = reader.read_async();
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut reading).poll(&mut context).is_pending());
    writer.write(b"frame").unwrap();
    let Poll::Ready(read) = Pin::new(&mut reading).poll(&mut context) else { panic!("it is there") };
    drop(read.unwrap());
}

/// Polls until the future does not wake its task any more; how often it did.
fn turns(reading: &mut (impl Future<Output = zerobuffer::Result<Frame>> + Unpin)) -> u32 {
    let task = Own::new();
    let waker = Waker::from(Arc::clone(&task));
    (0..MANY)
        .find(|&turns| {
            assert!(Pin::new(&mut *reading).poll(&mut Context::from_waker(&waker)).is_pending());
            task.count() == turns
        })
        .expect("a future that waits in vain does not end to poll itself")
}

#[test]
fn a_future_takes_turns_after_a_short_wait_and_sleeps_then() {
    let name = Name::new("async-turns");
    let (mut reader, mut writer) = pair(&name, 4096);
    let mut first = reader.read_async();
    assert_eq!(turns(&mut first), 0, "nothing is known of its writer yet");
    drop(first);
    let found = until_found(|| {
        short_wait(&mut reader, &mut writer);
        let mut reading = reader.read_async();
        let turns = turns(&mut reading);
        // Now it sleeps, and what comes wakes it.
        writer.write(b"frame").unwrap();
        drop(pollster::block_on(reading).unwrap());
        (turns > 0).then_some(turns)
    });
    println!("turns of the first future that takes some: {found:?}");
    assert!(found.is_some(), "no future takes turns, whose peer answers at once");
}

#[test]
fn a_future_that_is_dropped_between_two_turns_has_lost_nothing() {
    let name = Name::new("async-turns-dropped");
    let (mut reader, mut writer) = pair(&name, 4096);
    let (mut rounds, mut dropped) = (0, 0);
    let found = until_found(|| {
        short_wait(&mut reader, &mut writer);
        let task = Own::new();
        let mut reading = Box::pin(reader.read_async());
        assert!(
            reading.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&task)))).is_pending()
        );
        rounds += 1;
        dropped += task.count();
        if rounds % 2 == 0 {
            mem::forget(reading);
        } else {
            drop(reading);
        }
        writer.write(b"next").unwrap();
        let frame = pollster::block_on(reader.read_async()).unwrap();
        assert_eq!((frame.data(), frame.sequence()), (&b"next"[..], rounds * 2));
        (dropped >= 100).then_some(())
    });
    println!("{dropped} of {rounds} were between two turns");
    assert!(found.is_some());
}

#[test]
fn who_waits_blocked_takes_no_turns() {
    let name = Name::new("async-turns-block");
    let config = BufferConfig::ring(4096).metadata(0).wait(WaitStrategy::Block);
    let mut reader = Reader::create(&name, config).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    for _ in 0..100 {
        short_wait(&mut reader, &mut writer);
        assert_eq!(turns(&mut reader.read_async()), 0);
    }
}
