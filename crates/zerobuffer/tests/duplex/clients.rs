//! The client's two ways of asking, side by side.

use crate::{Channel, LONG, common::expect_error, server};
use std::{thread, time::Duration};
use zerobuffer::{
    Error,
    duplex::{Client, ClientConfig, Server, ServerConfig},
};

#[test]
fn calls_and_sends_do_not_take_each_other_s_responses() {
    let channel = Channel::new("dmix");
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    let sent = client.send(b"sent 1").unwrap();
    let call = client.submit(b"called").unwrap();
    client.send(b"sent 2").unwrap();
    let given_up = client.submit(b"given up").unwrap();
    drop(given_up);
    client.send(b"sent 3").unwrap();
    for (expected, sequence) in [(&b"sent 1"[..], 1), (b"sent 2", 3), (b"sent 3", 5)] {
        let response = client.receive(LONG).unwrap().unwrap();
        assert_eq!((response.data(), response.sequence()), (expected, sequence));
    }
    assert_eq!(sent, 1);
    assert_eq!(call.wait(Duration::ZERO).unwrap().unwrap().data(), b"called");
    assert!(call.wait(Duration::ZERO).unwrap().is_none(), "there is one response");
    assert!(client.receive(Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_loan_refuses_what_would_wait_for_it() {
    let channel = Channel::new("dloan");
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    let pending = |error: Error| assert!(matches!(error, Error::RequestPending { .. }), "{error}");
    let mut request = client.loan(4).unwrap();
    request.copy_from_slice(b"lent");
    // All on the thread of the loan.
    pending(client.loan(4).unwrap_err());
    pending(client.send(b"sent").unwrap_err());
    pending(client.submit(b"call").unwrap_err());
    pending(client.begin(4).unwrap_err());
    pending(client.commit(4).unwrap_err());
    pending(client.set_metadata(b"metadata").unwrap_err());
    assert!(!client.abort() && client.keep_alive().is_none());
    assert_eq!(request.submit().unwrap().wait(LONG).unwrap().unwrap().data(), b"lent");
    drop(client.loan(4).unwrap());
    assert_eq!(client.call(b"call", LONG).unwrap().data(), b"call");

    let request = client.loan(4).unwrap();
    client.close().unwrap();
    let closed = request.send().unwrap_err();
    assert!(matches!(closed, Error::Closed { .. }), "{closed}");
    assert!(matches!(client.loan(4).unwrap_err(), Error::Closed { .. }));
    // The place is free again.
    assert_eq!(channel.connect().call(b"next", LONG).unwrap().data(), b"next");
}

#[test]
fn a_client_closed_by_another_thread_ends_all_waits() {
    let channel = Channel::new("dclose");
    let _server = server(&channel, "slow:60000", "");
    let client = channel.connect();
    thread::scope(|scope| {
        let waits: Vec<_> = (0..3)
            .map(|i| {
                let client = &client;
                scope.spawn(
                    move || if i == 0 { client.receive(LONG) } else { client.call(b"x", LONG).map(Some) },
                )
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        client.close().unwrap();
        for wait in waits {
            expect_error(wait.join().unwrap(), "Closed");
        }
    });
    expect_error(client.send(b"x"), "Closed");
    let left = channel.response.leftovers();
    // On Windows the server, which is still in its handler, has the semaphores open and so keeps
    // their names.
    let kept = |path: &std::path::PathBuf| cfg!(windows) && path.to_string_lossy().starts_with("sem-");
    assert!(left.iter().all(kept), "{left:?}");
    client.close().unwrap();
}

#[test]
fn responses_outlive_their_client() {
    let channel = Channel::new("doutlive");
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    let response = client.call(&[7; 1000], LONG).unwrap();
    client.close().unwrap();
    drop(client);
    assert_eq!(response.data(), [7; 1000]);
}

#[test]
fn who_may_not_connect_leaves_no_trace() {
    let channel = Channel::new("dtrace");
    let small = || ClientConfig::default().response_size(4096);
    expect_error(Client::connect_with(&channel.name, small()), "NoServer");
    assert!(channel.response.leftovers().is_empty(), "a response buffer without a server");
    let mut server = server(&channel, "echo", "");
    let huge = ClientConfig::default().response_size(1 << 50);
    let text = expect_error(Client::connect_with(&channel.name, huge), "NoResponseSpace");
    assert!(text.contains("`response_size`") && text.contains("needs 11258999"), "{text}");
    assert!(channel.response.leftovers().is_empty());
    // The server has not even seen it.
    assert_eq!(server.must("failures"), "");
    let client = channel.connect();
    let second = Client::connect_with(&channel.name, small());
    assert!(second.is_err(), "two clients at a time");
    drop(client.call(b"x", LONG).unwrap());
}

/// The name of the response buffer is the longer one: no server can have such a channel, and none
/// is waited for.
#[test]
fn a_channel_whose_buffers_cannot_be_named_is_refused_by_both_ends() {
    for name in ["a/b", "..//", "sem.x", &"n".repeat(237), &"n".repeat(246)] {
        let server = Server::new(name, ServerConfig::default());
        expect_error(server.start(|_, _| Ok(())), "InvalidName");
        let patient = ClientConfig::default().connect_timeout(LONG);
        expect_error(Client::connect_with(name, patient), "InvalidName");
    }
}

#[test]
fn a_second_client_learns_that_there_is_one() {
    let channel = Channel::new("dsecond");
    expect_no_wait(&channel);
    let _server = server(&channel, "echo", "");
    let client = channel.connect();
    drop(client.call(b"x", LONG).unwrap());
    let config = ClientConfig::default().response_size(4096).succession(Duration::from_millis(20));
    let second = Client::connect_with(&channel.name, config);
    assert!(
        matches!(&second, Err(Error::ClientAlreadyConnected { name, pid })
            if *name == channel.name && *pid == u64::from(std::process::id())),
        "{second:?}"
    );
    let text = second.unwrap_err().to_string();
    assert!(text.contains("several_clients()") && text.contains("clients=True"), "{text}");
}

/// Without a server: what was not waited for was not waited for.
fn expect_no_wait(channel: &Channel) {
    let absent = Client::connect(&channel.name);
    assert!(
        matches!(&absent, Err(Error::NoServer { waited: Duration::ZERO, name }) if *name == channel.name),
        "{absent:?}"
    );
    let config = ClientConfig::default().connect_timeout(Duration::from_millis(30));
    let absent = Client::connect_with(&channel.name, config);
    assert!(
        matches!(&absent, Err(Error::NoServer { waited, .. }) if *waited >= Duration::from_millis(30)),
        "{absent:?}"
    );
}

#[test]
fn the_response_ring_is_as_large_as_the_request_ring_by_default() {
    let channel = Channel::new("dsize");
    let _server = server(&channel, "echo", "ring=147456");
    let client = Client::connect(&channel.name).unwrap();
    assert_eq!(
        (client.response_buffer().capacity(), client.response_buffer().metadata_capacity()),
        (147_456, 4096)
    );
    drop(client);
    let client = Client::connect_with(&channel.name, ClientConfig::default().response_size(8192)).unwrap();
    assert_eq!(client.response_buffer().capacity(), 8192);
    drop(client);
    let huge = ClientConfig::default().response_size(1 << 50);
    let text = expect_error(Client::connect_with(&channel.name, huge), "NoResponseSpace");
    assert!(text.contains("`response_size`"), "{text}");
}

/// However many slices it takes: one wait is one.
#[test]
fn a_long_wait_counts_once_at_both_ends() {
    let channel = Channel::new("dwaits");
    let server = Server::new(&channel.name, ServerConfig::default());
    server
        .start(|request, mut response| {
            thread::sleep(Duration::from_millis(300));
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let client = channel.connect();
    // The server is connected from here on.
    drop(client.call(b"x", LONG).unwrap());
    let requests = server.request_buffer().unwrap();
    let before = (client.response_buffer().stats().waits, requests.stats().waits);
    thread::sleep(Duration::from_millis(300));
    drop(client.call(b"x", LONG).unwrap());
    let after = (client.response_buffer().stats().waits, requests.stats().waits);
    assert!(after.0 - before.0 <= 2 && after.1 - before.1 <= 2, "{before:?}, {after:?}");
}
