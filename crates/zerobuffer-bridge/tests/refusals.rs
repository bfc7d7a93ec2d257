//! What a bridge refuses, and says why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use common::{
    Bridge, Pair, RGB, check, memory, name, next, port, reader, wait_for, write, write_all, writer,
};

#[test]
fn a_loop_of_bridges_is_refused_by_the_one_that_would_close_it() {
    // A to B, and back to A: two links that know nothing of each other.
    let (a, b) = (name("a"), name("b"));
    let there = format!("127.0.0.1:{}", port());
    let back = format!("127.0.0.1:{}", port());
    // The readers of both rings are bridges.
    let send_b = Bridge::start(&["send", &format!("{b}=back"), "--listen", &back, "--ring", "1MiB"]);
    let send_a = Bridge::start(&["send", &format!("{a}=there"), "--listen", &there, "--ring", "1MiB"]);
    send_a.says("is published");
    send_b.says("is published");
    let recv_b = Bridge::start(&["recv", &format!("there={b}"), "--connect", &there]);
    // The only writer that has frames of its own.
    let mut source = writer(&a);
    source.write(&[1; 1000]).unwrap();
    send_a.says("is there");
    let is_filled = || zerobuffer::observe::inspect(&b).is_ok_and(|info| info.writer.is_some());
    wait_for("B is filled", is_filled, || recv_b.said());
    let recv_a = Bridge::start(&["recv", &format!("back={a}"), "--connect", &back]);
    recv_a.says("a loop of bridges");
    send_b.says("a loop of bridges");
    for bridge in [send_a, send_b, recv_a, recv_b] {
        bridge.stop();
    }
}

#[test]
fn two_bridges_filling_one_ring_are_one_too_many() {
    let (from, to) = (name("from"), name("to"));
    let mut reader = reader(&to, 4, RGB);
    let pair = Pair::start(&from, &to, &[], &[]);
    let mut writer = writer(&from);
    write(&mut writer, RGB, 1);
    assert_eq!(check(&next(&mut reader)).0, 1);
    let other = name("other");
    let address = format!("127.0.0.1:{}", port());
    let send = Bridge::start(&["send", &format!("{other}=cam"), "--listen", &address]);
    let mut second = common::writer(&other);
    second.write(&[1; 100]).unwrap();
    let (code, said) = Bridge::start(&["recv", &format!("cam={to}"), "--connect", &address]).end();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("another bridge") && said.contains("no second bridge"), "{said}");
    // The first one does not notice.
    write(&mut writer, RGB, 2);
    assert_eq!(check(&next(&mut reader)).0, 2);
    let (code, said) = Bridge::start(&["send", &from, "--connect", &address]).end();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("already has a reader") && said.contains("--tap"), "{said}");
    send.stop();
    pair.send.stop();
    pair.recv.stop();
}

#[test]
fn a_ring_that_is_too_small_is_named_with_the_size_that_would_do() {
    let (from, to) = (name("from"), name("to"));
    let small = reader(&to, 1, 1000);
    let pair = Pair::start(&from, &to, &[], &[]);
    let mut writer = writer(&from);
    write(&mut writer, RGB, 1);
    pair.recv.says(&format!("a frame of {RGB} bytes came"));
    pair.send.says("create it with at least");
    // A ring that is large enough gets the frame, which was not lost.
    drop(small);
    let mut large = reader(&to, 4, RGB);
    assert_eq!(check(&next(&mut large)).0, 1);
    pair.send.stop();
    pair.recv.stop();
}

#[test]
fn metadata_that_do_not_fit_are_refused() {
    let (from, to) = (name("from"), name("to"));
    let _far = reader(&to, 4, 1000);
    let pair = Pair::start(&from, &to, &[], &[]);
    let mut writer = writer(&from);
    writer.set_metadata(&[b'x'; 20_000]).unwrap();
    write(&mut writer, 1000, 1);
    pair.recv.says("20000 bytes of metadata do not fit");
    pair.send.stop();
    pair.recv.stop();
}

