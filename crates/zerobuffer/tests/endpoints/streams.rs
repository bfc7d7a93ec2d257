//! Streams of frames between two native ends: sizes, rings, waits, write and read calls, full
//! rings, held frames.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::agent::send;
use crate::common::pattern::{fill, mix};
use crate::common::{LESS, Name, Peer, Segment, check, content, expect_error, size_of};
use zerobuffer::{BufferConfig, Error, Frame, FullRingPolicy, Outcome, Reader, Writer, WriterConfig};

const LONG: Duration = Duration::from_secs(60);

fn pair(name: &Name, ring: u64) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(ring).metadata(64)).unwrap();
    let writer = Writer::connect_with(name, WriterConfig::default().write_timeout(Some(LONG))).unwrap();
    (reader, writer)
}

#[test]
fn random_sizes_in_rings_of_every_size_between_two_processes() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for (ring, count) in [
        (64, 4000),
        (128, 4000),
        (320, 4000),
        (1024, 4000),
        (4096, 4000),
        (65_536, 2000),
        (1 << 20, 400),
        (64 << 20, 12),
    ] {
        let (name, count) = (Name::new("sizes"), (count / LESS).max(4));
        reader.must(&format!("create {} 64 {ring}", &*name));
        writer.must(&format!("connect {} 0", &*name));
        let max = ring - 16;
        writer.tell(&format!("stream 1 {count} {ring} {max} mix"));
        assert_eq!(reader.must(&format!("drain 1 {count} {ring} {max}")), format!("1 {count}"));
        writer.must_reply();
        assert_eq!(Segment::open(&name).free(), ring);
        writer.must("close");
        reader.must_fail("read 5000 0", "WriterGone");
        reader.must("close");
        name.assert_gone();
    }
}

#[test]
fn a_million_frames_in_small_rings() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for (ring, count) in [(512, 250_000), (4096, 750_000)] {
        let name = Name::new("million");
        reader.must(&format!("create {} 0 {ring}", &*name));
        writer.must(&format!("connect {} 0", &*name));
        let (count, max) = (count / LESS, ring / 4);
        writer.tell(&format!("stream 1 {count} 7 {max} mix"));
        assert_eq!(reader.must(&format!("drain 1 {count} 7 {max}")), format!("1 {count}"));
        writer.must_reply();
        writer.must("close");
        reader.must("close");
    }
}

/// 5 GiB: positions beyond 32 bits, in the ring and in the segment.
#[cfg(target_os = "linux")]
#[test]
fn a_ring_of_five_gib() {
    let ring: u64 = 5 << 30;
    // SAFETY: zeroed bytes are a valid `statvfs`, the call fills it, and the path is a terminated
    // constant.
    let free = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        assert_eq!(libc::statvfs(c"/dev/shm".as_ptr(), &raw mut stat), 0);
        stat.f_bavail * stat.f_frsize
    };
    let memory = available_memory();
    let wanted = ring + (1 << 30);
    if free < wanted || memory < wanted {
        crate::common::skipped(&format!(
            "/dev/shm has {free} and the machine {memory} bytes free, {wanted} are needed"
        ));
        return;
    }
    let name = Name::new("5gib");
    let config = BufferConfig::ring(ring).metadata(64).prefault(false);
    let mut reader = Reader::create(&name, config).unwrap();
    let mut writer = Writer::connect_with(&name, WriterConfig::default()).unwrap();
    assert_eq!((reader.capacity(), writer.max_frame_size()), (ring, ring - 16));
    // Loans of 1.2 GiB of which only both ends are filled; the last one goes round the end of the
    // ring.
    let large = 1_288_490_189_usize;
    for key in 1..=9 {
        let len = if key % 2 == 0 { 70_000 + key as usize } else { large };
        let mut loan = writer.loan(len).unwrap();
        fill(&mut loan[..4096], key);
        fill(&mut loan[len - 4096..], key + 1);
        assert_eq!(loan.commit().unwrap().sequence(), Some(key));
        let frame = reader.read_timeout(LONG).unwrap().expect("the frame is published");
        assert_eq!((frame.sequence(), frame.len()), (key, len));
        check(&frame.data()[..4096], key).unwrap();
        check(&frame.data()[len - 4096..], key + 1).unwrap();
    }
    let segment = Segment::open(&name);
    assert_eq!(segment.free(), ring);
}

