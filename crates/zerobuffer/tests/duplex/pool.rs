//! Handlers in parallel, and how they end (D3, D6).

use crate::{Channel, LONG, common::check, common::content, eventually, server};
use std::{
    thread,
    time::{Duration, Instant},
};
use zerobuffer::duplex::{Server, ServerConfig};

/// Time for `count` requests of 60 ms each.
fn time_of(options: &str, count: u64) -> Duration {
    let channel = Channel::new("dpool");
    let _server = server(&channel, "slow:60", options);
    let client = channel.connect();
    drop(client.call(b"warm", LONG).unwrap());
    let started = Instant::now();
    for key in 0..count {
        client.send(&content(key, 100)).unwrap();
    }
    for key in 0..count {
        let response = client.receive(LONG).unwrap().unwrap();
        assert_eq!(response.sequence(), key + 2, "out of order");
        check(response.data(), key).unwrap();
    }
    started.elapsed()
}

#[test]
fn slow_handlers_overlap() {
    let (one, six) = (time_of("", 18), time_of("pool=6", 18));
    let ratio = one.as_secs_f64() / six.as_secs_f64();
    // 6 in theory, in one run on one machine.
    assert!(ratio > 3.5, "six threads are {ratio:.1} times as fast as one");
}

#[test]
fn drain_answers_all_and_stop_what_has_begun() {
    let channel = Channel::new("ddrain");
    let mut peer = server(&channel, "slow:40", "pool=2");
    let client = channel.connect();
    for key in 1..=12 {
        client.send(&content(key, 64)).unwrap();
    }
    eventually("a handler runs", || peer.must("most-at-once") != "0");
    assert_eq!(peer.must("drain 20000"), "true");
    assert_eq!(peer.must("handled"), "12");
    for key in 1..=12 {
        check(client.receive(LONG).unwrap().unwrap().data(), key).unwrap();
    }
    assert!(client.receive(LONG).unwrap_err().is_peer_gone());
    drop(client);

    let mut peer = server(&channel, "slow:100", "pool=2");
    let client = channel.connect();
    for key in 1..=40 {
        client.send(&content(key, 64)).unwrap();
    }
    eventually("a handler runs", || peer.must("most-at-once") != "0");
    let stopped = peer.must("stop");
    let (_, taken) = stopped.split_once(' ').unwrap();
    assert!(taken.parse::<u64>().unwrap() <= 400, "stopping took {taken} ms");
    let mut answers = 0;
    while let Ok(Some(response)) = client.receive(LONG) {
        answers += 1;
        check(response.data(), answers).unwrap();
    }
    // What was running, and no more than that.
    assert!((1..=6).contains(&answers), "{answers} answers");
    assert_eq!(peer.must("failures"), "", "handlers were left in peace");
}

/// The server may not even have seen the client yet.
#[test]
fn drain_answers_what_was_sent_just_before() {
    for round in 0..20 {
        let channel = Channel::new("ddrain-new");
        let mut peer = server(&channel, "slow:1", if round % 2 == 0 { "" } else { "pool=2" });
        let client = channel.connect();
        for key in 1..=3 {
            client.send(&content(key, 64)).unwrap();
        }
        assert_eq!(peer.must("drain 20000"), "true");
        assert_eq!(peer.must("handled"), "3", "round {round}");
        for key in 1..=3 {
            check(client.receive(LONG).unwrap().unwrap().data(), key).unwrap();
        }
    }
}

/// The handler has returned, and its responder answers from another thread.
#[test]
fn drain_waits_for_responders_that_were_moved_away() {
    for round in 0..10 {
        let channel = Channel::new("ddrain-moved");
        let server = Server::new(&channel.name, ServerConfig::default());
        server
            .start(|_, mut response| {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    response.write(b"late").map(drop)
                });
                Ok(())
            })
            .unwrap();
        let client = channel.connect();
        client.send(b"q").unwrap();
        assert!(server.drain(LONG), "round {round}");
        assert_eq!(client.receive(LONG).unwrap().unwrap().data(), b"late", "round {round}");
    }
}

#[test]
fn a_drain_that_takes_too_long_stops() {
    let channel = Channel::new("dlong");
    let mut peer = server(&channel, "slow:100", "");
    let client = channel.connect();
    for key in 1..=50 {
        client.send(&content(key, 64)).unwrap();
    }
    drop(client.receive(LONG).unwrap().unwrap());
    assert_eq!(peer.must("drain 250"), "false");
    assert_eq!(peer.must("running"), "false");
    let handled: u32 = peer.must("handled").parse().unwrap();
    assert!((1..20).contains(&handled), "{handled} handled");
}
