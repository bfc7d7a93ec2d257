//! Short streams through a tiny ring, with the oracle of the property test.

use crate::{
    edges::pair,
    oracle::{Oracle, Place, content},
    runs::{Case, together},
};
use std::{cell::RefCell, rc::Rc};
use zerobuffer::simulated::words;

pub(crate) const CASES: &[Case] = &[Case {
    name: "stream_over_an_exact_end",
    scenario: || stream(64, &[16, 16]),
    weak: &[],
    without: &[],
    preemptions: Some(1),
}];

/// The writer waits for space, the reader for frames, and both sleep at once when there is nothing to do.
fn stream(ring: u64, sizes: &'static [u64]) {
    let (mut reader, mut writer) = pair("stream", 0, ring);
    // Told and asked in one step each: loom switches between the threads at its own operations only.
    let oracle = Rc::new(RefCell::new(Oracle::waiting(ring)));
    let told = Rc::clone(&oracle);
    together(
        move || {
            for (salt, &size) in (1..).zip(sizes) {
                let data = content(salt, size);
                let sequence = {
                    let oracle = &mut told.borrow_mut();
                    let Place::At { at, skip } = oracle.reserve(size) else { panic!("no place for {size}") };
                    oracle.publish(at, skip, data.clone())
                };
                assert_eq!(writer.write(&data).unwrap().sequence(), Some(sequence));
            }
            assert_eq!(words("stream")[1], told.borrow().write_pos);
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
