//! One case per happens-before edge of DESIGN.md, "Memory ordering".

use crate::runs::{ASLEEP, Case, RACE, together};
use zerobuffer::{
    BufferConfig, Error, Reader, WaitStrategy, Writer, WriterConfig,
    simulated::{Ended, doom, edges::End, enter, free_bytes, is_native, process},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "edge_e1_a_published_frame_is_complete",
        scenario: e1,
        weak: &[(End::E1Release, RACE), (End::E1Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e2_released_space_is_no_longer_read",
        scenario: e2,
        weak: &[(End::E2Release, RACE), (End::E2Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e3_a_token_shows_its_frame",
        scenario: e3,
        weak: &[(End::E3Release, ASLEEP), (End::E3Acquire, ASLEEP)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e4_no_writer_sleeps_beside_space",
        scenario: e4,
        weak: &[(End::E4Reader, ASLEEP), (End::E4Writer, ASLEEP)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e6_metadata_are_complete",
        scenario: e6,
        weak: &[(End::E6Release, RACE), (End::E6Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e7_a_writer_that_left_has_published_all",
        scenario: e7,
        weak: &[(End::E7Release, LOST), (End::E7Acquire, LOST)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e8_a_successor_finds_the_next_number",
        scenario: e8,
        weak: &[(End::E8Release, REPEATED), (End::E8Acquire, REPEATED)],
        without: &[],
        preemptions: Some(1),
    },
    Case {
        name: "edge_e9_who_enters_finds_all_given_back",
        scenario: e9,
        weak: &[(End::E9Left, NOT_GIVEN_BACK), (End::E9Enter, NOT_GIVEN_BACK)],
        without: &[],
        preemptions: Some(1),
    },
    Case {
        name: "edge_e9_who_follows_finds_the_fence",
        scenario: e9_entering,
        weak: &[(End::E9Entered, NO_FENCE), (End::E9Seen, NO_FENCE)],
        without: &[],
        preemptions: Some(0),
    },
    Case {
        name: "edge_e10_a_jump_seen_early_is_complete",
        scenario: e10,
        weak: &[(End::E10Release, NO_ENTRY), (End::E10Acquire, NO_ENTRY)],
        without: &[],
        preemptions: None,
    },
];

const LOST: &str = "a frame of a writer that left is lost";
const REPEATED: &str = "a successor gives a number again";
/// The field of a `Corrupt` that the weakened end leads to.
const NOT_GIVEN_BACK: &str = "field: \"credited\"";
const NO_FENCE: &str = "free bytes in a ring that is seen in native form";
const NO_ENTRY: &str = "field: \"jump at\"";

/// A ring of so many bytes with both ends; a wait sleeps at once.
pub(crate) fn pair(name: &str, metadata: u64, ring: u64) -> (Reader, Writer) {
    let config = BufferConfig::ring(ring).metadata(metadata).wait(WaitStrategy::Block);
    let reader = Reader::create(name, config).unwrap();
    (reader, connect(name).unwrap())
}

pub(crate) fn connect(name: &str) -> zerobuffer::Result<Writer> {
    Writer::connect_with(name, WriterConfig::default().wait(WaitStrategy::Block))
}

fn e1() {
    let (mut reader, mut writer) = pair("e1", 0, 64);
    together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer
        },
        move || {
            if let Some(frame) = reader.try_read().unwrap() {
                assert_eq!(frame.data(), [7; 8]);
            }
            reader
        },
    );
}

fn e2() {
    let (mut reader, mut writer) = pair("e2", 0, 64);
    writer.write(&[1; 48]).unwrap();
    let frame = reader.try_read().unwrap().unwrap();
    together(
        move || {
            assert_eq!(frame.data(), [1; 48]);
            drop(frame);
        },
        move || match writer.try_write(&[2; 48]) {
            Ok(_) | Err(Error::Full { .. }) => writer,
            other => panic!("{other:?}"),
        },
    );
    drop(reader);
}

/// A reader that has taken the token of a frame it does not see would sleep for ever.
fn e3() {
    let (mut reader, mut writer) = pair("e3", 0, 64);
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

/// Two tokens lie there, so the reader posts no further one unless it sees that the writer has
/// taken them.
fn e4() {
    let (mut reader, mut writer) = pair("e4", 0, 192);
    let mut frames: Vec<_> = (0..3)
        .map(|_| {
            writer.write(&[1; 48]).unwrap();
            reader.try_read().unwrap().unwrap()
        })
        .collect();
    let last = frames.pop();
    drop(frames);
    writer.write(&[2; 48]).unwrap();
    writer.write(&[2; 48]).unwrap();
    together(
        move || drop(last),
        move || {
            writer.write(&[3; 48]).unwrap();
            writer
        },
    );
    drop(reader);
}

fn e6() {
    let (reader, mut writer) = pair("e6", 64, 64);
    together(
        move || {
            writer.set_metadata(b"metadata").unwrap();
            writer
        },
        move || {
            if let Some(metadata) = reader.metadata().unwrap() {
                assert_eq!(metadata.data(), b"metadata");
            }
            reader
        },
    );
}

fn e7() {
    let (mut reader, mut writer) = pair("e7", 0, 64);
    together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer.close().unwrap();
        },
        move || {
            let first = reader.try_read();
            assert!(!matches!(first, Err(Error::WriterGone { .. })), "{LOST}");
            drop(first);
            reader
        },
    );
}

/// A writer dies with its frame published and taken. Its successor goes on with the number that the
/// repair leaves. The frame is held, so the reader stays in native form: else E9 orders the number,
/// too.
fn e8() {
    let (mut reader, writer) = pair("e8", 0, 64);
    drop(writer);
    let killed = process(2001, || {
        let mut writer = connect("e8").unwrap();
        writer.write(&[1; 8]).unwrap();
        doom(2001, 1);
        writer.write(&[1; 8]).unwrap();
    });
    assert!(matches!(killed, Ended::Killed));
    enter(1001);
    let held = reader.try_read().unwrap().unwrap();
    assert_eq!(held.sequence(), 1);
    let (_, (reader, held)) = together(
        move || {
            enter(2002);
            match connect("e8") {
                Ok(writer) => {
                    assert_eq!(writer.next_sequence(), 2, "{REPEATED}");
                    Some(writer)
                }
                // The reader has looked once, while the successor held the byte, or holds it just
                // now for too long.
                Err(Error::CrashNotNoticed { .. } | Error::WriterAlreadyConnected { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        },
        move || {
            enter(1001);
            // Once: it finds the dead writer, or the tombstone that its successor has left.
            assert!(matches!(reader.try_read(), Ok(None) | Err(Error::WriterGone { .. })));
            (reader, held)
        },
    );
    drop((held, reader));
}

/// The last frame of a writer that has closed is released, and the reader leaves the native form,
/// which the next one enters.
fn e9() {
    let (mut reader, mut writer) = pair("e9", 0, 64);
    writer.write(&[7; 8]).unwrap();
    let last = reader.try_read().unwrap().unwrap();
    writer.close().unwrap();
    together(
        move || match connect("e9") {
            Ok(writer) => Some(writer),
            // The reader holds the byte just now for too long.
            Err(Error::WriterAlreadyConnected { .. }) => None,
            Err(error) => panic!("{error:?}"),
        },
        move || {
            // In a thread of its own: the fence of a release in this one would order all that
            // follows.
            loom::thread::spawn(move || drop(last)).join().unwrap();
            assert!(matches!(reader.try_read(), Ok(None) | Err(Error::WriterGone { .. })));
            reader
        },
    );
}

/// A reader that sees the native form sees it without free bytes: what it gives back when it leaves
/// comes after that.
fn e9_entering() {
    let config = BufferConfig::ring(64).metadata(0).wait(WaitStrategy::Block);
    let mut reader = Reader::create("e9-entering", config).unwrap();
    together(
        move || connect("e9-entering").unwrap(),
        move || {
            assert!(matches!(reader.try_read(), Ok(None)));
            if is_native(&reader) {
                assert_eq!(free_bytes("e9-entering"), 0, "{NO_FENCE}");
            }
            reader
        },
    );
}

/// A frame is unread while the writer jumps for the next one: its reader may see the jump before
/// that is published.
fn e10() {
    let (mut reader, mut writer) = pair("e10", 0, 128);
    writer.write(&[1; 16]).unwrap();
    let first = reader.try_read().unwrap().unwrap();
    // Behind the one that is held. When that is released, the start of the ring is the lowest
    // place.
    writer.write(&[2; 16]).unwrap();
    drop(first);
    together(
        move || {
            writer.write(&[3; 16]).unwrap();
            writer
        },
        move || {
            assert_eq!(reader.try_read().unwrap().unwrap().data(), [2; 16]);
            reader
        },
    );
}
