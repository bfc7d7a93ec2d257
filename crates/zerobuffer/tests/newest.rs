//! The newest frame for a slow consumer, across processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::ops::ControlFlow;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use common::{Name, Peer, check, expect_error};
use zerobuffer::{BufferConfig, Error, Newest, Patience, Writer};

const PATIENCE: Duration = Duration::from_secs(20);

fn newest(name: &Name, ring: u64) -> Newest {
    Newest::create(name, BufferConfig::ring(ring).metadata(64)).unwrap()
}

/// All that is handed out, and how many frames were passed over, until the writer has gone.
fn until_gone(newest: &mut Newest, pause: Duration) -> (Vec<u64>, u64) {
    let (mut seen, mut skipped) = (Vec::new(), 0);
    loop {
        match newest.read() {
            Ok(frame) => {
                skipped += frame.skipped();
                assert_eq!(frame.sequence(), seen.len() as u64 + 1 + skipped);
                assert_eq!(frame.data().as_ptr().align_offset(64), 0);
                seen.push(frame.sequence());
                sleep(pause);
            }
            Err(Error::WriterGone { .. }) => return (seen, skipped),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_slow_consumer_never_stops_a_writer_in_another_process() {
    let (name, mut writer) = (Name::new("newest"), Peer::native());
    let mut newest = newest(&name, 3 * 1024);
    writer.must(&format!("connect {} 0", &*name));
    writer.must("timeout 20000");
    // It holds one frame from the first to the last of the stream.
    writer.must("write 1 1000 write");
    let held = newest.read_timeout(PATIENCE).unwrap().unwrap();
    check(&held, 1).unwrap();
    for key in 2..=500 {
        writer.must(&format!("write {key} 1000 write"));
    }
    let frame = loop {
        let frame = newest.read_timeout(PATIENCE).unwrap().unwrap();
        if frame.sequence() == 500 {
            break frame;
        }
    };
    check(&frame, 500).unwrap();
    check(&held, 1).unwrap();
    let stats = newest.stats();
    assert_eq!(stats.frames + stats.skipped, 500);
    writer.kill();
    expect_error(newest.read_timeout(PATIENCE), "WriterGone");
    expect_error(newest.try_read(), "WriterGone");
    // Its successor is read as if nothing had been.
    let mut next = Peer::native();
    next.must(&format!("connect {} 0", &*name));
    next.must("write 7 1000 write");
    let frame = newest.read_timeout(PATIENCE).unwrap().unwrap();
    check(&frame, 7).unwrap();
    next.must("close");
    newest.close().unwrap();
    name.assert_gone();
    check(&frame, 7).unwrap();
}

#[test]
fn three_frames_are_enough_and_every_frame_is_handed_out_or_counted() {
    for size in [1_usize, 100, 999, 1000] {
        let slot = (size as u64 + 16).next_multiple_of(16);
        let name = Name::new("newest-three");
        let mut newest = newest(&name, (3 * slot).next_multiple_of(64));
        let mut writer = Writer::connect(&name).unwrap();
        let writing = thread::spawn(move || {
            for _ in 0..2000 {
                writer.write(&vec![1; size]).unwrap();
            }
            writer.close().unwrap();
        });
        let (seen, skipped) = until_gone(&mut newest, Duration::from_micros(50));
        writing.join().unwrap();
        assert_eq!(seen.len() as u64 + skipped, 2000, "of {size} bytes");
        assert_eq!(seen.last(), Some(&2000), "the last one is always handed out");
        let stats = newest.stats();
        assert_eq!((stats.frames, stats.skipped), (seen.len() as u64, skipped));
        assert_eq!(stats.bytes, stats.frames * size as u64);
    }
}

#[test]
fn a_ring_of_fewer_frames_is_an_error_with_the_numbers() {
    let name = Name::new("newest-small");
    let mut newest = newest(&name, 2048);
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(&[1; 1000]).unwrap();
    let message = expect_error(newest.read_timeout(PATIENCE), "RingTooSmall");
    for part in [&*name, "1000 bytes", "2048 bytes", "3072 bytes"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // It stands for one frame; a smaller one is fine, and nothing has stopped the writer.
    for _ in 0..10 {
        writer.write(&[1; 1000]).unwrap();
    }
    writer.write(&[2; 100]).unwrap();
    let start = Instant::now();
    loop {
        match newest.read_timeout(PATIENCE) {
            Ok(Some(frame)) => break assert_eq!((frame.data(), frame.sequence()), (&[2; 100][..], 12)),
            Err(Error::RingTooSmall { .. }) if start.elapsed() < PATIENCE => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn waits_end_by_time_by_hook_by_handle_and_with_the_reader() {
    let name = Name::new("newest-waits");
    let mut newest = newest(&name, 4096);
    assert!(newest.try_read().unwrap().is_none());
    let start = Instant::now();
    assert!(newest.read_timeout(Duration::from_millis(120)).unwrap().is_none());
    assert!(start.elapsed() >= Duration::from_millis(120));
    let mut stop = || ControlFlow::Break(());
    assert!(newest.read_with(&mut Patience::forever().asking(&mut stop)).unwrap().is_none());
    let handle = newest.handle();
    assert_eq!((handle.name(), handle.capacity(), handle.is_writer_connected()), (&*name, 4096, false));
    let blocked = thread::spawn(move || (newest.read().map(drop), newest));
    sleep(Duration::from_millis(50));
    handle.interrupt();
    let (result, mut newest) = blocked.join().unwrap();
    expect_error(result, "Closed");
    expect_error(newest.try_read(), "Closed");
    drop(newest);
    name.assert_gone();
    assert!(handle.metadata().unwrap().is_none());
}

/// Without memory for its copy a frame is passed over: it is counted with the next one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_frame_that_could_not_be_copied_is_counted() {
    const SIZE: usize = 16 << 20;
    // The limit is one of the whole process.
    if std::env::var_os("ZEROBUFFER_TEST_MEMORY").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_frame_that_could_not_be_copied_is_counted", "--nocapture"])
            .env("ZEROBUFFER_TEST_MEMORY", "1")
            // All of its memory counts only once it is used, and what is large goes back at once.
            .env("MALLOC_ARENA_MAX", "1")
            .env("MALLOC_MMAP_THRESHOLD_", "1048576")
            .status()
            .unwrap();
        return assert!(status.success());
    }
    let limit_memory = |more: Option<u64>| {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure outlives the calls; the hard limit stays.
        let done = unsafe {
            let read = libc::getrlimit(libc::RLIMIT_AS, &raw mut limit);
            limit.rlim_cur = more.map_or(limit.rlim_max, |more| pages * 4096 + more);
            read | libc::setrlimit(libc::RLIMIT_AS, &raw const limit)
        };
        assert_eq!(done, 0);
    };
    let name = Name::new("newest-memory");
    let mut newest = newest(&name, 4 * SIZE as u64);
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(&vec![1; SIZE]).unwrap();
    let next = vec![2; SIZE];
    limit_memory(Some(4 << 20));
    let failed = newest.read_timeout(PATIENCE).map(|frame| frame.map(|frame| frame.sequence()));
    limit_memory(None);
    let text = expect_error(failed, "Limited");
    assert!(text.contains(&*name) && text.contains("16777"), "{text}");
    assert_eq!((newest.stats().frames, newest.stats().skipped), (0, 1));
    writer.write(&next).unwrap();
    let frame = newest.read_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((frame.sequence(), frame.skipped()), (2, 1));
    assert_eq!((newest.stats().frames, newest.stats().skipped), (1, 1));
}

/// A program that waits for a signal, in a thread that blocks it, gets it.
#[cfg(target_os = "linux")]
#[test]
fn the_thread_takes_no_signal_of_the_process() {
    let name = Name::new("newest-signals");
    let _newest = newest(&name, 4096);
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let read = |task: std::path::PathBuf| std::fs::read_to_string(task.join("status")).ok();
        let ours = |status: &String| status.starts_with("Name:\tzb-newest\n");
        tasks.filter_map(read).filter(ours).collect::<Vec<_>>()
    };
    let takes = |status: &String| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        let blocked = u64::from_str_radix(mask, 16).unwrap();
        [libc::SIGINT, libc::SIGTERM, libc::SIGALRM, libc::SIGUSR1].map(|signal| blocked >> (signal - 1) & 1)
            != [1; 4]
    };
    // One that was just started has not come so far yet.
    let begun = Instant::now();
    while threads().is_empty() || threads().iter().any(takes) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", threads());
        sleep(Duration::from_millis(10));
    }
}
