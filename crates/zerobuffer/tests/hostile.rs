//! Hostile or damaged shared memory: every control field and header field, by extremes and by
//! single bits.
//!
//! Native ends answer with an error or ignore what they do not need; they never crash, hang or read
//! elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::segment::{self, CREDITED, METADATA, METADATA_WRITTEN, PUBLISHED, READ_POS};
use common::{LESS, Name, Peer, Segment};

const RING: u64 = 1024;
/// Pairs of processes; they sleep most of the time.
const WORKERS: usize = 10;
/// Where frame 3 of [`start`] lies in the ring: in the first place, which is free again.
const THIRD: u64 = 0;

/// What a peer may say about memory that is not as it should be.
const ANSWERS: &[&str] = &[
    "ok",
    "err Corrupt",
    "err Sequence",
    "err WriterGone",
    "err ReaderGone",
    "err Full",
    "err Version",
    "err Replaced",
    "err NotReady",
    "err WriterAlreadyConnected",
    "err CrashNotNoticed",
    "err MetadataAlreadyWritten",
    "err MetadataTooLarge",
    "err Wrong: content of frame",
    "err FrameTooLarge",
    "err Unplaceable",
    "err NotFound",
];

/// A buffer with metadata, two frames read, and a third one of 100 bytes unread.
fn start(reader: &mut Peer, writer: &mut Peer, name: &Name) -> Segment {
    reader.must(&format!("create {} 64 {RING}", &**name));
    writer.must(&format!("connect {} 0", &**name));
    writer.must("timeout 10");
    writer.must("set-meta 9 20");
    for key in 1..=3 {
        writer.must(&format!("write {key} 100 write"));
        if key < 3 {
            reader.must(&format!("read 1000 {key}"));
        }
    }
    Segment::open(name)
}

/// Lets both ends do everything they can with the memory as it is now.
fn exercise(reader: &mut Peer, writer: &mut Peer, name: &Name, what: &str) {
    let begin = Instant::now();
    let attach = format!("connect {} 0", &**name);
    let script: [(bool, &str); 13] = [
        (true, "connected"),
        (true, "get-meta 9"),
        (true, "read 10 3"),
        (false, "connected"),
        (false, "write 4 100 write"),
        (false, "write 5 900 loan"),
        (true, "read 10 4"),
        (true, "read 10 5"),
        (false, "close"),
        (false, &attach),
        (false, "timeout 10"),
        (false, "write 6 400 write"),
        (true, "read 10 6"),
    ];
    let mut attached = true;
    for (reading, command) in script {
        let needs_writer = command == "timeout 10" || command.starts_with("write 6");
        if needs_writer && !attached {
            continue;
        }
        let peer = if reading { &mut *reader } else { &mut *writer };
        let reply = peer.ask(command);
        if command == attach {
            attached = reply == "ok";
        }
        let known = ANSWERS.iter().any(|answer| reply.starts_with(answer));
        assert!(known, "{what}: {command}: {reply}");
    }
    writer.ask("close");
    reader.ask("close");
    assert!(begin.elapsed() < Duration::from_secs(120), "{what}: took {:?}", begin.elapsed());
}

/// Every value a field is set to, given what it holds.
fn hostile_values(field: u64) -> Vec<u64> {
    let mut values: Vec<u64> =
        [0, 1, 15, 17, 63, 100, 128, 1000, 1007, 1009, 1023, 1024, 1025, 4096].to_vec();
    values.extend([1 << 31, (1 << 32) - 1, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX - 15, u64::MAX]);
    values.extend((0..64).step_by(LESS as usize).map(|bit| field ^ (1 << bit)));
    values.retain(|value| *value != field);
    values
}

#[test]
fn no_value_of_any_field_crashes_or_hangs_an_end() {
    // The words of the control block that are in use, the metadata length, and both words of the
    // unread header.
    let ring = METADATA + 64;
    let words = (0..12).map(|word| word * 8).chain([METADATA, ring + THIRD, ring + THIRD + 8]);
    set_to_all_values(&words.collect::<Vec<_>>());
}

