//! Many requests in flight: what fits the rings never blocks both ends, and what does not is an
//! error (D9).

use crate::{
    Channel, LONG,
    common::{check, content, expect_error},
    server,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use zerobuffer::duplex::{Client, ClientConfig};

/// Sends `count` requests of `len` bytes before it receives any, as a call each or as mere sends.
fn flood(client: &Client, count: u64, len: usize, calls: bool) {
    let request = vec![7; len];
    let started = Instant::now();
    if calls {
        let calls: Vec<_> = (0..count).map(|_| client.submit(&request).unwrap()).collect();
        for call in calls {
            let response = call.wait(LONG).unwrap().expect("an answer to each call");
            assert!(response.sequence() == call.sequence() && response.data() == request);
        }
    } else {
        let sent: Vec<_> = (0..count).map(|_| client.send(&request).unwrap()).collect();
        for sequence in sent {
            let response = client.receive(LONG).unwrap().expect("an answer to each request");
            assert!(response.sequence() == sequence && response.data() == request);
        }
    }
    // None has waited for a time-out of 5 s.
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{count} of {len} bytes took {:?}",
        started.elapsed()
    );
}

/// With rings of the same size; the position in them is another one in each round.
fn floods(ring: u64, count: u64, len: usize, rounds: u64) {
    let channel = Channel::new("dflood");
    let mut peer = server(&channel, "echo", &format!("ring={ring}"));
    let client = Client::connect(&channel.name).unwrap();
    assert_eq!(client.response_buffer().capacity(), ring);
    for round in 0..rounds {
        flood(&client, count, len, round % 2 == 0);
        // An odd number of calls before.
        drop(client.call(&content(1, len - 1), LONG).unwrap());
    }
    assert_eq!(peer.must("failures"), "");
}

#[test]
fn four_of_40_kb_on_64_mib() {
    floods(64 << 20, 4, 40_000, 20);
}

#[test]
fn twenty_of_100_kb_on_8_mib() {
    floods(8 << 20, 20, 100_000, 12);
}

#[test]
fn eight_of_1_mb_on_256_mib() {
    floods(256 << 20, 8, 1_000_000, 4);
}

#[test]
fn thirty_two_of_32_000() {
    floods(64 << 20, 32, 32_000, 12);
}

#[test]
fn client_threads_that_each_have_requests_in_flight() {
    let channel = Channel::new("dfloodt");
    for options in ["ring=8388608", "ring=8388608 pool=3"] {
        let mut peer = server(&channel, "echo", options);
        let client =
            Client::connect_with(&channel.name, ClientConfig::default().connect_timeout(LONG)).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| flood(&client, 8, 100_000, true)));
            }
        });
        assert_eq!(peer.must("failures"), "");
        drop(client);
        peer.must("close");
    }
}

#[test]
fn more_than_both_rings_take_is_an_error_that_says_so() {
    let channel = Channel::new("dfloodx");
    // What is in flight while nobody receives fills the response ring, then the request ring.
    let mut peer = server(&channel, "echo", "ring=65536 write-timeout=30000");
    let client = channel.connect_with(65_536);
    let mut sent = Vec::new();
    let started = Instant::now();
    let error = loop {
        match client.send(&content(sent.len() as u64, 10_000)) {
            Ok(sequence) => sent.push(sequence),
            Err(error) => break error,
        }
    };
    // Long before a response of the server gives up.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let text = expect_error(Err::<(), _>(error), "ResponsesUnread");
    assert!(
        text.contains(&channel.name) && text.contains("`response_size`") && text.contains("65536"),
        "{text}"
    );
    assert!(sent.len() >= 10, "{} were sent", sent.len());
    for (key, sequence) in sent.iter().enumerate() {
        let response = client.receive(LONG).unwrap().expect("none is lost");
        assert_eq!(response.sequence(), *sequence);
        check(response.data(), key as u64).unwrap();
    }
    check(client.call(&content(1, 10_000), LONG).unwrap().data(), 1).unwrap();
    assert_eq!(peer.must("failures"), "");
}

/// A sender that waits for room gets no error for a backlog that another thread is working off.
#[test]
fn a_thread_that_receives_slowly_is_waited_for() {
    let channel = Channel::new("dfloods");
    let mut peer = server(&channel, "echo", "ring=65536");
    let client = channel.connect_with(65_536);
    thread::scope(|scope| {
        let receives = scope.spawn(|| {
            for key in 0..40 {
                let response = client.receive(LONG).unwrap().unwrap();
                check(response.data(), key).unwrap();
                thread::sleep(Duration::from_millis(60));
            }
        });
        for key in 0..40 {
            client.send(&content(key, 10_000)).unwrap();
        }
        receives.join().unwrap();
    });
    assert_eq!(peer.must("failures"), "");
}
