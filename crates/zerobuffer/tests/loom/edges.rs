//! One case per happens-before edge of DESIGN.md, "Memory ordering".

use crate::runs::{ASLEEP, Case, RACE, together};
use zerobuffer::{
    BufferConfig, Error, Reader, WaitStrategy, Writer, WriterConfig,
    simulated::{Ended, doom, edges::End, enter, process, words},
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
        name: "edge_e5_a_full_ring_is_complete",
        scenario: e5,
        weak: &[(End::E5Release, RACE), (End::E5Acquire, RACE)],
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
        name: "edge_e8_a_successor_finds_the_ring_repaired",
        scenario: e8,
        weak: &[(End::E8Release, UNREPAIRED), (End::E8Acquire, UNREPAIRED)],
        without: &[End::E4Writer],
        preemptions: Some(2),
    },
];

const LOST: &str = "a frame of a writer that left is lost";
const UNREPAIRED: &str = "a successor finds a ring that is not repaired";

/// A ring of so many bytes with both ends; who waits sleeps at once.
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

/// A reader that has swallowed the token of a frame it does not see would sleep for ever.
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

/// Two tokens lie there, so that the reader posts no further one unless it sees that the writer has taken them.
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

/// The position stays where it was: `free` alone announces the frame.
fn e5() {
    let (mut reader, mut writer) = pair("e5", 0, 64);
    together(
        move || {
            writer.write(&[7; 48]).unwrap();
            writer
        },
        move || {
            if let Some(frame) = reader.try_read().unwrap() {
                assert_eq!(frame.data(), [7; 48]);
            }
            reader
        },
    );
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

/// A writer dies between its charge and its position. Its successor waits for the repair, and then has the whole ring.
fn e8() {
    let (mut reader, writer) = pair("e8", 0, 64);
    drop(writer);
    let killed = process(2001, || {
        let mut writer = connect("e8").unwrap();
        doom(2001, CHARGED);
        writer.write(&[1; 8]).unwrap();
    });
    assert!(matches!(killed, Ended::Killed));
    enter(1001);
    let [free, position, ..] = words("e8");
    assert_eq!((free, position), (64 - 24, 0), "charged, and not published");
    together(
        move || {
            enter(2002);
            match connect("e8") {
                Ok(mut writer) => {
                    let written = writer.try_write(&[2; 48]);
                    assert!(written.is_ok(), "{UNREPAIRED}: {written:?}");
                    Some(writer)
                }
                // The reader has looked once, while the successor held the byte, or holds it just now for too long.
                Err(Error::CrashNotNoticed { .. } | Error::WriterAlreadyConnected { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        },
        move || {
            enter(1001);
            // Once: it finds the dead writer, or the tombstone that its successor has left.
            match reader.try_read() {
                Ok(Some(frame)) => assert_eq!(frame.data(), [2; 48]),
                Ok(None) | Err(Error::WriterGone { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            reader
        },
    );
}

/// The points of a write up to the one behind its charge: before and after its unpublished header, its header, its charge.
const CHARGED: u64 = 6;