/// All words that are in use, and of each table the entries that count when a frame is unread.
#[test]
fn no_value_of_any_native_word_crashes_or_hangs_an_end() {
    let words = [
        &[0, 8, 16, 24, 32, 40, 48, 64, 72, 80, 88, 96, 128, 136, 144, 152][..],
        // Jumps 0 to 2, then the claims 1 and 2.
        &[192, 200, 208, 216, 224, 232],
        &[472, 480, 488, 496, 504, 512],
    ];
    let block = METADATA + 64 + RING;
    let words: Vec<u64> = words.iter().copied().flatten().map(|word| block + word).collect();
    set_to_all_values(&words);
}

/// One word at a time, in the middle of a stream.
fn set_to_all_values(words: &[u64]) {
    let count = hostile_values(1 << 50).len() + 1;
    let cases: Vec<(u64, usize)> =
        words.iter().flat_map(|word| (0..count).map(|case| (*word, case))).collect();
    thread::scope(|scope| {
        for part in 0..WORKERS {
            let cases = &cases;
            scope.spawn(move || {
                let (mut reader, mut writer) = (Peer::native(), Peer::native());
                for (word, case) in cases.iter().skip(part).step_by(WORKERS) {
                    let name = Name::new("hostile");
                    let segment = start(&mut reader, &mut writer, &name);
                    let before = segment.get(*word);
                    // The last case of each word leaves it as it is.
                    let value = hostile_values(before).get(*case).copied().unwrap_or(before);
                    segment.set(*word, value);
                    let what = format!("offset {word}: {before:#x} -> {value:#x}");
                    exercise(&mut reader, &mut writer, &name, &what);
                }
            });
        }
    });
}

/// Bit 62 of a frame's number marks a failure of a duplex server, so no writer comes there.
#[test]
fn a_writer_does_not_go_on_with_a_number_that_no_frame_can_have() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for next in [1 << 62, u64::MAX - 1, u64::MAX] {
        let name = Name::new("next");
        let segment = start(&mut reader, &mut writer, &name);
        writer.must("close");
        segment.set_native(segment::NEXT, next);
        let message = writer.must_fail(&format!("connect {} 0", &*name), "Corrupt");
        assert!(message.contains(&next.to_string()), "{message}");
        reader.must("close");
    }
}

