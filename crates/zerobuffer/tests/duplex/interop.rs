//! Channels with the published Python package 1.3.0 at one end.

use crate::{
    Channel, LONG,
    common::{Peer, check, content, expect_error},
    eventually, server,
};
use std::time::Duration;

fn old() -> Option<Peer> {
    Peer::old_running("old_duplex.py")
}

const SIZES: [usize; 8] = [1, 15, 16, 1000, 4096, 65_536, 100_001, 300_000];

#[test]
fn a_legacy_client_is_served() {
    for (handler, options) in [("echo", ""), ("loan", ""), ("echo", "pool=3"), ("slow:5", "pool=4")] {
        let Some(mut old) = old() else { return };
        let channel = Channel::new("dold");
        let mut peer = server(&channel, handler, options);
        old.must(&format!("connect {}", channel.name));
        eventually("both ends are connected", || old.must("connected") == "true");
        for (key, len) in (1..).zip(SIZES) {
            let send = if key % 2 == 0 { "send" } else { "send-in-place" };
            assert_eq!(old.must(&format!("{send} {key} {len}")), key.to_string());
            assert_eq!(old.must(&format!("receive 20000 {key}")), format!("{key} {len}"));
        }
        for key in 9..=40 {
            old.must(&format!("send {key} 5000"));
        }
        for key in 9..=40 {
            assert_eq!(old.must(&format!("receive 20000 {key}")), format!("{key} 5000"));
        }
        assert_eq!(peer.must("inits"), "none", "an old client cannot write metadata");
        assert_eq!(peer.must("failures"), "");
        old.must("close");
        eventually("its end is reported", || peer.must("failures").starts_with("ClientGone: "));
    }
}

#[test]
fn legacy_and_native_clients_take_turns() {
    let Some(mut old) = old() else { return };
    let channel = Channel::new("dturns");
    let mut peer = server(&channel, "echo", "");
    for round in 0..8_u64 {
        if round % 4 < 2 {
            old.must(&format!("connect {}", channel.name));
            for key in 1..=3 {
                // A legacy client counts from 1, whatever client was there before it.
                assert_eq!(old.must(&format!("send {key} 200")), key.to_string());
                assert_eq!(old.must(&format!("receive 20000 {key}")), format!("{key} 200"));
            }
            // Requests whose answers it does not wait for.
            old.must("send 50 10");
            old.must("send 51 10");
            old.must("close");
        } else {
            let client = channel.connect();
            client.set_metadata(&content(1, 10)).unwrap();
            for key in 1..=3 {
                check(client.call(&content(key, 200), LONG).unwrap().data(), key).unwrap();
            }
            client.send(b"not waited for").unwrap();
        }
    }
    assert_eq!(peer.must("running"), "true");
    assert_eq!(peer.must("inits"), "none none 10 10 none none 10 10");
}

#[test]
fn a_legacy_client_killed_in_the_middle_is_followed_by_the_next() {
    let channel = Channel::new("doldkill");
    let mut peer = server(&channel, "slow:10", "");
    for round in 0..4 {
        let Some(mut old) = old() else { return };
        old.must(&format!("connect {}", channel.name));
        for key in 1..=5 {
            old.must(&format!("send {key} 100"));
        }
        if round % 2 == 0 {
            assert_eq!(old.must("receive 20000 1"), "1 100");
        }
        old.kill();
        // Which takes the dead client's response buffer over; 1.3.0 does not always do that.
        let client = channel.connect();
        check(client.call(&content(7, 70), LONG).unwrap().data(), 7).unwrap();
    }
    let mut last = old().unwrap();
    last.must(&format!("connect {}", channel.name));
    assert_eq!(last.must("send 3 33"), "1");
    assert_eq!(last.must("receive 20000 3"), "1 33");
    assert_eq!(peer.must("running"), "true");
}

/// The limits of a legacy client: it takes the n-th response for the answer to the n-th request
/// (D2).
#[test]
fn a_legacy_client_s_numbers_shift_when_an_answer_is_missing_and_that_is_reported() {
    let Some(mut old) = old() else { return };
    let channel = Channel::new("dshift");
    let mut peer = server(&channel, "mischief", "");
    old.must(&format!("connect {}", channel.name));
    // By `mischief`: answered, twice, not at all, answered.
    for kind in [0, 3, 4, 0] {
        old.must(&format!("send-byte {kind}"));
    }
    for expected in ["1 0", "2 3", "3 0", "none"] {
        // The second answer to request 2 is not sent. The answer to request 4 seems to be that to
        // request 3.
        assert_eq!(
            old.must(&format!("receive-byte {}", if expected == "none" { 100 } else { 20_000 })),
            expected
        );
    }
    let failures = peer.must("failures");
    let (double, missing) = failures.split_once(" | ").unwrap();
    assert!(double.ends_with("the handler of request 2 wrote 2 responses instead of one"), "{double}");
    assert!(
        missing
            .contains("the handler of request 3 wrote 0 responses instead of one; the client is of another")
    );
}

#[test]
fn a_native_client_asks_a_legacy_server() {
    for handler in ["echo", "loan"] {
        let Some(mut old) = old() else { return };
        let channel = Channel::new("dours");
        old.must(&format!("serve {} {handler}", channel.name));
        let client = channel.connect();
        client.set_metadata(&content(1, 77)).unwrap();
        for (key, len) in (1..).zip(SIZES) {
            let response = client.call(&content(key, len), LONG).unwrap();
            assert_eq!((response.sequence(), response.data().len()), (key, len));
            check(response.data(), key).unwrap();
        }
        let calls: Vec<_> = (9..=40).map(|key| client.submit(&content(key, 5000)).unwrap()).collect();
        for call in &calls {
            check(call.wait(LONG).unwrap().unwrap().data(), call.sequence()).unwrap();
        }
        client.send(&content(41, 10)).unwrap();
        assert_eq!(client.receive(LONG).unwrap().unwrap().sequence(), 41);
        assert!(client.is_server_connected());
        assert_eq!(old.must("metadata-sizes"), "77");
        old.must("stop");
        assert!(client.call(b"x", LONG).unwrap_err().is_peer_gone());
        drop(client);
        // The legacy server leaves its semaphores behind.
        channel.response.assert_gone();
    }
}

#[test]
fn a_legacy_server_killed_is_noticed_and_one_without_answers_shifts_them() {
    let Some(mut old) = old() else { return };
    let channel = Channel::new("doldsrv");
    old.must(&format!("serve {} moody", channel.name));
    let client = channel.connect();
    assert_eq!(client.call(&[1, 10], LONG).unwrap().data(), [1, 10]);
    expect_error(client.call(&[0, 20], Duration::from_millis(200)), "NoResponse");
    // Responses of a legacy server bear no request's number: this one is taken for that of request
    // 2, and dropped.
    expect_error(client.call(&[1, 30], Duration::from_millis(200)), "NoResponse");
    old.kill();
    assert!(client.call(&[1, 40], LONG).unwrap_err().is_peer_gone());
    drop(client);
    let text = expect_error(zerobuffer::duplex::Client::connect(&channel.name), "ServerNotReady");
    assert!(text.contains(&channel.name) && !text.contains("_request"), "{text}");
}
