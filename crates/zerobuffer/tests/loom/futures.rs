//! Futures, and the thread of their process that sleeps for them: arming, disarming, and blocked
//! calls beside both. No wait has a time-out here, so a wake-up that is lost is a deadlock.

use crate::{
    edges::{connect, pair},
    runs::{ASLEEP, Case, together},
};
use loom::{
    sync::atomic::AtomicBool,
    thread::{self, Thread},
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use zerobuffer::{
    BufferConfig, Reader, WaitStrategy,
    simulated::{edges::End, sleepers},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_future_is_woken_by_a_frame",
        scenario: by_a_frame,
        weak: &[(End::ArmSleeper, ASLEEP), (End::ArmFirst, ASLEEP)],
        without: &[],
        preemptions: Some(1),
    },
    Case {
        name: "a_future_that_takes_turns_is_woken",
        scenario: in_turns,
        weak: &[(End::TakeTurn, ASLEEP)],
        without: &[],
        preemptions: Some(1),
    },
    Case {
        name: "a_blocked_call_behind_a_future_is_woken",
        scenario: blocked_behind,
        weak: &[],
        without: &[],
        preemptions: Some(1),
    },
    Case {
        name: "a_future_that_is_dropped_leaves_no_sleeper",
        scenario: dropped,
        weak: &[(End::DisarmSleeper, LEFT)],
        without: &[],
        preemptions: Some(1),
    },
];

/// A sleeper stays counted that does not sleep.
const LEFT: &str = "Model exceeded maximum number of branches";

/// Wakes a thread that runs one future. It unparks only one that is parked: loom would take another
/// one out of its wait for a lock.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
    /// Not loom's: what is between two of its operations is one step.
    parked: atomic::AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        // Not a store: beside one that it is not ordered with, loom lets an exchange read what was
        // there before.
        self.woken.swap(true, Ordering::Release);
        if self.parked.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (woken, parked) = (AtomicBool::new(false), atomic::AtomicBool::new(false));
    let unpark = Arc::new(Unpark { thread: thread::current(), woken, parked });
    let waker = Waker::from(Arc::clone(&unpark));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !unpark.woken.swap(false, Ordering::Acquire) {
            unpark.parked.store(true, Ordering::SeqCst);
            thread::park();
            unpark.parked.store(false, Ordering::SeqCst);
        }
    }
}

/// Polls once, and drops the future unless it was ready.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn by_a_frame() {
    let (mut reader, mut writer) = pair("by-a-frame", 0, 64);
    together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer
        },
        move || {
            assert_eq!(block_on(reader.read_async()).unwrap().data(), [7; 8]);
            reader
        },
    );
}

/// After a wait that was short the next one begins with turns that arm nothing.
fn in_turns() {
    let config = BufferConfig::ring(64).metadata(0).wait(WaitStrategy::Adaptive);
    let mut reader = Reader::create("in-turns", config).unwrap();
    let mut writer = connect("in-turns").unwrap();
    let mut short = reader.read_async();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(&mut short).poll(&mut context).is_pending());
    writer.write(&[6; 8]).unwrap();
    assert!(pin!(&mut short).poll(&mut context).is_ready());
    drop(short);
    together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer
        },
        move || {
            assert_eq!(block_on(reader.read_async()).unwrap().data(), [7; 8]);
            reader
        },
    );
}

/// The post may wake the thread in the place of the call, which takes the endpoint from it.
fn blocked_behind() {
    let (mut reader, mut writer) = pair("blocked-behind", 0, 64);
    assert!(poll_once(reader.read_async()).is_none());
    together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer
        },
        move || {
            assert_eq!(reader.read().unwrap().data(), [7; 8]);
            reader
        },
    );
}

/// Whether its waker is taken out by the drop or by the thread, which a frame has woken.
fn dropped() {
    let (mut reader, mut writer) = pair("dropped", 0, 64);
    let (writer, reader) = together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer
        },
        move || {
            if let Some(read) = poll_once(reader.read_async()) {
                assert_eq!(read.unwrap().data(), [7; 8]);
            }
            // The thread may be just about to take it out.
            while sleepers(&reader) != 0 {
                thread::yield_now();
            }
            reader
        },
    );
    drop((writer, reader));
}