#[cfg(target_os = "linux")]
fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// W11: between native ends a frame of the largest size passes from any position.
#[test]
fn the_largest_frame_passes_an_empty_ring_from_every_position() {
    for ring in [64, 128, 256] {
        // No frame has fewer than 17 bytes with its header.
        for position in (0..ring).filter(|position| *position == 0 || *position > 16) {
            let name = Name::new("largest");
            let mut reader = Reader::create(&name, BufferConfig::ring(ring).metadata(0)).unwrap();
            let config = WriterConfig::default().write_timeout(Some(LONG));
            let mut writer = Writer::connect_with(&name, config).unwrap();
            let (mut key, mut rest) = (0, position);
            while rest > 0 {
                let step = if rest >= 34 { 17 } else { rest };
                key += 1;
                writer.write(&content(key, step as usize - 16)).unwrap();
                let frame = reader.try_read().unwrap().expect("the frame is published");
                check(frame.data(), key).unwrap();
                rest -= step;
            }
            thread::scope(|scope| {
                // The bare wrap waits for the reader, so the write needs a thread of its own.
                scope.spawn(|| {
                    for later in 1..=3 {
                        let len = (ring - 16) as usize - usize::from(later == 2);
                        writer.write(&content(key + later, len)).unwrap();
                    }
                });
                for later in 1..=3 {
                    let frame = reader.read_timeout(LONG).unwrap();
                    let frame = frame.unwrap_or_else(|| panic!("ring {ring}, position {position}: stuck"));
                    assert_eq!(frame.sequence(), key + later);
                    check(frame.data(), key + later).unwrap();
                }
            });
            drop((writer, reader));
        }
    }
}

#[test]
fn every_write_call_and_its_abandonment() {
    let name = Name::new("calls");
    let (mut reader, mut writer) = pair(&name, 1024);
    let segment = Segment::open(&name);
    let mut read = |key: u64, len: usize| {
        let frame = reader.read_timeout(LONG).unwrap().expect("the frame is published");
        assert_eq!((frame.sequence(), frame.len()), (key, len));
        check(frame.data(), key).unwrap();
    };
    assert_eq!(writer.write(&content(1, 100)).unwrap(), Outcome::Sent { sequence: 1 });
    read(1, 100);
    assert_eq!(writer.try_write(&content(2, 101)).unwrap().sequence(), Some(2));
    read(2, 101);
    let data = content(3, 102);
    let parts =
        [IoSlice::new(&data[..1]), IoSlice::new(&[]), IoSlice::new(&data[1..50]), IoSlice::new(&data[50..])];
    assert_eq!(writer.write_vectored(&parts).unwrap().sequence(), Some(3));
    read(3, 102);
    let data = content(4, 102);
    let parts = [IoSlice::new(&data[..40]), IoSlice::new(&data[40..])];
    assert_eq!(writer.try_write_vectored(&parts).unwrap().sequence(), Some(4));
    read(4, 102);

    // A loan that is dropped publishes nothing and costs no space and no number.
    let before = segment.bytes(128 + 1024, 1024);
    fill(&mut writer.loan(300).unwrap(), 99);
    drop(writer.try_loan(500).unwrap());
    assert_eq!(segment.bytes(128 + 1024, 64), before[..64], "the words that readers look at");
    let mut loan = writer.loan(300).unwrap();
    fill(&mut loan, 5);
    assert_eq!(loan.commit().unwrap().sequence(), Some(5));
    read(5, 300);
    let mut loan = writer.loan(400).unwrap();
    fill(&mut loan[..10], 6);
    assert_eq!(loan.commit_len(10).unwrap().sequence(), Some(6));
    read(6, 10);
    expect_error(writer.loan(10).unwrap().commit_len(11), "InvalidCommit");
    expect_error(writer.loan(10).unwrap().commit_len(0), "InvalidCommit");

    // The same without a borrow: a second `begin` abandons the first.
    expect_error(writer.commit(1), "NothingPending");
    assert!(writer.pending().is_none() && !writer.abort());
    writer.begin(500).unwrap();
    writer.begin(30).unwrap();
    fill(writer.pending().unwrap(), 7);
    assert_eq!(writer.pending().unwrap().len(), 30);
    assert_eq!(writer.commit(30).unwrap(), 7);
    read(7, 30);
    writer.try_begin(30).unwrap();
    assert!(writer.abort());
    expect_error(writer.commit(30), "NothingPending");
    writer.write(&content(8, 1)).unwrap();
    read(8, 1);
    assert_eq!(segment.free(), 1024);
    let (sent, got) = (writer.stats(), reader.stats());
    assert_eq!((sent.frames, sent.bytes, sent.dropped), (8, 100 + 101 + 102 + 102 + 300 + 10 + 30 + 1, 0));
    assert_eq!((got.frames, got.bytes, got.skipped), (8, sent.bytes, 0));
}

