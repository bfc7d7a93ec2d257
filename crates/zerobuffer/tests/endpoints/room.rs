//! What a ring of a size holds, with default settings, whichever end pauses, holds or bursts; and
//! how a writer learns of returned space.

use crate::common::{Name, Peer, check, content};
use std::{
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, Error, Frame, FullRingPolicy, Reader, Writer, WriterConfig};

const LONG: Duration = Duration::from_secs(60);

/// What a frame takes from the ring.
fn total(size: usize) -> u64 {
    (size as u64 + 16).next_multiple_of(16)
}

fn pair(name: &Name, ring: u64) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(ring).metadata(0)).unwrap();
    (reader, Writer::connect(name).unwrap())
}

fn next(reader: &mut Reader, key: u64) -> Frame {
    let frame = reader.read_timeout(LONG).unwrap().unwrap_or_else(|| panic!("frame {key} has not come"));
    assert_eq!(frame.sequence(), key);
    check(frame.data(), key).unwrap();
    frame
}

/// A paced stream first: whatever the writer has learnt of its reader, the ring takes what its size
/// says.
fn pace(reader: &mut Reader, writer: &mut Writer, frames: u64, size: usize) {
    for key in 1..=frames {
        writer.write(&content(key, size)).unwrap();
        drop(next(reader, key));
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_burst_after_a_paced_stream_finds_the_whole_ring() {
    for (ring, size) in [(32 << 20, 900_000), (1 << 20, 40_000), (64 << 10, 1000), (8 << 10, 100)] {
        let name = Name::new("burst");
        let (mut reader, mut writer) = pair(&name, ring);
        pace(&mut reader, &mut writer, 20, size);
        let fit = ring / total(size);
        for key in 21..21 + fit {
            writer
                .try_write(&content(key, size))
                .unwrap_or_else(|error| panic!("{size} bytes, {key}: {error}"));
        }
        for key in 21..21 + fit {
            drop(next(&mut reader, key));
        }
    }
}

#[test]
fn a_reader_that_holds_frames_gets_all_that_the_ring_has_room_for() {
    for size in [100, 900_000] {
        let (name, frames) = (Name::new("held"), 10);
        let (mut reader, mut writer) = pair(&name, frames * (size as u64 + 16));
        pace(&mut reader, &mut writer, 3 * frames, size);
        let first = 3 * frames + 1;
        let held: Vec<_> = (first..first + frames - 1)
            .map(|key| {
                writer.try_write(&content(key, size)).unwrap_or_else(|error| panic!("{key}: {error}"));
                next(&mut reader, key)
            })
            .collect();
        assert_eq!(held.len() as u64, frames - 1);
    }
}

/// A detector of several frame times on a camera: the ring takes what comes meanwhile, and `latest`
/// the newest.
#[test]
fn a_slow_detector_costs_no_frame_that_the_ring_has_room_for() {
    let (name, size, depth) = (Name::new("detector"), 300_000, 8);
    let (mut reader, mut writer) = pair(&name, depth * (size as u64 + 16));
    let (mut key, mut seen) = (0, 0);
    for _ in 0..12 {
        let latest = reader.try_latest().unwrap();
        seen = latest.as_ref().map_or(seen, |latest| latest.frame.sequence());
        // While it works on one, five more come.
        for _ in 0..5 {
            key += 1;
            writer.try_write(&content(key, size)).unwrap_or_else(|error| panic!("frame {key}: {error}"));
        }
        assert!(latest.is_none_or(|latest| latest.frame.sequence() + 5 == key));
    }
    assert_eq!(reader.latest().unwrap().frame.sequence(), key);
    assert!(seen > 0);
}

/// The reader is stopped while it sleeps, and again while it is at work.
#[cfg(target_os = "linux")]
#[test]
fn a_stopped_reader_leaves_the_whole_ring() {
    let (name, size, depth) = (Name::new("stopped"), 500_000_usize, 16);
    let mut peer = Peer::native();
    peer.must(&format!("create {} 0 {}", &*name, depth * (size as u64 + 16)));
    let mut writer = Writer::connect_with(&name, WriterConfig::default().connect_timeout(LONG)).unwrap();
    let mut key = 0;
    for asleep in [true, false] {
        // A paced stream that the reader reads out of its sleep.
        peer.tell(&format!("drain {} 20 0 {size}", key + 1));
        for _ in 0..20 {
            key += 1;
            writer.write(&content(key, crate::common::size_of(0, key, size as u64))).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        peer.must_reply();
        if asleep {
            peer.tell(&format!("drain {} {} 1 {size}", key + 1, depth - 1));
            thread::sleep(Duration::from_millis(30));
        }
        send_signal(&peer, libc::SIGSTOP);
        thread::sleep(Duration::from_millis(10));
        let first = key + 1;
        for _ in 0..depth - 1 {
            key += 1;
            let frame = content(key, crate::common::size_of(1, key, size as u64));
            writer.try_write(&frame).unwrap_or_else(|error| panic!("asleep {asleep}, frame {key}: {error}"));
        }
        send_signal(&peer, libc::SIGCONT);
        if !asleep {
            peer.tell(&format!("drain {first} {} 1 {size}", depth - 1));
        }
        peer.must_reply();
    }
}

#[cfg(target_os = "linux")]
fn send_signal(peer: &Peer, signal: i32) {
    // SAFETY: takes plain numbers.
    assert_eq!(unsafe { libc::kill(peer.pid() as i32, signal) }, 0);
}

/// The other end needs released space later, and learns of it by nothing that this end still does.
#[test]
fn released_space_is_usable_without_a_further_call() {
    for ring in [256, 8 << 10, 64 << 10, 1 << 20] {
        let name = Name::new("usable");
        let (mut reader, mut writer) = pair(&name, ring);
        let total = (ring / 32).max(32);
        let size = total as usize - 16;
        let fit = ring / total;
        for key in 1..=fit {
            writer.try_write(&content(key, size)).unwrap();
        }
        // More frames are known to the reader; one is released.
        drop(next(&mut reader, 1));
        writer.try_write(&content(fit + 1, size)).unwrap_or_else(|error| panic!("ring {ring}: {error}"));
    }
}

/// Two processes over two buffers: each reads, releases, and waits for the other's next batch. A
/// writer that begins to wait after a release finds its space.
#[test]
fn lockstep_over_two_buffers_never_sleeps_beside_space() {
    for ring in [8_u64 << 10, 64 << 10, 1 << 20] {
        let size = (ring / 64) as usize - 16;
        let (there, back) = (Name::new("there"), Name::new("back"));
        let mut peer = Peer::native();
        peer.must(&format!("create {} 0 {ring}", &*there));
        let mut reader = Reader::create(&back, BufferConfig::ring(ring).metadata(0)).unwrap();
        let mut writer = Writer::connect(&there).unwrap();
        peer.must(&format!("connect {} 1000", &*back));
        let (mut sent, mut got) = (0, 0);
        let full = ring / (size as u64 + 16);
        let started = Instant::now();
        for round in 0..30 {
            // As much as the ring takes; then the peer takes one, and the next is due at once.
            while sent < got + full {
                sent += 1;
                writer.write(&content(sent, size)).unwrap();
            }
            got += 1;
            peer.must(&format!("read 60000 {got}"));
            peer.must(&format!("write {} 10 write", round + 1));
            drop(next(&mut reader, round + 1));
            sent += 1;
            writer.write(&content(sent, size)).unwrap_or_else(|error| panic!("ring {ring}: {error}"));
        }
        assert!(started.elapsed() < LONG);
    }
}

/// One thread, both ends: nothing waits for anybody else.
#[test]
fn one_thread_writes_and_reads_in_turn() {
    for ring in [256_u64, 4096, 1 << 20] {
        let name = Name::new("turns");
        let (mut reader, mut writer) = pair(&name, ring);
        let most = ring / 2 - 48;
        for key in 1..400 {
            let size = (key * 37) % most + 1;
            writer.try_write(&content(key, size as usize)).unwrap_or_else(|error| panic!("{size}: {error}"));
            drop(next(&mut reader, key));
        }
    }
}

/// Sizes from one byte to all of the ring, one frame at a time. With the whole ring in use the
/// writer does not go back to the start, so the positions are others.
#[test]
fn every_size_passes_a_drained_ring_from_every_position() {
    const RING: usize = 256;
    for whole in [false, true] {
        let name = Name::new("sizes");
        let mut reader = Reader::create(&name, BufferConfig::ring(RING as u64).metadata(0)).unwrap();
        let mut writer = Writer::connect_with(&name, WriterConfig::default().whole_ring(whole)).unwrap();
        let mut key = 0;
        for step in (32..=RING).step_by(16) {
            for size in 1..=RING - 16 {
                for size in [step - 16, size] {
                    key += 1;
                    writer
                        .try_write(&content(key, size))
                        .unwrap_or_else(|error| panic!("{size} behind {step}, whole ring {whole}: {error}"));
                    drop(next(&mut reader, key));
                }
            }
        }
    }
}

/// Whichever of the frames wait and whichever are held: those that the ring has no room for are
/// dropped, and no other one.
#[test]
fn frames_are_dropped_exactly_when_the_ring_is_exceeded() {
    let (name, size, depth, more) = (Name::new("dropped"), 1000, 12, 3);
    let ring = depth * total(size);
    let mut reader = Reader::create(&name, BufferConfig::ring(ring).metadata(0)).unwrap();
    let config = WriterConfig::default().full_ring(FullRingPolicy::DropNewest);
    let mut writer = Writer::connect_with(&name, config).unwrap();
    // What the buffer's size was rounded up to takes some more.
    let depth = writer.capacity() / total(size);
    let (mut key, mut read) = (0, 0);
    for holds in 0..=depth {
        for _ in 0..depth {
            key += 1;
            let outcome = writer.write(&content(key, size)).unwrap();
            assert_eq!(outcome.sequence(), Some(key), "{holds} are to be held");
        }
        let mut take = || {
            read += 1;
            next(&mut reader, read)
        };
        let held: Vec<Frame> = (0..holds).map(|_| take()).collect();
        for _ in 0..more {
            assert_eq!(writer.write(&content(key, size)).unwrap().sequence(), None, "{holds} are held");
        }
        for frame in &held {
            check(frame.data(), frame.sequence()).unwrap();
        }
        drop(held);
        (holds..depth).for_each(|_| drop(take()));
    }
    assert_eq!(writer.stats().dropped, more * (depth + 1));
}

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const SIZES: [usize; 7] = [1, 16, 17, 100, 1000, 5000, 16_000];

/// Since the ring was last drained: all of it, however the frames are given back.
#[test]
fn a_drained_ring_takes_what_its_size_says_in_any_order_of_release() {
    let mut dice = Dice(1);
    for size in SIZES {
        let (name, ring) = (Name::new("drained"), 16_384);
        let (mut reader, mut writer) = pair(&name, ring);
        let (fit, mut key) = (ring / total(size), 0);
        for _ in 0..40 {
            let mut held: Vec<Frame> = Vec::new();
            for _ in 0..fit {
                key += 1;
                writer.try_write(&content(key, size)).unwrap_or_else(|error| {
                    panic!("{size} bytes, {} of {fit} are held: {error}", held.len())
                });
                held.push(next(&mut reader, key));
            }
            let Err(Error::Full { needed, free, largest_gap, held: outstanding, .. }) =
                writer.try_write(&content(key, size))
            else {
                panic!("{} frames of {size} bytes in {ring}", fit + 1)
            };
            let left = ring - fit * total(size);
            assert_eq!((needed, free, outstanding), (total(size), left, ring - left), "{size}");
            assert!(largest_gap <= free, "{largest_gap} of {free}");
            while !held.is_empty() {
                let frame = held.swap_remove(dice.roll(held.len()));
                check(frame.data(), frame.sequence()).unwrap();
            }
        }
    }
}

/// The same after frames of other sizes, loans that were committed with less among them. The writer
/// has not looked at its reader since.
#[test]
fn a_drained_ring_takes_what_its_size_says_after_frames_of_other_sizes() {
    let mut dice = Dice(2);
    let mut histories = 0;
    for ring in [320, 1024, 4096, 10_048, 1 << 18] {
        let (name, mut key) = (Name::new("sizes"), 0);
        let (mut reader, mut writer) = pair(&name, ring);
        for _ in 0..400 {
            let most = ring as usize - 16;
            let mut sent = 0;
            for _ in 0..dice.roll(5) {
                let largest = [most / 64 + 1, most / 8, most][dice.roll(3)];
                let size = 1 + dice.roll(largest);
                let Ok(mut loan) = writer.try_loan(size) else { break };
                let len = if dice.roll(2) == 0 { size } else { 1 + dice.roll(size) };
                loan[..len].copy_from_slice(&content(key + 1, len));
                loan.commit_len(len).unwrap();
                (key, sent) = (key + 1, sent + 1);
            }
            (1..=sent).for_each(|back| drop(next(&mut reader, key - sent + back)));
            let largest = [most / 16, most / 3, most][dice.roll(3)];
            let size = 1 + dice.roll(largest).max(most / 600);
            let fit = ring / total(size);
            for number in 0..fit {
                key += 1;
                writer.try_write(&content(key, size)).unwrap_or_else(|error| {
                    panic!("a ring of {ring}, {size} bytes, {number} of {fit}: {error}")
                });
            }
            let error = writer.try_write(&content(key + 1, size)).unwrap_err();
            assert!(matches!(error, Error::Full { .. }), "{error}");
            (1..=fit).for_each(|back| drop(next(&mut reader, key - fit + back)));
            histories += 1;
        }
    }
    println!("{histories} histories");
}

/// The same at every step of a frame's and of a ring's size. Before that loans are given up, frames
/// are given back in any order, and writers leave.
#[test]
fn a_drained_ring_takes_what_its_size_says_whatever_its_writers_did_before() {
    let (mut dice, mut histories) = (Dice(7), 0);
    for ring in (64..=704).step_by(64).chain([5056, 1 << 20]) {
        let (name, mut key) = (Name::new("before"), 0);
        let (mut reader, mut writer) = pair(&name, ring);
        for round in 0..if cfg!(windows) { 8 } else { 120 } {
            let mut held: Vec<Frame> = Vec::new();
            for _ in 0..dice.roll(9) {
                let most = ring as usize - 16;
                let largest = [32, most / 5 + 1, most][dice.roll(3)].min(most);
                let size = 1 + dice.roll(largest);
                match dice.roll(5) {
                    0 => drop(writer.try_loan(size)),
                    1 => {
                        // It leaves, in the middle of a loan or not.
                        let _ = writer.try_loan(size);
                        drop(writer);
                        held.clear();
                        writer = Writer::connect(&name).unwrap();
                    }
                    2 if !held.is_empty() => drop(held.swap_remove(dice.roll(held.len()))),
                    _ => {
                        if let Ok(sequence) = writer.try_write(&content(key + 1, size)) {
                            key += 1;
                            assert_eq!(sequence.sequence(), Some(key));
                            held.push(next(&mut reader, key));
                        }
                    }
                }
            }
            while !held.is_empty() {
                drop(held.swap_remove(dice.roll(held.len())));
            }
            let size = (1 + 16 * round).min(1 + dice.roll(ring as usize - 16));
            let fit = ring / total(size);
            for number in 0..fit {
                key += 1;
                writer.try_write(&content(key, size)).unwrap_or_else(|error| {
                    panic!("a ring of {ring}, {size} bytes, {number} of {fit}: {error}")
                });
            }
            (1..=fit).for_each(|back| drop(next(&mut reader, key - fit + back)));
            histories += 1;
        }
    }
    println!("{histories} histories");
}

/// After any history of frames of one size: all but one sixteen bytes a frame. Space is given back
/// in order.
#[test]
fn a_ring_with_a_history_takes_what_its_size_says() {
    for size in SIZES {
        let (name, ring) = (Name::new("history"), 16_384);
        let (mut reader, mut writer) = pair(&name, ring);
        let fit = ring / (total(size) + 16);
        let (mut dice, mut key, mut held) = (Dice(size as u64), 0, Vec::<Frame>::new());
        for step in 0..20_000 {
            let oldest = held.iter().map(Frame::sequence).min();
            let outstanding = oldest.map_or(0, |oldest| key + 1 - oldest);
            if outstanding < fit && dice.roll(3) > 0 {
                key += 1;
                writer.try_write(&content(key, size)).unwrap_or_else(|error| {
                    panic!("step {step}, {size} bytes, {outstanding} of {fit}: {error}")
                });
                held.push(next(&mut reader, key));
            } else if !held.is_empty() {
                let frame = held.swap_remove(dice.roll(held.len()));
                check(frame.data(), frame.sequence()).unwrap();
            }
        }
    }
}

/// Between ends of this library; another writer's frames may begin anywhere.
#[test]
fn payloads_are_aligned() {
    let name = Name::new("aligned");
    let (mut reader, mut writer) = pair(&name, 8192);
    let mut dice = Dice(3);
    for key in 1..=2000 {
        let size = 1 + dice.roll(1500);
        let mut loan = writer.loan(size).unwrap();
        assert_eq!(loan.as_ptr().addr() % 16, 0, "a loan of {size} bytes");
        loan.copy_from_slice(&content(key, size));
        loan.commit().unwrap();
        let frame = next(&mut reader, key);
        assert_eq!(frame.as_ptr().addr() % 16, 0, "a frame of {size} bytes");
    }
}
