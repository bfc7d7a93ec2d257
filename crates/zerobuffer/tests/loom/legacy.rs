//! The edges in legacy form, which a ring keeps beside a reader of a lower level.

use crate::{
    edges::{connect, pair},
    runs::{ASLEEP, Case, RACE, together},
};
use zerobuffer::{
    BufferConfig, Error, Reader, WaitStrategy, Writer,
    simulated::{announce_at_most, drift, edges::End, is_native},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "edge_e1_a_published_frame_is_complete_in_legacy_form",
        scenario: e1,
        weak: &[(End::E1Release, RACE), (End::E1Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e2_released_space_is_no_longer_read_in_legacy_form",
        scenario: e2,
        weak: &[(End::E2Release, RACE), (End::E2Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e4_no_writer_sleeps_beside_space_in_legacy_form",
        scenario: e4,
        weak: &[(End::E4Reader, ASLEEP), (End::E4Writer, ASLEEP)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e5_a_ring_found_full_holds_complete_frames",
        scenario: e5,
        weak: &[(End::E5Release, RACE), (End::E5Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
];

/// Below the level of the native form.
const LEVEL: u8 = 2;

fn legacy_pair(name: &str, ring: u64) -> (Reader, Writer) {
    announce_at_most(LEVEL);
    pair(name, 0, ring)
}

fn e1() {
    let (mut reader, mut writer) = legacy_pair("legacy-e1", 128);
    together(
        move || {
            writer.write(&[7; 8]).unwrap();
            writer
        },
        move || {
            if let Some(frame) = reader.try_read().unwrap() {
                assert_eq!(frame.data(), [7; 8]);
            }
            assert!(!is_native(&reader));
            reader
        },
    );
}

fn e2() {
    let (mut reader, mut writer) = legacy_pair("legacy-e2", 64);
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

/// As in native form.
fn e4() {
    let (mut reader, mut writer) = legacy_pair("legacy-e4", 192);
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

/// A frame fills the ring: the position is where it was, and `free` alone tells of it. The counts
/// have drifted apart, so they say nothing.
fn e5() {
    announce_at_most(LEVEL);
    let config = BufferConfig::ring(64).metadata(0).wait(WaitStrategy::Block);
    let mut reader = Reader::create("legacy-e5", config).unwrap();
    drift("legacy-e5");
    let mut writer = connect("legacy-e5").unwrap();
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
