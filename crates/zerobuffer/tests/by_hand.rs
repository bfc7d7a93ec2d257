//! Peers made by hand: what another implementation leaves in shared memory between two of its
//! stores.
// glibc semaphores and OFD locks are made by hand here.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use common::segment::{self, FREE, READ_POS, READER_PID, WRITE_POS, WRITER_PID, WRITTEN_COUNT};
use common::{Name, Segment, expect_error};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig, observe};

const RING: u64 = 256;

/// A process that lives, and whose pid stands for another implementation's endpoint.
struct Other(Child);

impl Other {
    fn start() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn pid(&self) -> u64 {
        self.0.id().into()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A native reader whose registered writer is a process of another implementation.
fn beside_a_legacy_writer(case: &str) -> (Name, Other, Reader, Segment) {
    let (name, old) = (Name::new(case), Other::start());
    let reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let segment = Segment::open(&name);
    segment.set(WRITER_PID, old.pid());
    (name, old, reader, segment)
}

/// A legacy writer's frame, without the charge and the token.
fn put_frame(segment: &Segment, at: u64, sequence: u64, payload: &[u8]) -> u64 {
    let header = segment.ring() + at;
    segment.set(header, payload.len() as u64);
    segment.set(header + 8, sequence);
    segment.put(header + 16, payload);
    at + 16 + payload.len() as u64
}

fn publish(name: &Name, segment: &Segment, at: u64, sequence: u64, payload: &[u8]) -> u64 {
    let end = put_frame(segment, at, sequence, payload);
    segment.set(WRITE_POS, end);
    segment.set(FREE, segment.free() - (end - at));
    segment.set(WRITTEN_COUNT, segment.get(WRITTEN_COUNT) + 1);
    name.post_data();
    end
}

#[test]
fn a_legacy_writer_at_its_first_wrap_has_not_filled_the_ring() {
    let (name, _old, mut reader, segment) = beside_a_legacy_writer("hand-wrap");
    let mut at = 0;
    for sequence in 1..=3 {
        at = publish(&name, &segment, at, sequence, &[7; 44]);
        assert_eq!(reader.read().unwrap().sequence(), sequence);
    }
    // The marker is there and the tail is charged; the position moves later.
    segment.put(segment.ring() + at, &[0; 16]);
    segment.set(FREE, segment.free() - (RING - at));
    assert!(reader.read_timeout(Duration::from_millis(200)).unwrap().is_none(), "a frame was read again");
    segment.set(WRITE_POS, 0);
    at = 0;
    for sequence in 4..=5 {
        at = publish(&name, &segment, at, sequence, &[8; 84]);
        let frame = reader.read().unwrap();
        assert_eq!((frame.sequence(), frame.data()), (sequence, &[8; 84][..]));
    }
    segment.set(WRITER_PID, 0);
    assert!(matches!(reader.read(), Err(Error::WriterGone { .. })));
    assert_eq!(segment.free(), RING);
}

#[cfg_attr(macos_sys, ignore = "macOS does not tell the value of a semaphore")]
#[test]
fn waiting_for_a_legacy_writer_leaves_its_token() {
    let (name, old) = (Name::new("hand-token"), Other::start());
    let mut reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let segment = Segment::open(&name);
    let waiting = thread::spawn(move || (reader.wait_for_writer(Duration::from_secs(60)).unwrap(), reader));
    thread::sleep(Duration::from_millis(50));
    segment.set(WRITER_PID, old.pid());
    publish(&name, &segment, 0, 1, b"first");
    let (attached, mut reader) = waiting.join().unwrap();
    assert!(attached);
    assert_eq!(observe::inspect(&name).unwrap().data_tokens, Some(1));
    assert_eq!(reader.read().unwrap().data(), b"first");
}

/// Publishes one frame with its token, which is all that a look without waiting may need.
fn expect_at_once(reader: &mut Reader, name: &Name, segment: &Segment, at: u64, sequence: u64) -> u64 {
    let end = publish(name, segment, at, sequence, b"prompt");
    let frame = reader.try_read().unwrap().expect("its token was taken for that of an earlier frame");
    assert_eq!(frame.sequence(), sequence);
    end
}

#[test]
fn looking_for_a_legacy_writer_uses_up_no_token() {
    let (name, _old, mut reader, segment) = beside_a_legacy_writer("hand-look");
    let at = publish(&name, &segment, 0, 1, b"first");
    for _ in 0..2 {
        assert!(reader.wait_for_writer(Duration::from_secs(60)).unwrap());
        thread::sleep(Duration::from_millis(120));
    }
    assert_eq!(reader.try_read().unwrap().unwrap().sequence(), 1);
    expect_at_once(&mut reader, &name, &segment, at, 2);
}

#[test]
fn a_late_token_of_a_legacy_writer_is_counted_once() {
    let (name, _old, mut reader, segment) = beside_a_legacy_writer("hand-late");
    assert!(reader.read_timeout(Duration::from_millis(70)).unwrap().is_none());
    let at = put_frame(&segment, 0, 1, b"late");
    segment.set(FREE, RING - at);
    segment.set(WRITE_POS, at);
    thread::scope(|scope| {
        scope.spawn(|| {
            // About when the position has stood still for long enough to go without the token.
            thread::sleep(Duration::from_millis(60));
            name.post_data();
        });
        assert_eq!(reader.read().unwrap().sequence(), 1);
    });
    // Whether it was read with its token or without: after both have come none is owed.
    assert!(reader.try_read().unwrap().is_none());
    expect_at_once(&mut reader, &name, &segment, at, 2);
}

#[test]
fn tokens_of_a_writer_that_left_vouch_for_nothing() {
    let (name, old) = (Name::new("hand-surplus"), Other::start());
    let mut reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let segment = Segment::open(&name);
    for _ in 0..3 {
        writer.write(b"read by its position").unwrap();
        assert!(reader.try_read().unwrap().is_some());
    }
    writer.close().unwrap();
    let gone = reader.read_timeout(Duration::from_secs(60));
    assert!(matches!(gone, Err(Error::WriterGone { .. })));
    assert_eq!(observe::inspect(&name).unwrap().data_tokens, Some(0));
    segment.set(WRITER_PID, old.pid());
    let at = segment.get(WRITE_POS);
    let end = put_frame(&segment, at, 4, b"no token yet");
    segment.set(FREE, RING - (end - at));
    segment.set(WRITE_POS, end);
    assert!(reader.try_read().unwrap().is_none());
    name.post_data();
    assert_eq!(reader.try_read().unwrap().unwrap().sequence(), 4);
}

#[test]
fn a_replaced_writer_stays_replaced() {
    let (name, intruder) = (Name::new("hand-replaced"), Other::start());
    let _reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(b"one").unwrap();
    let segment = Segment::open(&name);
    segment.set(WRITER_PID, intruder.pid());
    expect_error(writer.write(b"two"), "Replaced");
    // It has published something, and has left.
    segment.set(WRITER_PID, 0);
    expect_error(writer.write(b"two"), "Replaced");
    assert_eq!(segment.get(WRITER_PID), 0, "the place was taken again");
    segment.set(WRITER_PID, intruder.pid());
    let tokens = || observe::inspect(&name).unwrap().data_tokens;
    let before = tokens();
    drop(writer);
    assert_eq!(tokens(), before, "a token without a frame beside an old writer");
}

#[test]
fn a_writer_that_is_replaced_while_it_fills_a_loan_publishes_nothing() {
    let (name, intruder) = (Name::new("hand-loan"), Other::start());
    let _reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let segment = Segment::open(&name);
    let loan = writer.loan(20).unwrap();
    segment.set(WRITER_PID, intruder.pid());
    expect_error(loan.commit(), "Replaced");
    assert_eq!((segment.native(segment::PUBLISHED), segment.free()), (0, RING));
    expect_error(writer.write(b"two"), "Replaced");
}

#[test]
fn a_frame_that_was_never_charged_is_credited_without_harm() {
    let (name, old) = (Name::new("uncharged"), Other::start());
    let mut bytes = segment::by_hand(0, RING, old.pid());
    let crashed_at = 100_u64;
    bytes[WRITE_POS as usize..][..8].copy_from_slice(&crashed_at.to_le_bytes());
    bytes[WRITTEN_COUNT as usize..][..8].copy_from_slice(&1_u64.to_le_bytes());
    bytes[128..136].copy_from_slice(&84_u64.to_le_bytes());
    bytes[136..144].copy_from_slice(&1_u64.to_le_bytes());
    let segment = plant(&name, &bytes);
    for drained_first in [false, true] {
        if drained_first {
            segment.set(READ_POS, crashed_at);
            segment.set(FREE, RING + crashed_at);
            segment.set(WRITE_POS, crashed_at);
        }
        let mut writer = Writer::connect(&name).unwrap();
        // 100 bytes are unread, or the positions are equal: 156 or 256 bytes are free in truth.
        writer.try_write(&[1; 84]).unwrap();
        if !drained_first {
            expect_error(writer.try_write(&[1; 84]), "Full");
            segment.set(READ_POS, 200);
            segment.set(FREE, RING + crashed_at);
        }
        writer.try_write(&[1; 40]).unwrap();
        writer.close().unwrap();
    }
}

/// A buffer of a legacy reader: a segment without the mark, two semaphores, no locks.
fn plant(name: &Name, bytes: &[u8]) -> Segment {
    std::fs::write(name.shm(), bytes).unwrap();
    for path in name.semaphores() {
        std::fs::write(path, segment::semaphore_by_hand(0)).unwrap();
    }
    Segment::open(name)
}

/// W8: in a container a legacy endpoint that was process 1 is followed by a native one that is
/// process 1.
#[test]
fn a_legacy_endpoint_that_had_this_pid_is_dead() {
    let (name, own) = (Name::new("hand-own"), u64::from(std::process::id()));
    let segment = plant(&name, &segment::by_hand(64, RING, own));
    assert!(observe::inspect(&name).unwrap().reader.is_some_and(|peer| peer.pid == own && !peer.alive));
    let text = expect_error(Writer::connect(&name), "NotReady");
    assert!(text.contains("its reader is dead"), "{text}");
    let mut reader = Reader::create(&name, BufferConfig::ring(RING).metadata(64)).unwrap();
    assert_eq!(segment.get(READER_PID), 0, "the dead reader's segment");
    let segment = Segment::open(&name);
    segment.set(WRITER_PID, own);
    assert!(!reader.is_writer_connected());
    assert!(observe::inspect(&name).unwrap().writer.is_some_and(|peer| !peer.alive));
    expect_error(reader.read_timeout(Duration::from_secs(10)), "WriterGone");
}

#[test]
fn a_writer_that_waits_for_a_legacy_reader_behind_a_wrap_sleeps() {
    let (name, old) = (Name::new("hand-asleep"), Other::start());
    let segment = plant(&name, &segment::by_hand(0, 1024, old.pid()));
    let config = WriterConfig::default().write_timeout(Some(Duration::from_secs(1)));
    let mut writer = Writer::connect_with(&name, config).unwrap();
    writer.write(&[1; 384]).unwrap();
    writer.write(&[1; 384]).unwrap();
    segment.set(READ_POS, 400);
    segment.set(FREE, 1024 - 400);
    // Wraps, and skips 224 bytes; the reader credits them at the marker, and holds the frame before
    // it.
    writer.write(&[2; 284]).unwrap();
    segment.set(READ_POS, 0);
    segment.set(FREE, 100 + 224);
    let waiting = thread::spawn(move || writer.write(&[3; 284]));
    // Processor time would say little: a busy wait that yields gets none on a busy machine.
    let [_, space] = name.semaphores();
    let sleepers = || u32::from_le_bytes(std::fs::read(&space).unwrap()[4..8].try_into().unwrap());
    let mut slept = false;
    while !waiting.is_finished() {
        slept |= sleepers() > 0;
        thread::sleep(Duration::from_millis(1));
    }
    expect_error(waiting.join().unwrap(), "Full");
    assert!(slept, "the writer has waited without sleeping");
}

#[test]
fn unread_bytes_that_overlap_a_held_frame_are_corrupt() {
    let name = Name::new("hand-overlap");
    let mut reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(&[1; 84]).unwrap();
    let held = reader.read().unwrap();
    let segment = Segment::open(&name);
    put_frame(&segment, 112, 2, &[2; 140]);
    segment.set_native(segment::PUBLISHED, 272);
    let text = expect_error(reader.try_read().map(drop), "Corrupt");
    assert!(text.contains("published = 272"), "{text}");
    assert_eq!(held.data(), [1; 84]);
}

/// Holds or frees one of the segment's presence bytes, as another endpoint of this implementation
/// would.
fn hold_byte(file: &File, kind: i32, byte: i64) {
    // SAFETY: a zeroed `flock` is valid, the descriptor is open, and the structure outlives the
    // call.
    unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = kind as libc::c_short;
        lock.l_start = byte;
        lock.l_len = 1;
        assert_eq!(libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock), 0, "byte {byte}");
    }
}