/// Behind frames that wait for room comes an opening that is larger than all that the ring holds.
#[test]
fn large_metadata_get_through_beside_a_tiny_ring() {
    let (from, to) = (name("from"), name("to"));
    let config = zerobuffer::BufferConfig::ring(4 * 1064).metadata(400_000);
    let mut far = zerobuffer::Reader::create(&to, config).unwrap();
    let pair = Pair::start(&from, &to, &["--metadata", "1MiB"], &[]);
    let mut first = writer(&from);
    (1..=6).for_each(|number| write(&mut first, 1000, number));
    first.close().unwrap();
    let mut second = writer(&from);
    second.set_metadata(&vec![b'x'; 300_000]).unwrap();
    write(&mut second, 1000, 7);
    std::thread::sleep(Duration::from_secs(2));
    for number in 1..=7 {
        assert_eq!(check(&next(&mut far)).0, number);
    }
    assert_eq!(far.metadata().unwrap().unwrap().data().len(), 300_000);
    let (send, recv) = (pair.send.stop(), pair.recv.stop());
    assert!(!recv.contains("does not wait"), "{recv}");
    assert_eq!(common::count(&send, " left out,"), 0, "{send}");
}

#[test]
fn names_that_are_no_key_expressions() {
    for (arguments, part) in [
        (&["send", "cam=a//b"][..], "no key expression"),
        (&["send", "cam=a*"], "%2A"),
        (&["send", "cam=@zb/1"], "%40"),
        (&["send", "a/b"], "a/b"),
        (&["send", "cam", "cam"], "twice"),
        (&["send", "cam", "--connect", "nowhere"], "is no endpoint"),
        (&["recv", "a#b"], "no key expression"),
        (&["recv", "a=x", "b=x"], "one buffer"),
        (&["recv", "cam", "--config", "/no/such/file"], "/no/such/file"),
        (&["recv", "cam", "--owner", "nobody?"], "is no owner"),
        (&["send"], "required"),
        (&["fly"], "unrecognized"),
    ] {
        let (code, said) = Bridge::start(arguments).end();
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn only_what_is_allowed_comes_in() {
    let (from, to, other, secret) = (name("from"), name("to"), name("other"), name("secret"));
    let mut wanted = reader(&to, 4, 1000);
    let address = format!("127.0.0.1:{}", port());
    let recv = Bridge::start(&["recv", &format!("lab/cam={to}"), "mic*", "--listen", &address]);
    let (one, two) = (format!("{from}=lab/cam"), format!("{other}=lab/{secret}"));
    let send = Bridge::start(&["send", &one, &two, "--connect", &address]);
    // A ring is there that the other stream would fill.
    let unwanted = reader(&format!("lab.{secret}"), 4, 1000);
    recv.says(&format!("'lab/{secret}' is offered, and not allowed here"));
    let mut writer = writer(&from);
    write(&mut writer, 1000, 1);
    assert_eq!(check(&next(&mut wanted)).0, 1);
    assert!(!unwanted.is_writer_connected());
    send.stop();
    recv.stop();
}

#[test]
fn garbage_on_the_port_disturbs_no_stream() {
    let (from, to) = (name("from"), name("to"));
    let mut reader = reader(&to, 4, RGB);
    let pair = Pair::start(&from, &to, &[], &[]);
    pair.send.says("is there");
    let writing = write_all(&from, RGB, 1..=100, Duration::from_millis(10));
    for kind in 0..40u8 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", pair.port)) else { continue };
        let bytes = match kind % 4 {
            // The length of a batch, and too little behind it.
            0 => vec![0xff, 0xff, 1],
            1 => vec![kind; 200_000],
            2 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            _ => vec![0; 3],
        };
        let _ = stream.write_all(&bytes);
    }
    (1..=100).for_each(|number| assert_eq!(check(&next(&mut reader)).0, number));
    drop(writing.join().unwrap());
    pair.send.stop();
    pair.recv.stop();
}

/// A peer that speaks the engine's language, and lies.
mod hostile {
    use super::*;
    use zenoh::qos::CongestionControl;
    use zenoh::{Config, Session, Wait as _};

    fn join(port: u16) -> Session {
        let mut config = Config::default();
        config.insert_json5("connect/endpoints", &format!("[\"tcp/127.0.0.1:{port}\"]")).unwrap();
        config.insert_json5("listen/endpoints", "[]").unwrap();
        config.insert_json5("scouting/multicast/enabled", "false").unwrap();
        zenoh::open(config).wait().unwrap()
    }

    fn put(session: &Session, key: &str, payload: Vec<u8>, attachment: Vec<u8>) {
        session
            .put(key, payload)
            .attachment(attachment)
            .congestion_control(CongestionControl::Block)
            .wait()
            .unwrap();
    }

    /// A header of 64 bytes, see src/wire.rs.
    fn header(kind: u8, epoch: u64, number: u64, run: u64, sequence: u64, length: u64) -> Vec<u8> {
        let mut bytes = b"ZBBR\x01".to_vec();
        bytes.extend_from_slice(&[kind, 0, 0]);
        for number in [epoch, number, run, sequence, 0, 0, length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// An opening of a live stream without metadata.
    const OPENING: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn a_sender_that_lies_is_refused_and_costs_no_memory() {
        let to = name("to");
        let far = reader(&to, 4, RGB);
        let port = port();
        let recv = Bridge::start(&["recv", &format!("cam={to}"), "--listen", &format!("127.0.0.1:{port}")]);
        std::thread::sleep(Duration::from_millis(500));
        let session = join(port);
        let sender = format!("{}-0", session.zid());
        // Tokens that mean nothing, of another version, and of a stream that is not allowed.
        let tokens: Vec<_> =
            ["@zb/1/send/x", "@zb/9/send/evil/cam", "@zb/1/send/evil/other", "@zb/1/recv/a/b/c"]
                .iter()
                .map(|key| session.liveliness().declare_token(*key).wait().unwrap())
                .collect();
        recv.says("is offered by a bridge of version 9");
        recv.says("'other' is offered, and not allowed");
        let statuses = session.declare_subscriber(format!("@zb/1/back/{sender}/*/cam")).wait().unwrap();
        let _token = session.liveliness().declare_token(format!("@zb/1/send/{sender}/cam")).wait().unwrap();
        let key = || {
            let status = statuses.recv_timeout(common::LIMIT).unwrap().expect("the bridge speaks");
            status.key_expr().as_str().replace("/back/", "/data/")
        };
        let before = memory(recv.pid());
        // Each is a lane of its own, which the bridge ends with a reason. What comes while it is
        // just ending one is not heard.
        let expect = |what: &str, attack: &dyn Fn(&str)| {
            let until = std::time::Instant::now() + common::LIMIT;
            while !recv.said().contains(what) {
                assert!(std::time::Instant::now() < until, "'{what}' is not said: {}", recv.said());
                while statuses.try_recv().is_ok_and(|status| status.is_some()) {}
                attack(&key());
                std::thread::sleep(Duration::from_millis(500));
            }
        };
        expect("which has at least 64", &|key| put(&session, key, vec![1; 10], vec![]));
        expect("none of a bridge", &|key| put(&session, key, vec![1; 10], vec![b'x'; 64]));
        expect("a message of unknown kind 77", &|key| put(&session, key, vec![], header(77, 1, 1, 1, 1, 0)));
        expect("says that it has 9223372036854775808 bytes", &|key| {
            put(&session, key, vec![1; 10], header(2, 1, 1, 1, 1, 1 << 63));
        });
        expect("a message of version 9", &|key| {
            let mut bytes = header(2, 1, 1, 1, 1, 10);
            bytes[4] = 9;
            put(&session, key, vec![1; 10], bytes);
        });
        expect("4294967295 bytes of metadata", &|key| {
            let bytes = vec![1, 1, 0, 0, 255, 255, 255, 255];
            put(&session, key, bytes, header(1, 100, 1, 5, 0, 8));
        });
        expect("a frame of another run", &|key| {
            put(&session, key, OPENING.to_vec(), header(1, 101, 1, 5, 0, 8));
            put(&session, key, vec![1; 10], header(2, 101, 2, 6, 1, 10));
        });
        expect("a frame of 30000000 bytes came", &|key| {
            put(&session, key, OPENING.to_vec(), header(1, 102, 1, 5, 0, 8));
            put(&session, key, vec![1; 30_000_000], header(2, 102, 2, 5, 1, 30_000_000));
        });
        expect("a frame came while the stream had no writer", &|key| {
            put(&session, key, vec![0; 8], header(1, 103, 1, 5, 0, 8));
            put(&session, key, vec![1; 10], header(2, 103, 2, 5, 1, 10));
        });
        expect("the sender does not wait", &|key| {
            put(&session, key, OPENING.to_vec(), header(1, 104, 1, 5, 0, 8));
            // The ring takes four, and nobody reads.
            for number in 2..=200 {
                put(&session, key, vec![1; 2_000_000], header(2, 104, number, 5, number, 2_000_000));
            }
        });
        let grown = memory(recv.pid()).saturating_sub(before);
        println!("the attacks have cost {} MB at most", grown >> 20);
        assert!(grown < 1 << 30, "{grown} bytes");
        drop(tokens);
        drop(far);
        recv.stop();
    }

    #[test]
    fn a_receiver_that_lies_gets_nothing_that_was_not_sent_and_holds_nobody_up() {
        let (from, to) = (name("from"), name("to"));
        let mut far = reader(&to, 4, RGB);
        let pair = Pair::start(&from, &to, &["--policy", "latest"], &[]);
        pair.send.says("is there");
        // It joins the bridge that listens, and through its peer nobody: the sender connects only.
        let port = port();
        let other = name("other");
        let send = Bridge::start(&["send", &format!("{other}=x"), "--listen", &format!("127.0.0.1:{port}")]);
        let session = join(port);
        wait_for("its token", || !tokens(&session, "@zb/1/send/*/x").is_empty(), String::new);
        let token = tokens(&session, "@zb/1/send/*/x").remove(0);
        let sender = token.split('/').nth(3).unwrap().to_owned();
        let _one = session.liveliness().declare_token(format!("@zb/1/recv/evil/{sender}/x")).wait().unwrap();
        send.says("receiver evil is there");
        for bytes in [vec![], vec![0; 10], vec![0xff; 56], vec![0; 5000]] {
            put(&session, &format!("@zb/1/back/{sender}/evil/x"), bytes, vec![]);
        }
        send.says("a receiver sends");
        // 1000 names that come and go.
        let many: Vec<_> = (0..1000)
            .map(|n| {
                session.liveliness().declare_token(format!("@zb/1/recv/e{n}/{sender}/x")).wait().unwrap()
            })
            .collect();
        send.says("a receiver is refused");
        drop(many);
        session.close().wait().unwrap();
        send.says("receiver evil is gone");
        send.stop();
        let mut writer = writer(&from);
        write(&mut writer, RGB, 1);
        assert_eq!(check(&next(&mut far)).0, 1);
        pair.send.stop();
        pair.recv.stop();
    }

    /// Threads of a process.
    fn threads(pid: u32) -> usize {
        std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
    }

    #[test]
    fn receivers_that_left_while_the_engine_waits_for_their_peer_keep_few_threads() {
        let (from, to, port) = (name("from"), name("to"), port());
        let address = format!("127.0.0.1:{port}");
        let out = format!("{from}=x");
        // Without notes, of which there would be one for each that comes.
        let send = Bridge::start(&["-q", "send", &out, "--listen", &address, "--metadata", "1MiB"]);
        wait_for("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok(), || send.said());
        let mut source = writer(&from);
        // Each receiver gets these first, so a few of them fill all that lies between.
        source.set_metadata(&vec![b'x'; 900_000]).unwrap();
        write(&mut source, 1000, 1);
        let session = join(port);
        wait_for("its token", || !tokens(&session, "@zb/1/send/*/x").is_empty(), String::new);
        let sender = tokens(&session, "@zb/1/send/*/x").remove(0).split('/').nth(3).unwrap().to_owned();
        // The peer takes nothing while this is so.
        let stuck = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let is_stuck = std::sync::Arc::clone(&stuck);
        let _takes = session
            .declare_subscriber(format!("@zb/1/data/{sender}/*/x"))
            .callback(move |_| {
                while is_stuck.load(std::sync::atomic::Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
            .wait()
            .unwrap();
        let before = threads(send.pid());
        let mut most = 0;
        for round in 0..4 {
            let come: Vec<_> = (0..60)
                .map(|number| {
                    let key = format!("@zb/1/recv/e{round}x{number}/{sender}/x");
                    session.liveliness().declare_token(key).wait().unwrap()
                })
                .collect();
            std::thread::sleep(Duration::from_millis(1500));
            most = most.max(threads(send.pid()));
            drop(come);
            std::thread::sleep(Duration::from_millis(500));
        }
        println!("240 receivers that came and went: {before} threads before, {most} at most");
        assert!(most >= before + 100, "nothing is shown: {most} threads");
        // And a few that the engine has for its own waits.
        assert!(most <= before + 128 + 16, "{most} threads");
        send.says("a receiver is refused, 128 threads serve others");
        // Once the peer takes what is on its way they end. It stays until then: where a connection
        // ends while the engine waits, that goes on waiting for a minute.
        stuck.store(false, std::sync::atomic::Ordering::SeqCst);
        wait_for("they end", || threads(send.pid()) <= before + 16, || threads(send.pid()).to_string());
        session.close().wait().unwrap();
        // An honest one is served as ever.
        let far = zerobuffer::BufferConfig::ring(1 << 20).metadata(1 << 20);
        let mut far = zerobuffer::Reader::create(&to, far).unwrap();
        let recv = Bridge::start(&["recv", &format!("x={to}"), "--connect", &address]);
        assert_eq!(check(&next(&mut far)).0, 1);
        recv.stop();
        send.stop();
    }

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
            let config = ClientConfig::default().connect_timeout(common::LIMIT);
            let called = Client::connect_with(&near, config)
                .and_then(|honest| Ok(honest.call(b"hello", common::LIMIT)?.data() == b"hello"));
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
            let get = get.congestion_control(CongestionControl::Block).timeout(common::LIMIT);
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
        let reach =
            Bridge::start(&["reach", &format!("service={near}"), "--listen", &address, "--ring", "1MiB"]);
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
        let config = ClientConfig::default().connect_timeout(common::LIMIT);
        let client = Client::connect_with(&near, config).unwrap();
        let info = zerobuffer::observe::inspect(&format!("{near}_request")).unwrap();
        assert!(info.payload_size <= 1 << 20 && info.metadata_size <= 1 << 20, "{info:?}");
        for _ in 0..2 {
            match client.call(b"hello", common::LIMIT) {
                Err(zerobuffer::Error::Remote { kind, .. }) => assert_eq!(kind, "bridge"),
                other => panic!("{other:?}"),
            }
        }
        let large = client.call(b"hello", common::LIMIT);
        assert!(
            matches!(large, Err(zerobuffer::Error::ResponseTooLarge { size: 5_000_000, .. })),
            "{large:?}"
        );
        assert_eq!(client.call(b"hello", common::LIMIT).unwrap().data(), b"first");
        // No answer at all: the server has dropped the query.
        let gone = client.call(b"hello", common::LIMIT);
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

    #[test]
    fn a_peer_cannot_fill_a_disk_with_lines() {
        let port = port();
        let recv = Bridge::start(&["recv", &name("to"), "--listen", &format!("127.0.0.1:{port}")]);
        wait_for("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok(), || recv.said());
        let session = join(port);
        for number in 0..3000 {
            let key = format!("@zb/1/send/x/stream-{number}");
            drop(session.liveliness().declare_token(key).wait().unwrap());
        }
        session.close().wait().unwrap();
        std::thread::sleep(Duration::from_secs(3));
        let lines = recv.said().lines().count();
        println!("3000 offers of different names have caused {lines} lines");
        assert!((100..400).contains(&lines), "{lines} lines");
        recv.stop();
    }

    #[test]
    fn what_waits_for_a_small_ring_is_bounded_by_the_ring() {
        let to = name("to");
        // Nobody reads.
        let far = reader(&to, 8, 100_000);
        let port = port();
        let recv = Bridge::start(&["recv", &format!("cam={to}"), "--listen", &format!("127.0.0.1:{port}")]);
        wait_for("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok(), || recv.said());
        let session = join(port);
        let sender = format!("{}-0", session.zid());
        let statuses = session.declare_subscriber(format!("@zb/1/back/{sender}/*/cam")).wait().unwrap();
        let _token = session.liveliness().declare_token(format!("@zb/1/send/{sender}/cam")).wait().unwrap();
        let status = statuses.recv_timeout(common::LIMIT).unwrap().expect("the bridge speaks");
        let key = status.key_expr().as_str().replace("/back/", "/data/");
        let before = memory(recv.pid());
        put(&session, &key, OPENING.to_vec(), header(1, 1, 1, 5, 0, 8));
        for number in 2..=14 {
            put(&session, &key, vec![1; 100_000], header(2, 1, number, 5, number, 100_000));
        }
        for number in 15..=30 {
            put(&session, &key, vec![1; 20_000_000], header(2, 1, number, 5, number, 20_000_000));
        }
        recv.says("the sender does not wait");
        let grown = memory(recv.pid()).saturating_sub(before);
        println!("320 MB for a ring of 800 kB have cost {} MB", grown >> 20);
        assert!(grown < 150 << 20, "{grown} bytes");
        drop(far);
        recv.stop();
    }

    fn tokens(session: &Session, pattern: &str) -> Vec<String> {
        let replies =
            session.liveliness().get(pattern.to_owned()).timeout(Duration::from_secs(2)).wait().unwrap();
        replies
            .into_iter()
            .filter_map(|reply| Some(reply.into_result().ok()?.key_expr().to_string()))
            .collect()
    }
}

#[test]
fn ls_shows_both_ends() {
    let (from, to) = (name("from"), name("to"));
    let mut far = reader(&to, 4, RGB);
    let pair = Pair::start(&from, &to, &["--policy", "latest"], &[]);
    pair.send.says("is there");
    let mut writer = writer(&from);
    write(&mut writer, RGB, 1);
    assert_eq!(check(&next(&mut far)).0, 1);
    let address = format!("127.0.0.1:{}", pair.port);
    let program = env!("CARGO_BIN_EXE_zerobuffer-bridge");
    let ls = |options: &[&str]| {
        let output = std::process::Command::new(program)
            .args(["ls", "--connect", &address])
            .args(options)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text, errors) = ls(&[]);
    println!("{text}{errors}");
    assert_eq!(code, Some(0), "{text}{errors}");
    assert!(text.contains("recv") && text.contains(&to) && text.contains("live"), "{text}");
    let (_, text, _) = ls(&["--json"]);
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((line["stream"].as_str(), line["frames"].as_u64()), (Some("cam"), Some(1)), "{text}");
    pair.send.stop();
    pair.recv.stop();
    let (code, _, errors) = ls(&["--timeout", "1"]);
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("no bridge answers"), "{errors}");
}

/// This program again, as the reader of a buffer, as another user.
fn reader_of_nobody(buffer: &str) -> Option<std::process::Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["a_reader_of_another_user", "--exact", "--nocapture"]).uid(65_534).gid(65_534);
    command.env("ZEROBUFFER_BRIDGE_READER", buffer).stdin(std::process::Stdio::piped());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            assert!(std::env::var_os("ZEROBUFFER_BRIDGE_NAMESPACES").is_none(), "{error}");
            println!("skipped: this user may not become another one");
            None
        }
    }
}

#[test]
fn a_reader_of_another_user() {
    let Ok(buffer) = std::env::var("ZEROBUFFER_BRIDGE_READER") else { return };
    let config = zerobuffer::BufferConfig::ring(1 << 20).metadata(4096).mode(0o666);
    let mut reader = zerobuffer::Reader::create(&buffer, config).unwrap();
    // A path that is as long as one may be: a stream that has gone it goes no further.
    let mut planted = buffer.starts_with("bridge.").then(|| zerobuffer::Writer::connect(&buffer).unwrap());
    if let Some(writer) = &mut planted {
        writer.set_metadata(&[&b"ZBPATH1\0"[..], &[7; 8 * 16]].concat()).unwrap();
    }
    // Until the test closes the pipe.
    let ends = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
    while !ends.is_finished() {
        let _ = reader.read_timeout(Duration::from_millis(100));
    }
}

#[test]
fn buffers_of_other_users_are_neither_filled_nor_believed() {
    let (from, theirs) = (name("from"), name("theirs"));
    let Some(mut other) = reader_of_nobody(&theirs) else { return };
    wait_for("it is there", || zerobuffer::observe::inspect(&theirs).is_ok(), String::new);
    let pair = Pair::start(&from, &theirs, &[], &[]);
    let mut writer = writer(&from);
    writer.write(&[1; 100]).unwrap();
    pair.recv.says("65534");
    assert!(zerobuffer::observe::inspect(&theirs).unwrap().writer.is_none());
    drop(other.stdin.take());
    other.wait().unwrap();
    drop(writer);
    pair.send.stop();
    pair.recv.stop();
    // With the option it is filled.
    let mut other = reader_of_nobody(&theirs).unwrap();
    let pair = Pair::start(&from, &theirs, &[], &["--owner", "any"]);
    let mut writer = common::writer(&from);
    writer.write(&[1; 100]).unwrap();
    let is_read = || zerobuffer::observe::inspect(&theirs).is_ok_and(|info| info.read_count > 0);
    wait_for("it is filled", is_read, || pair.recv.said());
    drop(other.stdin.take());
    other.wait().unwrap();
    pair.send.stop();
    pair.recv.stop();
}

#[test]
fn a_planted_path_stops_no_stream() {
    use std::os::unix::fs::FileExt as _;
    let (from, to) = (name("from"), name("to"));
    let planted = format!("bridge.{from}");
    let Some(mut other) = reader_of_nobody(&planted) else { return };
    let has_metadata = || zerobuffer::observe::inspect(&planted).is_ok_and(|info| info.metadata.is_some());
    wait_for("it is planted", has_metadata, String::new);
    // It says that it is of the process that writes the stream, as its owner can.
    let own = u64::from(std::process::id()).to_le_bytes();
    let theirs = u64::from(other.id()).to_le_bytes();
    let file = std::fs::File::options().read(true).write(true).open(format!("/dev/shm/{planted}")).unwrap();
    let mut start = [0; 256];
    file.read_exact_at(&mut start, 0).unwrap();
    for at in (0..248).step_by(8).filter(|at| start[*at..at + 8] == theirs) {
        file.write_all_at(&own, at as u64).unwrap();
    }
    let info = zerobuffer::observe::inspect(&planted).unwrap();
    assert!(info.reader.is_some_and(|reader| reader.alive && reader.pid == u64::from(std::process::id())));
    let mut far = reader(&to, 4, 1000);
    let pair = Pair::start(&from, &to, &[], &[]);
    let mut writer = writer(&from);
    write(&mut writer, 1000, 1);
    wait_for("the frame comes", || matches!(far.try_read(), Ok(Some(_))), || pair.send.said());
    pair.send.stop();
    pair.recv.stop();
    drop(other.stdin.take());
    let _ = other.wait();
    let _ = std::fs::remove_file(format!("/dev/shm/{planted}"));
    drop(file);
}

#[test]
fn a_loop_of_bridges_of_different_users_is_noticed() {
    let (a, b) = (name("a"), name("b"));
    let there = format!("127.0.0.1:{}", port());
    let back = format!("127.0.0.1:{}", port());
    let nobody = ["send", &format!("{b}=back"), "--listen", &back, "--ring", "1MiB", "--mode", "666"];
    let Some(send_b) = Bridge::start_as(65_534, &nobody) else { return };
    let send_a = Bridge::start(&["send", &format!("{a}=there"), "--listen", &there, "--ring", "1MiB"]);
    send_a.says("is published");
    send_b.says("is published");
    let to_b = format!("there={b}");
    let recv_b = Bridge::start(&["recv", &to_b, "--connect", &there, "--owner", "any"]);
    let mut source = writer(&a);
    source.write(&[1; 1000]).unwrap();
    let is_filled = || zerobuffer::observe::inspect(&b).is_ok_and(|info| info.writer.is_some());
    wait_for("B is filled", is_filled, || recv_b.said());
    let recv_a = Bridge::start(&["recv", &format!("back={a}"), "--connect", &back]);
    recv_a.says("a loop of bridges");
    for bridge in [send_a, send_b, recv_a, recv_b] {
        bridge.stop();
    }
}
