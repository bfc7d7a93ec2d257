//! Short streams through a tiny ring, with the oracle of the property test.

use crate::{
    edges::pair,
    oracle::{Oracle, content},
    runs::{Case, together},
};
use std::{cell::RefCell, rc::Rc};
use zerobuffer::{Error, simulated::words};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "stream_over_an_exact_end",
        scenario: || stream(64, &[16, 16]),
        weak: &[],
        without: &[],
        preemptions: Some(1),
    },
    Case {
        name: "no_reader_sleeps_beside_a_close",
        scenario: close,
        weak: &[],
        without: &[],
        preemptions: Some(2),
    },
    Case {
        name: "no_credit_stays_beside_a_release",
        scenario: keep_back,
        weak: &[],
        without: &[],
        preemptions: None,
    },
];

/// The token of a close may be taken in the very look that notices it: nobody posts another one.
fn close() {
    let (mut reader, writer) = pair("close", 0, 64);
    // One that it has not met has not left it either.
    assert!(reader.try_read().unwrap().is_none());
    together(
        move || writer.close().unwrap(),
        move || {
            assert!(matches!(reader.read(), Err(Error::WriterGone { .. })));
            reader
        },
    );
}

/// A frame is released while the reader takes the last one that it knows of: it is credited at
/// once.
fn keep_back() {
    const RING: u64 = 8192;
    let (mut reader, mut writer) = pair("keep-back", 0, RING);
    writer.write(&[1; 8]).unwrap();
    writer.write(&[2; 8]).unwrap();
    let first = reader.try_read().unwrap().unwrap();
    let (_, (reader, last)) = together(
        move || drop(first),
        move || {
            let last = reader.try_read().unwrap().unwrap();
            (reader, last)
        },
    );
    assert_eq!(words("keep-back")[0], RING - 32, "the last frame is held, and nothing else");
    drop((writer, reader, last));
}

/// The writer waits for space, the reader for frames, and both sleep at once when there is nothing
/// to do.
fn stream(ring: u64, sizes: &'static [u64]) {
    let (mut reader, mut writer) = pair("stream", 0, ring);
    // Reported and asked in one step each: loom switches between the threads at its own operations
    // only.
    let oracle = Rc::new(RefCell::new(Oracle::waiting(ring)));
    let reports = Rc::clone(&oracle);
    together(
        move || {
            for (salt, &size) in (1..).zip(sizes) {
                let data = content(salt, size);
                let sequence = { reports.borrow_mut().publish(data.clone()) };
                assert_eq!(writer.write(&data).unwrap().sequence(), Some(sequence));
            }
            writer
        },
        move || {
            for _ in sizes {
                let frame = reader.read().unwrap();
                let (data, sequence, region) = oracle.borrow_mut().read().unwrap();
                assert_eq!((frame.sequence(), frame.data()), (sequence, &data[..]));
                drop(frame);
                oracle.borrow_mut().release(region);
            }
            assert_eq!(words("stream")[0], ring, "all space is back");
            assert_eq!(oracle.borrow().free, ring as i64);
            reader
        },
    );
}
