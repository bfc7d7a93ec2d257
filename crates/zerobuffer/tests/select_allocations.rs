//! Waiting for several readers allocates with the first call and never again. The test has a
//! program of its own, since it counts what the whole process allocates.
#![cfg(feature = "async")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected panics")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use zerobuffer::{BufferConfig, Reader, Select, Writer};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(address, layout) }
    }

    unsafe fn realloc(&self, address: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(address, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ROUNDS: u64 = 300;

#[test]
fn a_wait_allocates_with_the_first_call_only() {
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    let names = ["left", "right"].map(|side| format!("{mark}select-{side}-{}", std::process::id()));
    let [mut left, mut right] =
        names.each_ref().map(|name| Reader::create(name, BufferConfig::ring(4096).metadata(0)).unwrap());
    let mut writers = names.each_ref().map(|name| Writer::connect(name).unwrap());
    let (go, goes) = mpsc::sync_channel::<usize>(1);
    let writing = thread::spawn(move || {
        for side in goes {
            // The reader's thread is asleep by then, in the most cases.
            thread::sleep(Duration::from_micros(500));
            writers.get_mut(side).unwrap().write(b"a frame").unwrap();
        }
    });
    let mut select = Select::new();
    let mut wait = |side: usize| {
        go.send(side).unwrap();
        let waited = select.wait(&mut [&mut left, &mut right], Duration::from_secs(60));
        let (which, frame) = waited.expect("a frame");
        assert_eq!((which, frame.unwrap().len()), (side, 7));
        // Nothing there: the wait is given up.
        assert!(select.wait(&mut [&mut left, &mut right], Duration::from_micros(200)).is_none());
    };
    // Both ends get what they keep: a place with the waiting thread, and that one's list.
    for side in [0, 1, 0, 1] {
        wait(side);
    }
    thread::sleep(Duration::from_millis(300));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for round in 0..ROUNDS {
        wait(usize::try_from(round % 2).unwrap());
    }
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    println!("{allocated} allocations in {} waits", 2 * ROUNDS);
    assert_eq!(allocated, 0, "in {} waits", 2 * ROUNDS);
    drop(go);
    writing.join().unwrap();
}
