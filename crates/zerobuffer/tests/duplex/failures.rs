//! What a client learns of a request that its server could not answer (D8).

use crate::{
    Channel, LONG, agent,
    common::{check, content, expect_error},
    server,
};
use std::time::{Duration, Instant};
use zerobuffer::{
    Error,
    duplex::{Client, ClientConfig, HandlerError, Server, ServerConfig},
};

#[track_caller]
fn remote(result: zerobuffer::Result<zerobuffer::duplex::Response>) -> (u64, String, String, String) {
    match result {
        Err(Error::Remote { request, kind, message, detail, .. }) => (request, kind, message, detail),
        other => panic!("expected what the handler says, got {other:?}"),
    }
}

#[test]
fn a_failed_handler_is_reported_at_once() {
    for options in ["", "pool=3"] {
        let channel = Channel::new("dfail");
        let mut peer = server(&channel, "mischief", options);
        let client = channel.connect();
        let reported = |request: &[u8]| {
            let started = Instant::now();
            let (_, kind, message, _) = remote(client.call(request, LONG));
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
            (kind, message)
        };
        assert_eq!(reported(&[2]), ("error".to_owned(), "raised".to_owned()));
        assert_eq!(reported(&[4]).0, "no-answer");
        assert_eq!(reported(&[6]), ("panic".to_owned(), "a panic that the test wants".to_owned()));
        assert_eq!(client.call(&[0], LONG).unwrap().data(), [0, 1]);
        let text = expect_error(client.call(&[2], LONG), "Remote");
        assert!(
            text.contains(&channel.name) && text.contains("request 5") && text.contains("raised"),
            "{text}"
        );
        // In flight together: each has its own fate, in order.
        let kinds = [0, 2, 0, 4, 6, 3, 2, 5];
        let calls = kinds.map(|kind| client.submit(&[kind]).unwrap());
        for (kind, call) in kinds.iter().zip(&calls) {
            let answer = call.wait(LONG);
            match kind {
                0 | 3 | 5 => assert_eq!(answer.unwrap().unwrap().data(), [*kind, 1]),
                _ => assert_eq!(remote(answer.map(Option::unwrap)).0, call.sequence()),
            }
        }
        // The failure of a merely sent request is reported where its response would be received.
        let sent = [2, 0, 4].map(|kind| client.send(&[kind]).unwrap());
        assert_eq!(remote(client.receive(LONG).map(Option::unwrap)).0, sent[0]);
        assert_eq!(client.receive(LONG).unwrap().unwrap().sequence(), sent[1]);
        assert_eq!(remote(client.receive(LONG).map(Option::unwrap)).0, sent[2]);
        assert!(client.receive(Duration::ZERO).unwrap().is_none());
        assert!(peer.must("failures").contains("failed: raised"));
    }
}

#[test]
fn an_error_of_any_kind_is_told_also_after_the_handler_has_returned() {
    let channel = Channel::new("dlater");
    let server = Server::new(&channel.name, ServerConfig::default().on_error(|failure| panic!("{failure}")));
    let name = channel.name.clone();
    server
        .start(move |request, mut response| {
            let name = name.clone();
            std::thread::spawn(move || {
                let error = match request.data() {
                    b"too large" => {
                        let request = response.sequence();
                        Error::ResponseTooLarge { name, request, size: 5000, max: 4080 }.into()
                    }
                    _ => HandlerError::new("format", "no picture").into(),
                };
                assert_eq!(response.fail_with(&error).unwrap().sequence(), Some(response.sequence()));
            });
            Ok(())
        })
        .unwrap();
    let client = channel.connect();
    match client.call(b"too large", LONG) {
        Err(Error::ResponseTooLarge { request: 1, size: 5000, max: 4080, .. }) => {}
        other => panic!("{other:?}"),
    }
    let (request, kind, message, _) = remote(client.call(b"other", LONG));
    assert_eq!((request, &*kind, &*message), (2, "format", "no picture"));
}

