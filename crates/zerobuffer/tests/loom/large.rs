//! The same edges in rings of many kibibytes: what is kept back, or asked for, in large steps only
//! shows there.

use crate::{
    edges::pair,
    runs::{ASLEEP, Case, RACE, together},
};
use zerobuffer::{Error, Frame, Reader, Writer, simulated::edges::End};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "edge_e1_a_published_frame_is_complete_in_a_large_ring",
        scenario: e1,
        weak: &[(End::E1Release, RACE), (End::E1Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e2_released_space_is_no_longer_read_in_a_large_ring",
        scenario: e2,
        weak: &[(End::E2Release, RACE), (End::E2Acquire, RACE)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "edge_e4_no_writer_sleeps_beside_space_in_a_large_ring",
        scenario: e4,
        weak: &[(End::E4Reader, ASLEEP), (End::E4Writer, ASLEEP)],
        without: &[],
        preemptions: None,
    },
    Case {
        name: "one_small_release_in_a_large_ring_wakes_its_writer",
        scenario: small_release,
        weak: &[],
        without: &[],
        preemptions: Some(3),
    },
];

/// A frame that takes 32 KiB from the ring.
const LARGE: usize = (32 << 10) - 16;

fn e1() {
    let (mut reader, mut writer) = pair("large-e1", 0, 4 * 32 << 10);
    let data = vec![7; LARGE];
    together(
        move || {
            writer.write(&data).unwrap();
            writer
        },
        move || {
            if let Some(frame) = reader.try_read().unwrap() {
                assert!(frame.data().iter().all(|byte| *byte == 7));
            }
            reader
        },
    );
}

/// All of a ring of that many frames written and taken.
fn taken(name: &str, frames: u64, size: usize) -> (Reader, Writer, Vec<Frame>) {
    let (mut reader, mut writer) = pair(name, 0, frames * (size as u64 + 16));
    let data = vec![1; size];
    let taken = (0..frames)
        .map(|_| {
            writer.write(&data).unwrap();
            reader.try_read().unwrap().unwrap()
        })
        .collect();
    (reader, writer, taken)
}

fn e2() {
    let (reader, mut writer, mut frames) = taken("large-e2", 2, LARGE);
    let (last, first) = (frames.pop(), frames.pop().unwrap());
    together(
        move || {
            assert!(first.data().iter().all(|byte| *byte == 1));
            drop(first);
        },
        move || match writer.try_write(&vec![2; LARGE]) {
            Ok(_) | Err(Error::Full { .. }) => writer,
            other => panic!("{other:?}"),
        },
    );
    drop((reader, last));
}

/// As in a small ring.
fn e4() {
    let (reader, mut writer, mut frames) = taken("large-e4", 3, LARGE);
    let last = frames.pop();
    drop(frames);
    let data = vec![2; LARGE];
    writer.write(&data).unwrap();
    writer.write(&data).unwrap();
    together(
        move || drop(last),
        move || {
            writer.write(&data).unwrap();
            writer
        },
    );
    drop(reader);
}

/// The reader knows of many frames and gives back one, a small part of the ring, while the writer
/// goes to sleep for it.
fn small_release() {
    const FRAMES: u64 = 64;
    let (mut reader, mut writer) = pair("large-small", 0, FRAMES << 10);
    let data = [3; 1024 - 16];
    for _ in 0..FRAMES {
        writer.write(&data).unwrap();
    }
    let first = reader.try_read().unwrap();
    together(
        move || drop(first),
        move || {
            writer.write(&data).unwrap();
            writer
        },
    );
    drop(reader);
}
