//! Clients and offers that lie.
use std::net::TcpStream;
use std::time::Duration;

use zenoh::qos::CongestionControl;
use zenoh::{Session, Wait as _};

use super::super::common::{Bridge, LIMIT, memory, name, port, wait_for};
use super::{join, tokens};

/// The attachment of a request, see src/wire/ask.rs.
fn ask(session: u64, number: u64, length: u64) -> Vec<u8> {
    let mut bytes = b"ZBBR\x01\x04\0\0".to_vec();
    for number in [session, number, 1 << 20, length, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn query(session: &Session, key: &str, payload: Vec<u8>, attachment: Vec<u8>) {
    session
        .get(key)
        .payload(payload)
        .attachment(attachment)
        .congestion_control(CongestionControl::Block)
        .timeout(Duration::from_secs(5))
        .callback(|_| {})
        .wait()
        .unwrap();
}

#[test]
fn a_client_that_lies_has_no_request_carried_out_and_costs_no_memory() {
    use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
    let (far, near, port) = (name("far"), name("near"), port());
    let server = Server::new(&far, ServerConfig::default());
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&count);
    server
        .start(move |request, mut response| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let address = format!("127.0.0.1:{port}");
    let offer = Bridge::start(&["offer", &format!("{far}=service"), "--listen", &address]);
    offer.says("is offered");
    let session = join(port);
    wait_for("its token", || !tokens(&session, "@zb/1/offer/*/service").is_empty(), String::new);
    let token = tokens(&session, "@zb/1/offer/*/service").remove(0);
    let offerer = token.split('/').nth(3).unwrap().to_owned();
    let call = format!("@zb/1/call/{offerer}/service");
    let before = memory(offer.pid());
    query(&session, &call, vec![1; 10], vec![]);
    query(&session, &call, vec![1; 10], vec![b'x'; 48]);
    query(&session, &call, vec![1; 10], vec![b'x'; 3_000_000]);
    query(&session, &call, vec![1; 10], ask(7, 1, 1 << 63));
    offer.says("a request says that it has 9223372036854775808 bytes");
    query(&session, &call, vec![1; 10], ask(7, 1, 10));
    offer.says("a request of a client that is not there");
    let client = |number: u64| {
        let key = format!("@zb/1/client/{number:016x}/{offerer}/service");
        session.liveliness().declare_token(key).wait().unwrap()
    };
    // One that does not count.
    let _one = client(1);
    query(&session, &call, vec![1; 10], ask(1, 5, 10));
    offer.says("request 5 of a client that does not wait, or does not count");
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 0, "none was carried out");
    // One that does not wait.
    let _two = client(2);
    for number in 1..=500 {
        query(&session, &call, vec![1; 1_000_000], ask(2, number, 1_000_000));
    }
    wait_for("it is given up", || offer.said().matches("does not wait").count() > 1, || offer.said());
    let many: Vec<_> = (10..1000).map(client).collect();
    offer.says("a client is refused, there are 64 already");
    drop(many);
    let grown = memory(offer.pid()).saturating_sub(before);
    println!("the attacks have cost {} MB at most", grown >> 20);
    assert!(grown < 512 << 20, "{grown} bytes");
    session.close().wait().unwrap();
    // An honest one is served as ever.
    let reach = Bridge::start(&["reach", &format!("service={near}"), "--connect", &address]);
    // While the others are just leaving there may be no room for it.
    let is_served = || {
        let config = ClientConfig::default().connect_timeout(LIMIT);
        let called = Client::connect_with(&near, config)
            .and_then(|honest| Ok(honest.call(b"hello", LIMIT)?.data() == b"hello"));
        called.unwrap_or(false)
    };
    wait_for("an honest one is served", is_served, || offer.said());
    reach.stop();
    offer.stop();
}

/// The same, with metadata.
fn ask_with(session: u64, number: u64, length: u64, metadata: usize) -> Vec<u8> {
    let mut bytes = ask(session, number, length);
    bytes[40] = 1;
    bytes.resize(bytes.len() + metadata, b'x');
    bytes
}

#[test]
fn requests_that_wait_or_have_no_answer_yet_fill_no_memory() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use zerobuffer::duplex::{Server, ServerConfig};
    let (far, port) = (name("far"), port());
    let buffer = zerobuffer::BufferConfig::ring(16 << 20).metadata(1 << 20);
    let server = Server::new(&far, ServerConfig::default().buffer(buffer));
    let (held, stuck) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (keep, waits, count) = (Arc::clone(&held), Arc::clone(&stuck), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    server
        .start(move |request, response| {
            drop(request);
            keep.lock().unwrap().push(response);
            counted.fetch_add(1, Ordering::SeqCst);
            while waits.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        })
        .unwrap();
    let offer =
        Bridge::start(&["offer", &format!("{far}=service"), "--listen", &format!("127.0.0.1:{port}")]);
    offer.says("is offered");
    let session = join(port);
    wait_for("its token", || !tokens(&session, "@zb/1/offer/*/service").is_empty(), String::new);
    let token = tokens(&session, "@zb/1/offer/*/service").remove(0);
    let offerer = token.split('/').nth(3).unwrap().to_owned();
    let call = format!("@zb/1/call/{offerer}/service");
    let client = |number: u64| {
        let key = format!("@zb/1/client/{number:016x}/{offerer}/service");
        session.liveliness().declare_token(key).wait().unwrap()
    };
    let query = |payload: usize, attachment: Vec<u8>| {
        let get = session.get(&call).payload(vec![1; payload]).attachment(attachment);
        let get = get.congestion_control(CongestionControl::Block).timeout(LIMIT);
        get.callback(|_| {}).wait().unwrap();
    };
    let before = memory(offer.pid());
    // The server has all of them, and answers none.
    let _one = client(1);
    for number in 1..=60 {
        query(4_000_000, ask(1, number, 4_000_000));
        let at_server = || count.load(Ordering::SeqCst) as u64 == number;
        wait_for("the server has it", at_server, || offer.said());
    }
    let grown = memory(offer.pid()).saturating_sub(before);
    println!("240 MB of requests that the server has have cost {} MB", grown >> 20);
    assert!(grown < 100 << 20, "{grown} bytes");
    // Metadata come with the first request.
    let _two = client(2);
    query(10, ask(2, 1, 10));
    query(10, ask_with(2, 2, 10, 1 << 20));
    offer.says("request 2 brings metadata");
    // The server takes nothing more, and the request buffer is full.
    stuck.store(true, Ordering::SeqCst);
    let _three = client(3);
    (1..=20).for_each(|number| query(1_000_000, ask(3, number, 1_000_000)));
    for group in 1..=6 {
        let clients = group * 100..group * 100 + 50;
        let come: Vec<_> = clients.clone().map(client).collect();
        clients.for_each(|number| query(1, ask_with(number, 1, 1, 1 << 20)));
        // All of them are there once this one is. They leave sooner than requests come.
        query(10, ask(7, 1, group));
        offer.says(&format!("a request says that it has {group} bytes, and has 10"));
        drop(come);
    }
    let grown = memory(offer.pid()).saturating_sub(before);
    println!("300 MB of metadata of clients that left have cost {} MB at most", grown >> 20);
    assert!(grown < 200 << 20, "{grown} bytes");
    stuck.store(false, Ordering::SeqCst);
    held.lock().unwrap().clear();
    session.close().wait().unwrap();
    offer.stop();
}

#[test]
fn an_offer_that_lies_is_refused_or_told_to_the_client() {
    use zerobuffer::duplex::{Client, ClientConfig};
    let (near, port) = (name("near"), port());
    let address = format!("127.0.0.1:{port}");
    let reach = Bridge::start(&["reach", &format!("service={near}"), "--listen", &address, "--ring", "1MiB"]);
    wait_for("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok(), || reach.said());
    let session = join(port);
    let terms = |ring: u64, metadata: u64, hops: u64| {
        let mut bytes = b"ZBBR\x01\x05\0\0".to_vec();
        for number in [ring, metadata, u64::MAX, hops] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    };
    let offer = |offerer: &str, terms: Vec<u8>| {
        let key = format!("@zb/1/terms/{offerer}/service");
        let own = key.clone();
        let queryable = session
            .declare_queryable(key)
            .callback(move |query| query.reply(own.clone(), terms.clone()).wait().unwrap())
            .wait()
            .unwrap();
        let token = session.liveliness().declare_token(format!("@zb/1/offer/{offerer}/service"));
        (token.wait().unwrap(), queryable)
    };
    let _other = session.liveliness().declare_token("@zb/9/offer/a/service").wait().unwrap();
    reach.says("is offered by a bridge of version 9");
    for (bytes, says) in [
        (vec![], "a message of 0 bytes"),
        (vec![1; 5000], "terms of 5000 bytes"),
        (vec![1; 40], "none of a bridge"),
        (terms(1, 1, u64::MAX), "hops"),
    ] {
        let offered = offer("liar", bytes);
        reach.says(says);
        drop(offered);
    }
    // Lengths that nobody has: the ring is as large as --ring says at most.
    let answers = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let turn = std::sync::Arc::clone(&answers);
    let key = "@zb/1/call/huge/service";
    let _calls = session
        .declare_queryable(key)
        .callback(move |query| match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => query.reply_err(vec![0xff; 1000]).wait().unwrap(),
            1 => query.reply(key, Vec::<u8>::new()).wait().unwrap(),
            2 => query.reply(key, vec![1; 5_000_000]).wait().unwrap(),
            3 => {
                query.reply(key, b"first".to_vec()).wait().unwrap();
                query.reply(key, b"second".to_vec()).wait().unwrap();
            }
            _ => {}
        })
        .wait()
        .unwrap();
    let _offered = offer("huge", terms(u64::MAX, u64::MAX, 0));
    let config = ClientConfig::default().connect_timeout(LIMIT);
    let client = Client::connect_with(&near, config).unwrap();
    let info = zerobuffer::observe::inspect(&format!("{near}_request")).unwrap();
    assert!(info.payload_size <= 1 << 20 && info.metadata_size <= 1 << 20, "{info:?}");
    for _ in 0..2 {
        match client.call(b"hello", LIMIT) {
            Err(zerobuffer::Error::Remote { kind, .. }) => assert_eq!(kind, "bridge"),
            other => panic!("{other:?}"),
        }
    }
    let large = client.call(b"hello", LIMIT);
    assert!(matches!(large, Err(zerobuffer::Error::ResponseTooLarge { size: 5_000_000, .. })), "{large:?}");
    assert_eq!(client.call(b"hello", LIMIT).unwrap().data(), b"first");
    // No answer at all: the server has dropped the query.
    let gone = client.call(b"hello", LIMIT);
    assert!(matches!(gone, Err(zerobuffer::Error::ServerGone { .. })), "{gone:?}");
    reach.stop();
}

#[test]
fn a_pattern_lets_nobody_send_requests_to_a_service() {
    use zerobuffer::duplex::{Server, ServerConfig};
    let (channel, port) = (name("calc"), port());
    let server = Server::new(&channel, ServerConfig::default());
    let called = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let calls = std::sync::Arc::clone(&called);
    server
        .start(move |_, _| {
            calls.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
    let recv = Bridge::start(&["recv", "**", "--listen", &format!("127.0.0.1:{port}")]);
    wait_for("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok(), || recv.said());
    let session = join(port);
    let key = format!("@zb/1/send/{}-0/{channel}_request", session.zid());
    let _token = session.liveliness().declare_token(key).wait().unwrap();
    recv.says(&format!("'{channel}_request' is offered, and not allowed here"));
    let info = zerobuffer::observe::inspect(&format!("{channel}_request")).unwrap();
    assert!(info.writer.is_none() && !called.load(std::sync::atomic::Ordering::SeqCst), "{info:?}");
    recv.stop();
}
