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

use common::stamped::{Followed, stamped};
use common::{Name, Peer};
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

/// Processor time of this thread, or of the whole process.
fn processor_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that exists, and a place that can be written to.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut time) }, 0);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Memory that this process alone has, in KiB.
fn own_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    private.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// Memory and processor time of a broadcaster with eight subscribers, each a process of its own, at
/// 30 pictures a second. Beside it are plain copies of the same bytes.
#[test]
#[ignore = "a measurement, for a machine with nothing else to do"]
fn eight_subscribers_take_so_much() {
    const EIGHT: usize = 8;
    const SEED: u64 = 5;
    const PICTURES: u64 = 150;
    const PACE: Duration = Duration::from_micros(33_333);
    let name = Name::new("bc-eight");
    let ring = PLACES * (SIZE + 64);
    let mut peers: Vec<Peer> = (0..EIGHT).map(|_| Peer::native()).collect();
    let mut source = vec![0; SIZE];
    let mut areas: Vec<&mut [u8]> = (0..EIGHT).map(|_| shared_memory(PLACES * SIZE)).collect();
    let before = own_memory();
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    let alone = own_memory();
    let buffers: Vec<String> =
        peers.iter_mut().map(|peer| peer.must(&format!("subscribe {} {ring}", &*name))).collect();
    assert!(broadcaster.wait_for_subscribers(EIGHT, Duration::from_secs(10)).unwrap());
    let with_all = own_memory();
    let shared: u64 = buffers
        .iter()
        .map(|buffer| {
            let file = std::fs::metadata(format!("/dev/shm/{buffer}")).unwrap();
            std::os::unix::fs::MetadataExt::blocks(&file) * 512 / 1024
        })
        .sum();
    println!(
        "memory of the broadcaster: {} KiB, with {EIGHT} subscribers {} KiB; their rings in /dev/shm: {shared} KiB",
        alone.cast_signed() - before.cast_signed(),
        with_all.cast_signed() - before.cast_signed()
    );
    for peer in &mut peers {
        peer.tell(&format!("follow {SEED} {SIZE} 0"));
    }
    let (mut plain, mut written) = (Duration::ZERO, Duration::ZERO);
    let whole = processor_time(libc::CLOCK_PROCESS_CPUTIME_ID);
    let own = processor_time(libc::CLOCK_THREAD_CPUTIME_ID);
    let begun = Instant::now();
    for key in 1..=PICTURES {
        let frame = stamped(SEED, key, SIZE as u64);
        source[..frame.len()].copy_from_slice(&frame);
        let picture = &source[..frame.len()];
        let at = key as usize % PLACES * SIZE;
        let start = processor_time(libc::CLOCK_THREAD_CPUTIME_ID);
        for area in &mut areas {
            area[at..at + frame.len()].copy_from_slice(black_box(picture));
        }
        let middle = processor_time(libc::CLOCK_THREAD_CPUTIME_ID);
        broadcaster.write(black_box(picture)).unwrap();
        written += processor_time(libc::CLOCK_THREAD_CPUTIME_ID).saturating_sub(middle);
        plain += middle.saturating_sub(start);
        thread::sleep((PACE * u32::try_from(key).unwrap()).saturating_sub(begun.elapsed()));
    }
    let took = begun.elapsed();
    let of_this_thread = processor_time(libc::CLOCK_THREAD_CPUTIME_ID).saturating_sub(own);
    let finder =
        processor_time(libc::CLOCK_PROCESS_CPUTIME_ID).saturating_sub(whole).saturating_sub(of_this_thread);
    let stats = broadcaster.stats();
    broadcaster.close().unwrap();
    for peer in &mut peers {
        assert!(Followed::parse(&peer.must_reply()).frames > 0);
        peer.must("close");
    }
    let copies = u32::try_from(stats.sent).unwrap();
    let (ours, plain) = (written / copies, plain / u32::try_from(EIGHT as u64 * PICTURES).unwrap());
    println!(
        "{} frames of {} bytes on average, {copies} copies, {} dropped: {ours:?} of processor time a copy, {:.2} of a plain one",
        stats.frames,
        stats.bytes / stats.frames,
        stats.dropped,
        ours.as_secs_f64() / plain.as_secs_f64()
    );
    println!(
        "the thread that finds subscribers: {finder:?} in {took:?}, {:.2} % of a processor",
        finder.as_secs_f64() / took.as_secs_f64() * 100.0
    );
}
