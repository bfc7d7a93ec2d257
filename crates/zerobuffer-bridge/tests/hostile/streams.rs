//! Senders and receivers that lie.
use std::net::TcpStream;
use std::time::Duration;

use zenoh::Wait as _;

use super::super::common::{
    Bridge, LIMIT, Pair, RGB, check, memory, name, next, port, reader, wait_for, write, writer,
};
use super::{join, put, tokens};

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
    let tokens: Vec<_> = ["@zb/1/send/x", "@zb/9/send/evil/cam", "@zb/1/send/evil/other", "@zb/1/recv/a/b/c"]
        .iter()
        .map(|key| session.liveliness().declare_token(*key).wait().unwrap())
        .collect();
    recv.says("is offered by a bridge of version 9");
    recv.says("'other' is offered, and not allowed");
    let statuses = session.declare_subscriber(format!("@zb/1/back/{sender}/*/cam")).wait().unwrap();
    let _token = session.liveliness().declare_token(format!("@zb/1/send/{sender}/cam")).wait().unwrap();
    let key = || {
        let status = statuses.recv_timeout(LIMIT).unwrap().expect("the bridge speaks");
        status.key_expr().as_str().replace("/back/", "/data/")
    };
    let before = memory(recv.pid());
    // Each is a lane of its own, which the bridge ends with a reason. What comes while it is
    // just ending one is not heard.
    let expect = |what: &str, attack: &dyn Fn(&str)| {
        let until = std::time::Instant::now() + LIMIT;
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
        .map(|n| session.liveliness().declare_token(format!("@zb/1/recv/e{n}/{sender}/x")).wait().unwrap())
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
    let status = statuses.recv_timeout(LIMIT).unwrap().expect("the bridge speaks");
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
