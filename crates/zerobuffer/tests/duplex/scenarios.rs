//! Scenarios 13.1–13.10 and 14.1–14.10 of the protocol's feature files.

use crate::{
    Channel, LONG, SMALL, agent,
    common::{check, content, expect_error},
    eventually, server,
};
use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

#[test]
fn s13_1_echo_of_three_sizes() {
    let channel = Channel::new("d131");
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    for (key, len) in [(1, 1), (2, 1024), (3, 102_400)] {
        let response = client.call(&content(key, len), LONG).unwrap();
        check(response.data(), key).unwrap();
        assert_eq!((response.data().len(), response.sequence()), (len, key));
    }
}

#[test]
fn s13_2_ten_answers_in_order() {
    let channel = Channel::new("d132");
    let _server = server(&channel, "loan", "");
    let client = channel.connect();
    let sent: Vec<u64> = (1..=10).map(|key| client.send(&content(key, 100)).unwrap()).collect();
    assert_eq!(sent, (1..=10).collect::<Vec<_>>());
    for key in 1..=10 {
        let response = client.receive(LONG).unwrap().unwrap();
        assert_eq!(response.sequence(), key);
        check(response.data(), key).unwrap();
    }
    assert!(client.receive(Duration::from_millis(30)).unwrap().is_none(), "an eleventh answer");
}

#[test]
fn s13_3_twenty_requests_of_one_thread() {
    let channel = Channel::new("d133");
    let _server = server(&channel, "echo", "pool=3");
    let client = channel.connect();
    let calls: Vec<_> = (1..=20).map(|key| client.submit(&content(key, 2000)).unwrap()).collect();
    // Fetched in the reverse order.
    for call in calls.iter().rev() {
        check(call.wait(LONG).unwrap().unwrap().data(), call.sequence()).unwrap();
    }
}

#[test]
fn s13_4_a_single_thread_takes_one_after_the_other() {
    let channel = Channel::new("d134");
    let mut server = server(&channel, "slow:100", "");
    let client = channel.connect();
    let started = Instant::now();
    for key in 1..=3 {
        client.send(&content(key, 10)).unwrap();
    }
    for key in 1..=3 {
        check(client.receive(LONG).unwrap().unwrap().data(), key).unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.must("most-at-once"), "1");
}

#[test]
fn s13_5_a_server_that_dies_while_it_processes_is_noticed() {
    let channel = Channel::new("d135");
    let mut server = server(&channel, "slow:60000", "");
    let client = channel.connect();
    let call = client.submit(b"never answered").unwrap();
    eventually("the server has connected", || client.is_server_connected());
    thread::sleep(Duration::from_millis(20));
    server.kill();
    let killed = Instant::now();
    let error = call.wait(LONG).unwrap_err();
    assert!(error.is_peer_gone(), "{error}");
    // One wait slice is 50 ms; the machine may be busy.
    assert!(killed.elapsed() < Duration::from_secs(2), "noticed after {:?}", killed.elapsed());
    assert!(!client.is_server_connected());
    assert!(client.send(b"x").is_err() || client.receive(LONG).is_err());
}

#[test]
fn s13_6_and_14_8_a_full_response_ring_makes_the_server_wait() {
    let channel = Channel::new("d136");
    let mut server = server(&channel, "echo", "write-timeout=20000");
    let client = channel.connect_with(8192);
    for key in 1..=10 {
        client.send(&content(key, 3000)).unwrap();
    }
    eventually("two answers are there", || client.response_buffer().utilization() > 0.7);
    thread::sleep(Duration::from_millis(150));
    let handled: u64 = server.must("handled").parse().unwrap();
    assert!((2..=3).contains(&handled), "{handled} answers of 3000 bytes in a ring of 8192");
    for key in 1..=10 {
        let response = client.receive(LONG).unwrap().unwrap();
        assert_eq!(response.sequence(), key);
        check(response.data(), key).unwrap();
    }
    assert_eq!(server.must("failures"), "");
}

#[test]
fn a_response_ring_that_stays_full_is_an_error_of_the_handler() {
    let channel = Channel::new("dfull");
    let mut server = server(&channel, "echo", "write-timeout=100");
    let client = channel.connect_with(4096);
    for key in 1..=3 {
        client.send(&content(key, 3000)).unwrap();
    }
    eventually("the failure is reported", || server.must("failures").contains("is full"));
    let failures = server.must("failures");
    assert!(failures.contains("Handler: ") && failures.contains("request 2 failed"), "{failures}");
    assert_eq!(client.receive(LONG).unwrap().unwrap().sequence(), 1);
}

