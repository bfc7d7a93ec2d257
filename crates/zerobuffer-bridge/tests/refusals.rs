//! What a bridge refuses, and says why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod hostile;
mod users;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use common::{Bridge, Pair, RGB, check, name, next, port, reader, wait_for, write, write_all, writer};

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
