//! What a broadcast costs, beside plain copies of the same bytes. Run apart:
//! `cargo test --release -p zerobuffer --test broadcast_speed -- --ignored --nocapture`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Name;
use zerobuffer::{BroadcastConfig, Broadcaster, BufferConfig, Error, Reader, SlowPolicy};

const SUBSCRIBERS: usize = 3;
/// A 1080p picture in I420.
const SIZE: usize = 1920 * 1080 * 3 / 2;
const PLACES: usize = 4;
const FRAMES: u32 = 200;

/// The time of one frame, by the median of several runs.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A mapping like that of a ring: shared, touched, in pages of the usual size.
fn shared_memory(bytes: usize) -> &'static mut [u8] {
    // SAFETY: an anonymous mapping of that size, which nobody else has and nothing unmaps.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let memory =
            libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        std::slice::from_raw_parts_mut(memory.cast(), bytes)
    }
}

/// The target of the broadcast is at most 1.1 times three plain copies. The rings are emptied while
/// the clock stands still, so both sides are the copies of one thread and what comes with them.
#[test]
#[ignore = "a measurement, for a machine with nothing else to do"]
fn three_subscribers_beside_three_copies() {
    let name = Name::new("bc-bench");
    let ring = (PLACES * (SIZE + 64)) as u64;
    let mut readers: Vec<Reader> = (0..SUBSCRIBERS)
        .map(|number| Reader::create(&format!("{}@{number}", &*name), BufferConfig::ring(ring)).unwrap())
        .collect();
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert!(broadcaster.wait_for_subscribers(SUBSCRIBERS, Duration::from_secs(10)).unwrap());
    let mut areas: Vec<&mut [u8]> = (0..SUBSCRIBERS).map(|_| shared_memory(PLACES * SIZE)).collect();
    let mut sources = [vec![1_u8; SIZE], vec![2_u8; SIZE], vec![3_u8; SIZE]];
    let mut ratios = Vec::new();
    for round in 0..7 {
        let (mut copied, mut broadcast) = (Vec::new(), Vec::new());
        for frame in 0..FRAMES as usize {
            let source = &mut sources[frame % 3];
            // A new picture: it is in the cache of the processor that has made it.
            source.fill(frame as u8);
            let begun = Instant::now();
            for area in &mut areas {
                let at = frame % PLACES * SIZE;
                area[at..at + SIZE].copy_from_slice(black_box(source));
            }
            copied.push(begun.elapsed());
            source.fill(frame as u8 + 1);
            let begun = Instant::now();
            let delivery = broadcaster.write(black_box(source)).unwrap();
            broadcast.push(begun.elapsed());
            assert_eq!(delivery.sent, SUBSCRIBERS);
            for reader in &mut readers {
                assert_eq!(reader.read().unwrap().data().len(), SIZE);
            }
        }
        let (copied, broadcast) = (median(copied), median(broadcast));
        let ratio = broadcast.as_secs_f64() / copied.as_secs_f64();
        println!("round {round}: 3 copies {copied:?}, broadcast to 3 {broadcast:?}, ratio {ratio:.3}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3} (target: at most 1.1)", ratios[ratios.len() / 2]);
}

/// The stream of one thread to three that read, in frames a second.
#[test]
#[ignore = "a measurement, for a machine with nothing else to do"]
fn a_stream_to_three_readers() {
    let name = Name::new("bc-stream");
    let ring = (PLACES * (SIZE + 64)) as u64;
    let read = Arc::new(AtomicU64::new(0));
    let reading: Vec<_> = (0..SUBSCRIBERS)
        .map(|number| {
            let buffer = format!("{}@{number}", &*name);
            let mut reader = Reader::create(&buffer, BufferConfig::ring(ring)).unwrap();
            let read = Arc::clone(&read);
            thread::spawn(move || {
                loop {
                    match reader.read() {
                        Ok(frame) => {
                            black_box(frame.data()[SIZE - 1]);
                            read.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(Error::WriterGone { .. }) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let config = BroadcastConfig::default().policy(SlowPolicy::Block(Duration::from_secs(10)));
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    assert!(broadcaster.wait_for_subscribers(SUBSCRIBERS, Duration::from_secs(10)).unwrap());
    let source = vec![7_u8; SIZE];
    let begun = Instant::now();
    for _ in 0..FRAMES * 5 {
        broadcaster.write(&source).unwrap();
    }
    let took = begun.elapsed();
    drop(broadcaster);
    for thread in reading {
        thread.join().unwrap();
    }
    assert_eq!(read.load(Ordering::Relaxed), u64::from(FRAMES * 5) * SUBSCRIBERS as u64);
    println!(
        "{:.0} frames of {SIZE} bytes a second to each of 3 readers",
        f64::from(FRAMES * 5) / took.as_secs_f64()
    );
}