#[test]
fn s13_7_and_14_9_a_request_written_in_place() {
    let channel = Channel::new("d137");
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    let mut request = client.loan(4096).unwrap();
    request.copy_from_slice(&content(7, 4096));
    assert_eq!(request.sequence(), 1);
    assert_eq!(request.send().unwrap(), 1);
    check(client.receive(LONG).unwrap().unwrap().data(), 7).unwrap();
    // Given up, nothing goes out.
    drop(client.loan(4096).unwrap());
    // The same without a borrow.
    assert_eq!(client.begin(10).unwrap(), 2);
    let error = client.send(b"in between").unwrap_err();
    assert!(matches!(error, zerobuffer::Error::RequestPending { .. }), "{error}");
    client.with_pending(|room| room.copy_from_slice(b"0123456789")).unwrap();
    assert_eq!(client.commit(4).unwrap(), 2);
    assert_eq!(client.receive(LONG).unwrap().unwrap().data(), b"0123");
    assert!(!client.abort());
    client.begin(10).unwrap();
    assert!(client.abort());
    assert_eq!(client.send(b"after").unwrap(), 3);
}

#[test]
fn s13_8_xor() {
    let channel = Channel::new("d138");
    let _server = server(&channel, "xor", "");
    let client = channel.connect();
    let request = content(1, 10_240);
    let response = client.call(&request, LONG).unwrap();
    assert!(response.data().iter().zip(&request).all(|(after, before)| after ^ 0xff == *before));
    assert_eq!(response.data().len(), request.len());
}

#[test]
fn s13_9_and_14_7_a_client_that_dies_while_it_waits_is_followed_by_the_next() {
    let channel = Channel::new("d139");
    let mut server = server(&channel, "slow:200", "");
    let mut first = agent::start();
    first.must(&format!("connect {} {SMALL}", channel.name));
    first.tell("call 1 500 20000");
    thread::sleep(Duration::from_millis(100));
    first.kill();
    let client = channel.connect();
    let response = client.call(&content(5, 700), LONG).unwrap();
    check(response.data(), 5).unwrap();
    assert!(server.must("failures").contains("ClientGone: "));
    assert_eq!(server.must("running"), "true");
}

#[test]
fn s13_10_and_14_10_a_server_disposed_with_pending_requests() {
    let channel = Channel::new("d1310");
    let mut peer = server(&channel, "slow:1000", "");
    let client = channel.connect();
    for key in 1..=3 {
        client.send(&content(key, 100)).unwrap();
    }
    // The first one is in its handler: it still answers, the others are dropped.
    eventually("the server has connected", || client.is_server_connected());
    thread::sleep(Duration::from_millis(50));
    let stopped = peer.must("stop");
    assert!(stopped.starts_with("false "), "{stopped}: the handler is still busy");
    check(client.receive(LONG).unwrap().unwrap().data(), 1).unwrap();
    let error = client.receive(LONG).unwrap_err();
    assert!(error.is_peer_gone(), "{error}");
    drop(client);
    peer.must("close");
    eventually("the handler has ended", || channel.response.leftovers().is_empty());
    channel.assert_gone();
    // The name is free again.
    let _second = server(&channel, "echo", "");
    check(channel.connect().call(&content(9, 9), LONG).unwrap().data(), 9).unwrap();
}

#[test]
fn s14_2_handlers_that_finish_in_reverse_answer_in_request_order() {
    let channel = Channel::new("d142");
    let mut server = server(&channel, "reverse:15", "pool=10");
    let client = channel.connect();
    for step in (1..=10_u8).rev() {
        client.send(&[step]).unwrap();
    }
    for (step, sequence) in (1..=10_u8).rev().zip(1..) {
        let response = client.receive(LONG).unwrap().unwrap();
        assert_eq!((response.data(), response.sequence()), (&[step][..], sequence));
    }
    assert_eq!(server.must("most-at-once"), "10");
}

#[test]
fn s14_3_five_threads_share_a_client() {
    let channel = Channel::new("d143");
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    let sequences = std::sync::Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for thread in 0..5_u64 {
            let (client, sequences) = (&client, &sequences);
            scope.spawn(move || {
                for i in 0..20 {
                    let key = thread * 100 + i;
                    let response = client.call(&content(key, 300), LONG).unwrap();
                    check(response.data(), key).unwrap();
                    assert!(sequences.lock().unwrap().insert(response.sequence()), "one answer for two");
                }
            });
        }
    });
    assert_eq!(sequences.into_inner().unwrap(), (1..=100).collect());
}

#[test]
fn s14_5_mutable_and_immutable_servers_give_the_same() {
    let mut answers = Vec::new();
    for handler in ["xor", "edit-xor"] {
        let channel = Channel::new("d145");
        let _server = server(&channel, handler, "");
        let client = channel.connect();
        let responses = (1..=30).map(|key| {
            let response = client.call(&content(key, 1 + 37 * key as usize), LONG).unwrap();
            (response.sequence(), response.data().to_vec())
        });
        answers.push(responses.collect::<Vec<_>>());
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn an_edit_that_fails_is_no_answer() {
    let channel = Channel::new("dedit");
    let mut server = server(&channel, "edit-fail", "");
    let client = channel.connect();
    let text = expect_error(client.call(b"x", LONG), "Remote");
    assert!(text.ends_with("the edit fails (error)"), "{text}");
    assert_eq!(
        server.must("failures"),
        format!("Handler: channel '{}': the handler of request 1 failed: the edit fails", channel.name)
    );
}