#[test]
fn a_handler_says_what_is_reported_to_its_client() {
    let channel = Channel::new("dsays");
    let server = Server::new(&channel.name, ServerConfig::default().on_error(|_| {}));
    server
        .start(|request, mut response| match request.data() {
            b"returned" => Err(HandlerError::new("format", "no picture").detail("line 1\nline \"2\"").into()),
            b"sent" => {
                let failure = HandlerError::new("busy", "come again").detail("x".repeat(1 << 20));
                assert_eq!(response.fail(&failure)?.sequence(), Some(response.sequence()));
                assert!(response.is_answered());
                Ok(())
            }
            b"caused" => Err(Error::Os {
                operation: "open",
                object: "it".to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            }
            .into()),
            _ => Ok(response.write(request.data()).map(drop)?),
        })
        .unwrap();
    let client = channel.connect();
    let reported = |request: &[u8]| {
        let (_, kind, message, detail) = remote(client.call(request, LONG));
        (kind, message, detail)
    };
    let text = str::to_owned;
    assert_eq!(reported(b"returned"), (text("format"), text("no picture"), text("line 1\nline \"2\"")));
    let (kind, message, detail) = reported(b"sent");
    assert_eq!((&*kind, &*message), ("busy", "come again"));
    assert!(detail.len() > 1000 && detail.bytes().all(|byte| byte == b'x'), "cut to what fits");
    let (kind, message, detail) = reported(b"caused");
    assert_eq!(kind, "error");
    assert!(
        message.starts_with("cannot open it: ") && detail.starts_with("caused by: "),
        "{message}, {detail}"
    );
    // In the smallest ring that there is.
    drop(client);
    let tiny =
        Client::connect_with(&channel.name, ClientConfig::default().response_size(64).connect_timeout(LONG));
    let tiny = tiny.unwrap();
    let (_, kind, ..) = remote(tiny.call(b"sent", LONG));
    assert_eq!(kind, "busy");
    assert_eq!(tiny.call(b"fits", LONG).unwrap().data(), b"fits");
}

#[test]
fn a_response_that_does_not_fit_is_reported_to_both_with_its_numbers() {
    let channel = Channel::new("dlarge");
    let mut peer = server(&channel, "echo", "");
    let client = channel.connect_with(4096);
    match client.call(&content(1, 5000), LONG) {
        Err(Error::ResponseTooLarge { name, request: 1, size: 5000, max: 4080 }) => {
            assert_eq!(name, channel.name);
        }
        other => panic!("{other:?}"),
    }
    let failures = peer.must("failures");
    assert!(
        failures.contains("5000 bytes") && failures.contains("4080") && failures.contains("at least 5016"),
        "{failures}"
    );
    check(client.call(&content(2, 4000), LONG).unwrap().data(), 2).unwrap();
}

#[test]
fn four_ends_of_a_call_are_four_errors() {
    let channel = Channel::new("dfour");
    let mut peer = server(&channel, "slow:300", "");
    let client = channel.connect_with(4096);
    let text = expect_error(client.call(b"x", Duration::from_millis(20)), "NoResponse");
    assert!(text.contains("request 1") && text.contains("20 ms"), "{text}");
    expect_error(client.call(&content(1, 5000), LONG), "ResponseTooLarge");
    peer.kill();
    expect_error(client.call(b"x", LONG), "ServerGone");
    drop(client);
    let mut peer = server(&channel, "mischief", "");
    expect_error(channel.connect().call(&[2], LONG), "Remote");
    peer.must("close");
}

/// One that answers and one that fails, from another process that is killed in between: nobody gets
/// a strange answer.
#[test]
fn failures_of_a_killed_client_do_not_reach_the_next_one() {
    let channel = Channel::new("dfailk");
    let _server = server(&channel, "mischief", "pool=2");
    for round in 0..6_u64 {
        let mut first = agent::start();
        first.must(&format!("connect {} 65536", channel.name));
        for key in 1..=5 {
            // Mischief goes by the last byte: most of these fail.
            first.must(&format!("send {key} 300"));
        }
        first.kill();
        let next = channel.connect();
        let (request, kind, ..) = remote(next.call(&[4], LONG));
        assert_eq!(kind, "no-answer", "round {round}");
        assert_eq!(next.call(&[0], LONG).unwrap().sequence(), request + 1);
    }
}
