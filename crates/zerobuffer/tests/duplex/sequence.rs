//! No request ever gets another one's answer (D2).

use crate::{Channel, LONG, SMALL, server};
use std::{collections::VecDeque, time::Duration};
use zerobuffer::{Error, duplex::Call};

/// Mostly well-behaved; else as `agent::mischief` says.
fn kind_of(key: u64) -> u8 {
    match key % 97 {
        13 => 1,
        26 => 2,
        39 => 3,
        52 => 4,
        65 => 5,
        78 if key.is_multiple_of(5) => 6,
        _ => 0,
    }
}

fn request(key: u64) -> Vec<u8> {
    let mut data = key.to_le_bytes().to_vec();
    data.extend(std::iter::repeat_n(key as u8, (key % 50) as usize));
    data.push(kind_of(key));
    data
}

/// `true`: answered.
fn settle(key: u64, call: &Call) -> bool {
    let kind = kind_of(key);
    // A late answer may be missed; all else is reported.
    let patience = if kind == 1 { Duration::from_millis(1) } else { LONG };
    let response = match call.wait(patience) {
        Err(Error::Remote { request, kind: reported, .. }) => {
            let expected = match kind {
                2 => "error",
                4 => "no-answer",
                6 => "panic",
                _ => "no failure",
            };
            assert_eq!((request, &*reported), (call.sequence(), expected), "request {key} of kind {kind}");
            return false;
        }
        other => other.unwrap(),
    };
    let Some(response) = response else {
        assert_eq!(kind, 1, "request {key} got no answer");
        return false;
    };
    assert!(matches!(kind, 0 | 1 | 3 | 5), "request {key} of kind {kind} was answered");
    assert_eq!(response.sequence(), call.sequence());
    // The first answer, to this very request.
    assert_eq!(response.data(), [&request(key)[..], &[1]].concat(), "request {key}");
    true
}

fn run(options: &str, count: u64, in_flight: usize) {
    let channel = Channel::new("dseq");
    let mut server = server(&channel, "mischief", options);
    let client = channel.connect_with(SMALL);
    let mut calls: VecDeque<(u64, Call)> = VecDeque::new();
    let mut answered = 0;
    for key in 1..=count {
        let call = client.submit(&request(key)).unwrap();
        assert_eq!(call.sequence(), key);
        calls.push_back((key, call));
        if calls.len() == in_flight {
            let (key, call) = calls.pop_front().unwrap();
            answered += u64::from(settle(key, &call));
        }
    }
    answered += calls.iter().filter(|(key, call)| settle(*key, call)).count() as u64;
    let of = |kinds: &[u8]| (1..=count).filter(|key| kinds.contains(&kind_of(*key))).count();
    assert!(answered as usize >= of(&[0, 3, 5]));
    // Everything that went wrong was reported, with both numbers.
    let expected = of(&[2, 3, 4, 6]);
    let mut failures = String::new();
    crate::eventually("all failures are reported", || {
        failures = server.must("failures");
        failures.split(" | ").count() == expected
    });
    let count_of = |text: &str| failures.matches(text).count();
    assert_eq!(count_of("failed: raised"), of(&[2]));
    assert_eq!(count_of("wrote 2 responses instead of one"), of(&[3]));
    assert_eq!(count_of("wrote 0 responses instead of one"), of(&[4]));
    assert_eq!(count_of("it panicked: a panic that the test wants"), of(&[6]));
    assert!(client.receive(Duration::ZERO).unwrap().is_none(), "an answer that nobody asked for");
}

#[test]
fn a_hundred_thousand_requests_to_a_handler_that_misbehaves() {
    run("", 100_000 / crate::common::LESS, 8);
}

#[test]
fn the_same_with_a_pool() {
    run("pool=4", 10_000, 32);
}

#[test]
fn the_same_one_at_a_time() {
    run("", 5_000, 1);
}
