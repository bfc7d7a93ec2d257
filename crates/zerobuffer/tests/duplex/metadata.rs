//! What a client tells the server before its first request (D7).

use crate::{Channel, LONG, common::content, common::expect_error, server};

#[test]
fn absent_empty_and_present_metadata() {
    let channel = Channel::new("dmeta");
    let mut server = server(&channel, "echo", "");
    for (len, told) in
        [(None, "none"), (Some(0), "0"), (Some(4088), "4088"), (None, "none"), (Some(10), "10")]
    {
        let client = channel.connect();
        if let Some(len) = len {
            // The predecessor's are gone by then, or soon.
            client.set_metadata(&content(1, len)).unwrap();
            expect_error(client.set_metadata(b"again"), "MetadataAlreadyWritten");
        }
        for _ in 0..3 {
            client.call(b"x", LONG).unwrap();
        }
        let inits = server.must("inits");
        assert_eq!(inits.split(' ').next_back().unwrap(), told, "{inits}");
    }
    assert_eq!(server.must("inits"), "none 0 4088 none 10", "once per client");
}

#[test]
fn metadata_that_are_too_large_and_an_init_that_fails() {
    let channel = Channel::new("dmeta2");
    let mut server = server(&channel, "echo", "metadata=1024");
    let client = channel.connect();
    let text = expect_error(client.set_metadata(&[0; 1017]), "MetadataTooLarge");
    assert!(text.contains("1017 bytes") && text.contains("holds 1016"), "{text}");
    client.set_metadata(&[0; 666]).unwrap();
    client.call(b"the request is handled all the same", LONG).unwrap();
    let failures = server.must("failures");
    assert!(failures.starts_with("Init: ") && failures.ends_with("metadata of 666 bytes"), "{failures}");
}

#[test]
fn metadata_of_a_killed_client_do_not_reach_the_next_one() {
    let channel = Channel::new("dmeta3");
    let mut server = server(&channel, "echo", "");
    for round in 0..3 {
        let mut client = crate::agent::start();
        client.must(&format!("connect {} 65536", channel.name));
        client.must(&format!("set-meta 1 {}", 100 + round));
        if round % 2 == 0 {
            client.must("call 1 10 20000");
        }
        client.kill();
    }
    let client = channel.connect();
    client.call(b"x", LONG).unwrap();
    assert_eq!(server.must("inits"), "100 102 none");
}