#[test]
fn the_newest_frame_and_the_number_of_skipped_ones() {
    let name = Name::new("latest");
    let (mut reader, mut writer) = pair(&name, 4096);
    assert!(reader.try_latest().unwrap().is_none());
    assert!(reader.latest_timeout(Duration::from_millis(30)).unwrap().is_none());
    let (mut key, mut got) = (0, 0);
    for burst in [1, 2, 5, 17, 1, 12] {
        for _ in 0..burst {
            key += 1;
            writer.write(&content(key, 150)).unwrap();
        }
        let latest = match burst % 3 {
            0 => reader.latest().unwrap(),
            1 => reader.try_latest().unwrap().expect("frames are there"),
            _ => reader.latest_timeout(LONG).unwrap().expect("frames are there"),
        };
        assert_eq!((latest.frame.sequence(), latest.skipped), (key, burst - 1));
        got += latest.frame.len() as u64;
        check(latest.frame.data(), key).unwrap();
    }
    let stats = reader.stats();
    assert_eq!((stats.frames, stats.bytes, stats.skipped), (6, got, key - 6), "six were handed out");
    // An older frame in hand does not stop the skipping, and stays whole.
    writer.write(&content(key + 1, 150)).unwrap();
    let held = reader.try_read().unwrap().expect("a frame is there");
    for more in 2..=9 {
        writer.write(&content(key + more, 150)).unwrap();
    }
    assert_eq!(reader.try_latest().unwrap().expect("frames are there").frame.sequence(), key + 9);
    check(held.data(), key + 1).unwrap();
    drop(held);
    assert_eq!(Segment::open(&name).free(), 4096);
}

#[test]
fn full_ring_policies_and_their_counters() {
    let connect = |name: &Name, policy| {
        let config =
            WriterConfig::default().write_timeout(Some(Duration::from_millis(120))).full_ring(policy);
        Writer::connect_with(name, config).unwrap()
    };
    let fill_ring = |writer: &mut Writer| {
        for key in 1..=4 {
            writer.write(&content(key, 240)).unwrap();
        }
    };
    // Block: waits as long as configured, then says how much was missing.
    let name = Name::new("policy");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    let mut writer = connect(&name, FullRingPolicy::Block);
    fill_ring(&mut writer);
    assert!((writer.utilization() - 1.0).abs() < 1e-9 && (reader.utilization() - 1.0).abs() < 1e-9);
    let start = Instant::now();
    match writer.write(&content(5, 100)) {
        Err(Error::Full { needed: 128, free: 0, capacity: 1024, waited, .. }) => {
            assert!(waited >= Duration::from_millis(120) && waited <= start.elapsed(), "{waited:?}");
        }
        other => panic!("{other:?}"),
    }
    let stats = writer.stats();
    assert!(stats.waits == 1 && stats.blocked >= Duration::from_millis(100), "{stats:?}");
    let message = expect_error(writer.try_write(&content(5, 100)), "Full");
    assert!(message.contains("128") && message.contains("1024"), "{message}");
    // The failed attempts cost no number.
    drop(reader.try_read().unwrap());
    assert_eq!(writer.write(&content(5, 100)).unwrap().sequence(), Some(5));
    drop((writer, reader));

    let name = Name::new("policy");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    let mut writer = connect(&name, FullRingPolicy::Refuse);
    fill_ring(&mut writer);
    match writer.write(&content(5, 100)) {
        Err(Error::Full { waited, .. }) => assert_eq!(waited, Duration::ZERO),
        other => panic!("{other:?}"),
    }
    expect_error(writer.loan(100), "Full");
    assert_eq!((writer.stats().dropped, writer.stats().waits), (0, 0));
    drop(reader.try_read().unwrap());
    assert_eq!(writer.write(&content(5, 100)).unwrap().sequence(), Some(5));
    drop((writer, reader));

    let name = Name::new("policy");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    let mut writer = connect(&name, FullRingPolicy::DropNewest);
    fill_ring(&mut writer);
    assert_eq!(writer.write(&content(5, 100)).unwrap(), Outcome::Dropped);
    assert_eq!(writer.write_vectored(&[IoSlice::new(&[1; 100])]).unwrap(), Outcome::Dropped);
    assert_eq!((writer.stats().frames, writer.stats().dropped), (4, 2));
    // A loan is dropped as a write is: without an error, and counted once.
    let mut loan = writer.loan(100).unwrap();
    loan.fill(9);
    assert_eq!((loan.len(), loan.commit().unwrap()), (100, Outcome::Dropped));
    assert_eq!(writer.stats().dropped, 3);
    expect_error(writer.try_loan(100), "Full");
    assert_eq!(writer.stats().dropped, 3, "an attempt drops nothing");
    drop(reader.try_read().unwrap());
    // Dropped frames leave no gap in the numbers: a legacy reader would take one for an error.
    assert_eq!(writer.write(&content(5, 100)).unwrap().sequence(), Some(5));
    for key in 2..=5 {
        check(reader.try_read().unwrap().expect("a frame is there").data(), key).unwrap();
    }
}