/// W5: whatever the semaphores hold, frames pass, and nobody waits for long.
#[cfg(target_os = "linux")]
#[cfg_attr(macos_sys, ignore = "macOS keeps semaphores in its kernel, where no peer can write")]
#[test]
fn absurd_semaphores_delay_frames_by_a_slice_at_most() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for wait in ["block", "adaptive"] {
        let name = Name::new("tokens");
        reader.must(&format!("create {} 64 {RING} {wait}", &*name));
        writer.must(&format!("connect {} 0 {wait}", &*name));
        let begin = Instant::now();
        let mut key = 0;
        let sleepers = u64::from(u32::MAX) << 32;
        for value in [
            0,
            1,
            2,
            1000,
            i32::MAX as u64,
            u64::from(u32::MAX),
            1 << 32,
            77 << 32,
            (1 << 32) + 5,
            sleepers,
            sleepers + 1,
            u64::MAX,
        ] {
            for side in 0..4 {
                for (_, path) in
                    name.semaphores().iter().enumerate().filter(|(index, _)| side >> index & 1 == 1)
                {
                    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                    std::os::unix::fs::FileExt::write_all_at(&file, &value.to_le_bytes(), 0).unwrap();
                }
                // More than fits, so both ends have to wait.
                writer.tell(&format!("stream {} 6 1 600 mix", key + 1));
                reader.must(&format!("drain {} 6 1 600", key + 1));
                writer.must_reply();
                key += 6;
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{wait}: took {:?}", begin.elapsed());
        writer.must("close");
        reader.must_fail("read 5000 0", "WriterGone");
        reader.must("close");
    }
}

/// The fields that decide where an end reads and writes: the error names the field and the value.
#[test]
fn a_wrong_value_is_named() {
    let ring = METADATA + 64;
    let native = ring + RING;
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    let cases: &[(u64, u64, bool, &str, &str)] = &[
        (native + PUBLISHED, RING + 256 + 1, true, "read 100 3", "Corrupt"),
        (native + PUBLISHED, 128, true, "read 100 3", "Corrupt"),
        (native + PUBLISHED, 1 << 40, true, "read 100 3", "Corrupt"),
        (native + PUBLISHED, u64::MAX, true, "read 100 3", "Corrupt"),
        (ring + THIRD, RING, true, "read 100 3", "Corrupt"),
        (ring + THIRD, 113, true, "read 100 3", "Corrupt"),
        (ring + THIRD, 0, true, "read 100 3", "Corrupt"),
        (ring + THIRD, u64::MAX - 15, true, "read 100 3", "Corrupt"),
        (ring + THIRD + 8, 5, true, "read 100 3", "Sequence"),
        (METADATA_WRITTEN, 4, true, "get-meta 9", "Corrupt"),
        (METADATA_WRITTEN, 1 << 63, true, "get-meta 9", "Corrupt"),
        (METADATA, 57, true, "get-meta 9", "Corrupt"),
        (METADATA, u64::MAX, true, "get-meta 9", "Corrupt"),
        (native + CREDITED, RING + 1, false, "write 4 100 write", "Corrupt"),
        (native + CREDITED, u64::MAX, false, "write 4 100 write", "Corrupt"),
        // The jump to the third frame, which is the newest.
        (native + 224, 7, true, "read 100 3", "Corrupt"),
        (native + 232, RING + 16, true, "read 100 3", "Corrupt"),
        (native + 232, u64::MAX, true, "read 100 3", "Corrupt"),
    ];
    for (offset, value, reading, command, error) in cases {
        let name = Name::new("named");
        start(&mut reader, &mut writer, &name).set(*offset, *value);
        let peer = if *reading { &mut reader } else { &mut writer };
        let message = peer.must_fail(command, error);
        assert!(message.contains(&value.to_string()) && message.contains(&*name), "{offset}: {message}");
        if *error == "Sequence" {
            assert!(message.contains('3'), "the expected number is missing: {message}");
        }
        // Damage does not heal: the same call fails the same way (metadata and `free` may be mended
        // by the peer).
        if command.starts_with("read") {
            peer.must_fail(command, error);
        }
        writer.must("close");
        reader.must("close");
    }
}

/// Nothing that an end keeps a copy of is looked at again.
#[test]
fn fields_that_an_end_owns_cannot_mislead_it() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for (offset, value) in [
        (segment::METADATA_SIZE, 0),
        (segment::METADATA_SIZE, 1 << 40),
        (segment::PAYLOAD_SIZE, 64),
        (segment::PAYLOAD_SIZE, u64::MAX),
        (READ_POS, 777),
        (segment::WRITTEN_COUNT, 0),
        (segment::WRITTEN_COUNT, u64::MAX),
        (segment::READ_COUNT, u64::MAX),
        (segment::OIEB_SIZE, 0),
    ] {
        let name = Name::new("owned");
        start(&mut reader, &mut writer, &name).set(offset, value);
        assert_eq!(reader.must("read 1000 3"), "3 100");
        for key in 4..=30 {
            writer.must(&format!("write {key} 300 mix"));
            assert_eq!(reader.must(&format!("read 1000 {key}")), format!("{key} 300"));
        }
        assert_eq!(reader.must("get-meta 9"), "20");
        writer.must("close");
        reader.must_fail("read 1000 0", "WriterGone");
        reader.must("close");
        name.assert_gone();
    }
}
