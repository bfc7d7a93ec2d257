//! Either end killed at any point.

use crate::{
    Channel, LONG, SMALL, agent,
    common::{Segment, check, content, expect_error, segment::WRITTEN_COUNT},
    server,
};
use std::{
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_client_killed_at_any_point_is_followed_by_the_next() {
    let channel = Channel::new("dckill");
    for options in ["", "pool=3"] {
        let mut peer = server(&channel, "echo", options);
        for round in 0..15_u64 {
            let mut client = agent::start();
            client.must(&format!("connect {} {SMALL}", channel.name));
            client.tell("chatter 5000");
            // Anywhere from before its first request on.
            thread::sleep(Duration::from_micros(round * round * 150));
            client.kill();
            let next = channel.connect();
            for key in 1..=3 {
                let response = next.call(&content(round * 10 + key, 900), LONG);
                let response = response.unwrap_or_else(|error| panic!("round {round}: {error}"));
                check(response.data(), round * 10 + key).unwrap();
            }
        }
        assert_eq!(peer.must("running"), "true");
        peer.must("close");
    }
}

#[test]
fn a_server_killed_at_any_point_is_noticed_within_a_slice() {
    let mut latencies = Vec::new();
    for round in 0..12_u64 {
        let channel = Channel::new("dskill");
        let mut peer = server(&channel, "echo", if round % 2 == 0 { "" } else { "pool=2" });
        let client = channel.connect();
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_micros(round * round * 200));
            let killed = Instant::now();
            peer.kill();
            killed
        });
        let error = loop {
            match client.call(&content(1, 2000), LONG) {
                Ok(response) => check(response.data(), 1).unwrap(),
                Err(error) => break error,
            }
        };
        expect_error(Err::<(), _>(error), "ServerGone");
        latencies.push(killer.join().unwrap().elapsed());
        // A new server takes the channel over, once the client has left it.
        drop(client);
        let _next = server(&channel, "echo", "");
        check(channel.connect().call(&content(2, 20), LONG).unwrap().data(), 2).unwrap();
    }
    latencies.sort();
    // A slice is 50 ms, twice that for a pid that still exists (a zombie does not); the machine is
    // shared.
    let median = latencies[latencies.len() / 2];
    assert!(median < Duration::from_millis(250), "noticed after {latencies:?}");
}

#[test]
fn a_client_killed_with_requests_in_flight_leaves_nothing_to_its_successor() {
    let channel = Channel::new("dflight");
    let mut peer = server(&channel, "slow:20", "");
    let mut first = agent::start();
    first.must(&format!("connect {} {SMALL}", channel.name));
    for key in 1..=8 {
        first.must(&format!("send {key} 100"));
    }
    first.kill();
    let next = channel.connect();
    let sequence = next.send(&content(99, 100)).unwrap();
    let response = next.receive(LONG).unwrap().unwrap();
    assert_eq!(response.sequence(), sequence);
    check(response.data(), 99).unwrap();
    assert!(peer.must("failures").contains("ClientGone: "));
}

/// What a server meets that was not running while its first client came and went.
#[cfg(unix)]
#[test]
fn a_client_that_came_and_went_unseen_is_distinguished_from_its_successor() {
    let signal = |peer: &crate::common::Peer, signal| {
        // SAFETY: a plain system call; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(peer.pid() as libc::pid_t, signal) }, 0);
    };
    for dies in [false, true] {
        let channel = Channel::new("dunseen");
        let mut peer = server(&channel, "echo", "");
        signal(&peer, libc::SIGSTOP);
        let mut first = agent::start();
        first.must(&format!("connect {} {SMALL}", channel.name));
        for key in 1..=3 {
            first.must(&format!("send {key} 100"));
        }
        // The place of one that died is free as soon as the server looks, that of one that closed
        // at once.
        let next = if dies {
            first.kill();
            thread::scope(|scope| {
                let next = scope.spawn(|| channel.connect());
                thread::sleep(Duration::from_millis(20));
                signal(&peer, libc::SIGCONT);
                next.join().unwrap()
            })
        } else {
            first.must("close");
            channel.connect()
        };
        next.set_metadata(b"successor").unwrap();
        let sequence = next.send(&content(99, 100)).unwrap();
        signal(&peer, libc::SIGCONT);
        let response = next.receive(LONG).unwrap().unwrap();
        assert_eq!(response.sequence(), sequence);
        check(response.data(), 99).unwrap();
        assert!(peer.must("failures").contains("ClientGone: "), "dies: {dies}");
        assert!(peer.must("inits").ends_with('9'), "it was begun anew, with its own metadata");
        drop(next);
        peer.must("close");
        channel.assert_gone();
    }
}

#[test]
fn clients_that_send_and_die_leave_their_answers_to_nobody() {
    let channel = Channel::new("dleft");
    // A small ring: the frames of several clients lie in each lap.
    let _server = server(&channel, "echo", "ring=16384");
    for round in 0..8_u64 {
        let mut first = agent::start();
        first.must(&format!("connect {} 65536", channel.name));
        for key in 1..=5 {
            first.must(&format!("send {key} 300"));
        }
        first.kill();
        let next = channel.connect();
        for key in 0..3 {
            let response = next.call(&content(100 + key, 700), LONG).unwrap();
            check(response.data(), 100 + key).unwrap_or_else(|wrong| panic!("round {round}: {wrong}"));
        }
    }
}

/// A client may die between the position and the count of its first request. Its successor still
/// leaves a number out. Otherwise the server would take its first request for one more of the dead
/// client, and drop it.
#[test]
fn a_client_killed_before_it_has_counted_its_first_request_is_distinguished_from_its_successor() {
    let channel = Channel::new("dcount");
    let _server = server(&channel, "echo", "");
    let mut first = agent::start();
    first.must(&format!("connect {} {SMALL}", channel.name));
    first.must("send 1 100");
    first.kill();
    Segment::open(&channel.request).set(WRITTEN_COUNT, 0);
    let next = channel.connect();
    assert_eq!(next.send(&content(2, 100)).unwrap(), 3);
    check(next.receive(LONG).unwrap().unwrap().data(), 2).unwrap();
}

/// Whichever of its two buffers a dying server is seen to leave first, its client hears of the
/// server.
#[test]
fn a_client_that_waits_for_a_server_that_ends_learns_of_it() {
    for round in 0..24_u64 {
        let channel = Channel::new("dends");
        let mut peer = server(&channel, if round % 3 == 0 { "slow:60000" } else { "echo" }, "");
        let client = channel.connect();
        if round % 2 == 0 {
            client.send(b"x").unwrap();
        }
        if round % 3 != 0 && round % 2 == 0 {
            drop(client.receive(LONG).unwrap().unwrap());
        }
        let text = thread::scope(|scope| {
            let waits = scope.spawn(|| expect_error(client.receive(LONG), "ServerGone"));
            thread::sleep(Duration::from_millis(round * 3));
            // One that is stopped still lets its handler answer.
            if round % 3 == 0 || round % 4 < 2 {
                peer.kill();
            } else {
                drop(peer.ask("close"));
            }
            waits.join().unwrap_or_else(|_| panic!("round {round}"))
        });
        assert!(text.contains(&channel.name) && text.contains("the server"), "{text}");
        assert!(text.contains("is gone"), "{text}");
        let text = expect_error(client.call(b"x", LONG), "ServerGone");
        assert!(text.contains("is gone"), "{text}");
    }
}