/// W3: any number of frames in hand, released in any order from any thread; content never changes
/// under a holder.
#[test]
fn frames_held_and_released_in_any_order_from_other_threads() {
    let name = Name::new("held");
    let (ring, count, max) = (8192, 20_000, 400);
    let (mut reader, mut writer) = pair(&name, ring);
    thread::scope(|scope| {
        scope.spawn(|| {
            for key in 1..=count {
                send(&mut writer, key, size_of(11, key, max), "mix").unwrap();
            }
        });
        let workers: Vec<_> = (0..3_u64)
            .map(|worker| {
                let (sender, frames) = sync_channel::<Frame>(2);
                scope.spawn(move || {
                    let mut held = VecDeque::new();
                    loop {
                        let keep = match frames.recv_timeout(Duration::from_millis(2)) {
                            Ok(frame) => {
                                held.push_back(frame);
                                (mix(worker + held.len() as u64) % 5) as usize
                            }
                            // The ring may be full of what waits behind a frame held here.
                            Err(RecvTimeoutError::Timeout) => 0,
                            Err(RecvTimeoutError::Disconnected) => break,
                        };
                        while held.len() > keep {
                            let newest = mix(held.len() as u64).is_multiple_of(2);
                            let frame = if newest { held.pop_back() } else { held.pop_front() }.unwrap();
                            check(frame.data(), frame.sequence()).unwrap();
                        }
                    }
                    for frame in held {
                        check(frame.data(), frame.sequence()).unwrap();
                    }
                });
                sender
            })
            .collect();
        for key in 1..=count {
            let frame =
                reader.read_timeout(LONG).unwrap().unwrap_or_else(|| panic!("stuck before frame {key}"));
            assert_eq!(frame.sequence(), key);
            let worker = (mix(key) % 3) as usize;
            workers[worker].send(frame).unwrap();
        }
        drop(workers);
    });
    assert_eq!(Segment::open(&name).free(), ring);
    // Frames outlive their reader.
    writer.write(&content(count + 1, 50)).unwrap();
    let frame = reader.try_read().unwrap().expect("a frame is there");
    reader.close().unwrap();
    check(frame.data(), count + 1).unwrap();
    drop(frame);
    drop(writer);
    name.assert_gone();
}

/// The newest frame of one moment: beside a writer at full speed there is always a newer one.
#[test]
fn the_latest_frame_is_not_looked_for_for_ever() {
    let (name, ring, size) = (Name::new("latest"), 61_696, 8);
    let (mut reader, mut writer) = pair(&name, ring);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                writer.write(&[7; 8]).unwrap();
            }
        });
        // One more lap while it looks, and what was known before.
        let most = 2 * ring / (size + 16);
        let mut skipped = Vec::new();
        while skipped.len() < 1000 || skipped.iter().all(|&frames| frames == 0) {
            skipped.extend(reader.try_latest().unwrap().map(|latest| latest.skipped));
        }
        stop.store(true, Ordering::SeqCst);
        let longest = skipped.into_iter().max().unwrap();
        assert!(longest <= most, "{longest} frames, {most} fit in two laps");
        while reader.read_timeout(Duration::from_millis(300)).is_ok_and(|frame| frame.is_some()) {}
    });
}
