//! Requests in flight whose sum fits the rings: neither end waits for the other, and no answer is
//! lost.

use crate::{
    Channel, LONG,
    common::{check, content},
    server,
};
use std::time::Instant;

/// Sends `count` requests of `size` bytes before it fetches the first answer, and does so again
/// after that.
fn in_flight(count: u64, size: usize, ring: u64) {
    let channel = Channel::new("flight");
    let _server = server(&channel, "echo", &format!("ring={ring}"));
    let client = channel.connect_with(ring);
    // Odd and even numbers of single calls before, which move the positions of both rings.
    for single in 0..3 {
        drop(client.call(&content(single, size), LONG).unwrap());
        let started = Instant::now();
        let calls: Vec<_> = (1..=count).map(|key| client.submit(&content(key, size)).unwrap()).collect();
        for (key, call) in (1..).zip(&calls) {
            let answer =
                call.wait(LONG).unwrap().unwrap_or_else(|| panic!("{count} of {size}: no answer {key}"));
            check(answer.data(), key).unwrap();
        }
        let limit = std::time::Duration::from_secs(4);
        assert!(started.elapsed() < limit, "{count} of {size} in {ring}: {:?}", started.elapsed());
    }
}

#[test]
fn four_requests_of_40_kb_in_64_mib() {
    in_flight(4, 40_000, 64 << 20);
}

#[test]
fn many_small_and_a_few_large_requests() {
    in_flight(32, 32_000, 64 << 20);
    in_flight(20, 100_000, 8 << 20);
    in_flight(82, 100_000, 16 << 20);
    in_flight(8, 1_000_000, 32 << 20);
}

#[test]
fn a_ring_is_filled_to_its_last_frame() {
    in_flight(9, 100_000, 10 * 100_016);
    in_flight(60, 1000, 64 << 10);
}