#[test]
fn a_legacy_writer_outlives_an_attempt_to_take_its_place() {
    let (name, old, mut reader, segment) = beside_a_legacy_writer("hand-attempt");
    let mut read_for = |millis| {
        let read = reader.read_timeout(Duration::from_millis(millis));
        assert!(read.unwrap().is_none(), "the writer lives and writes nothing");
    };
    read_for(120);
    // An attach holds the claim, and the writer's byte whenever it looks who is registered.
    let attempt = OpenOptions::new().read(true).write(true).open(name.shm()).unwrap();
    hold_byte(&attempt, libc::F_WRLCK, 2);
    hold_byte(&attempt, libc::F_WRLCK, 1);
    read_for(120);
    hold_byte(&attempt, libc::F_UNLCK, 1);
    read_for(120);
    drop(attempt);
    read_for(120);
    assert_eq!(segment.get(WRITER_PID), old.pid(), "a live writer was taken for dead");
}

#[test]
fn a_writer_announces_its_level_although_another_ones_is_still_there() {
    let name = Name::new("hand-level");
    let _reader = Reader::create(&name, BufferConfig::ring(RING).metadata(0)).unwrap();
    // What its predecessor holds until it has closed.
    let closing = OpenOptions::new().read(true).write(true).open(name.shm()).unwrap();
    hold_byte(&closing, libc::F_WRLCK, 128);
    let attaching = thread::spawn({
        let name = name.to_string();
        move || Writer::connect(&name)
    });
    thread::sleep(Duration::from_millis(50));
    drop(closing);
    let _writer = attaching.join().unwrap().unwrap();
    assert_eq!(observe::inspect(&name).unwrap().writer.map(|writer| writer.level), Some(4));
}

#[test]
fn late_tokens_of_a_legacy_writer_do_not_keep_a_waiting_reader_busy() {
    let (name, _old, mut reader, segment) = beside_a_legacy_writer("hand-late");
    let at = publish(&name, &segment, 0, 1, b"one");
    assert_eq!(reader.read().unwrap().sequence(), 1);
    // Published without its token, found because it stands still; the token comes afterwards.
    let end = put_frame(&segment, at, 2, b"two");
    segment.set(WRITE_POS, end);
    segment.set(FREE, segment.free() - (end - at));
    assert_eq!(reader.read().unwrap().sequence(), 2);
    // Whether a wait spins depends on those before it: some of these do.
    let (wall, cpu) = (Instant::now(), cpu_time());
    for _ in 0..8 {
        assert!(reader.read_timeout(Duration::from_millis(1)).unwrap().is_none());
        name.post_data();
        assert!(reader.read_timeout(Duration::from_millis(60)).unwrap().is_none());
    }
    let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
    assert!(cpu < wall / 10, "{cpu:?} of processor time in {wall:?} of waiting");
    publish(&name, &segment, end, 3, b"three");
    assert_eq!(reader.read().unwrap().data(), b"three");
}

/// Processor time of this thread.
fn cpu_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}
