//! `view` before clients that mean no good, or none: what they cost, and that others do not notice.
// The tests look into /proc.
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::common::elsewhere::Elsewhere;
use crate::common::{assert_same, name, until};
use crate::viewer::{Stream, Viewer, encoded};
use zerobuffer::{BufferConfig, Reader};

/// The most memory that the viewer has had, in bytes.
fn peak(viewer: &Viewer) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", viewer.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

fn threads(viewer: &Viewer) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", viewer.process.pid())).unwrap().count()
}

fn connect(viewer: &Viewer) -> TcpStream {
    let client = TcpStream::connect(&viewer.address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client
}

#[test]
fn many_tabs_share_one_copy_of_a_frame() {
    const TABS: usize = 20;
    let mut stream = Stream::new(&name(), "RGB", 1920, 1080);
    let size = stream.layout.size();
    let viewer = Viewer::start(&[&stream.name]);
    let mut tabs: Vec<_> = (0..TABS).map(|_| viewer.socket(&stream.name, "")).collect();
    let before = peak(&viewer);
    let round = Barrier::new(TABS + 1);
    std::thread::scope(|scope| {
        for tab in &mut tabs {
            let round = &round;
            scope.spawn(move || {
                for number in 1..=4u8 {
                    let got = tab.next();
                    assert_eq!((got.sequence, got.missed), (number.into(), 0));
                    assert!(got.payload.len() == size && got.payload.iter().all(|byte| *byte == number));
                    round.wait();
                }
            });
        }
        for number in 1..=4u8 {
            stream.show(&vec![number; size]);
            round.wait();
        }
    });
    let grown = (peak(&viewer) - before) as f64 / size as f64;
    println!("{TABS} tabs of 1080p RGB: the viewer's memory grew by {grown:.1} frames");
    assert!(grown < 6.0, "{grown} frames for {TABS} tabs");
}

#[test]
fn tabs_that_read_nothing_cost_a_bounded_memory_and_no_other_tab_a_frame() {
    const STUCK: u64 = 15;
    // Ten frames of this size are the 256 MiB that may be held.
    let mut stream = Stream::new(&name(), "RGB", 3840, 2160);
    let size = stream.layout.size();
    let viewer = Viewer::start(&[&stream.name]);
    let mut fast = viewer.socket(&stream.name, "");
    let before = peak(&viewer);
    let mut stuck = Vec::new();
    for number in 1..=STUCK {
        let mut socket = viewer.socket(&stream.name, "");
        socket.credit(4);
        stream.show(&vec![number as u8; size]);
        let got = fast.next();
        assert_eq!((got.sequence, got.missed, got.payload[size / 2]), (number, 0, number as u8));
        // This one's frame is on its way, and stays there.
        until("it gets the beginning of a frame", || socket.web.get_ref().peek(&mut [0]).is_ok());
        stuck.push(socket);
    }
    let grown = (peak(&viewer) - before) as f64 / size as f64;
    println!("{STUCK} tabs that read nothing: the viewer's memory grew by {grown:.1} frames of 24.9 MB");
    assert!(grown < 13.0, "{grown} frames");
    // Those who held the oldest frames were let go; the others still get theirs.
    let first = stuck.remove(0);
    let mut rest = Vec::new();
    let mut end = first.web.get_ref();
    let _ = end.read_to_end(&mut rest);
    assert!(rest.len() < size, "{} bytes came", rest.len());
    // One that asks gets what is there, which may be the frame before.
    let got = stuck.pop().unwrap().frame();
    assert!(got.sequence + 1 >= STUCK && u64::from(got.payload[size / 2]) == got.sequence);
}

#[test]
fn clients_that_say_nothing_or_too_much() {
    let mut stream = Stream::new(&name(), "GRAY8", 64, 48);
    let picture = stream.picture(0);
    stream.show(&picture);
    let viewer = Viewer::start(&[&stream.name]);
    let snapshot = format!("/snapshot/{}.raw", stream.name);
    let idle = threads(&viewer);

    // A head without end, lines without end, and what is no HTTP at all.
    let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(1 << 20));
    let lines = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "%41/".repeat(100_000));
    for (request, statuses) in [
        (long.as_bytes(), &["431"][..]),
        (lines.as_bytes(), &["431"]),
        (path.as_bytes(), &["431", "414"]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a browser that speaks TLS\r\n\r\n", &["400"]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["405", "400"]),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", &["200"]),
    ] {
        let mut client = connect(&viewer);
        let _ = client.write_all(request);
        let mut answer = Vec::new();
        // A server that has had enough may reset the connection.
        let _ = client.read_to_end(&mut answer);
        let line = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
        let status = line.split(' ').nth(1).unwrap_or("none").to_owned();
        let what = String::from_utf8_lossy(&request[..request.len().min(30)]).into_owned();
        assert!(statuses.contains(&status.as_str()) || answer.is_empty(), "{what}: {line}");
    }

    // Connections that say nothing, and one that says a byte now and then: none outlasts five
    // seconds.
    let started = Instant::now();
    let silent: Vec<TcpStream> = (0..199).map(|_| connect(&viewer)).collect();
    let mut slow = connect(&viewer);
    until("they are served", || threads(&viewer) >= idle + 200);
    let mut sent = 0;
    while slow.write_all(b"G").is_ok() && sent < 200 {
        sent += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("a byte every 100 ms: let go after {:?}", started.elapsed());
    assert!(sent < 150, "it was listened to for {:?}", started.elapsed());
    until("all are let go", || threads(&viewer) <= idle);
    drop(silent);
    assert_same(&viewer.get(&snapshot).2, &picture);
}

#[test]
fn two_hundred_silent_connections_stop_nobody() {
    let mut stream = Stream::new(&name(), "GRAY8", 64, 48);
    let picture = stream.picture(0);
    stream.show(&picture);
    let viewer = Viewer::start(&[&stream.name]);
    let snapshot = format!("/snapshot/{}.raw", stream.name);
    let idle = threads(&viewer);
    // As many as there are places, and those that come anew whenever one of them is let go.
    let mut silent: VecDeque<TcpStream> = (0..200).map(|_| connect(&viewer)).collect();
    until("they have all places", || threads(&viewer) >= idle + 200);
    for _ in 0..20 {
        for path in ["/", "/api/streams", "/metrics"] {
            assert_eq!(viewer.get(path).0, 200, "{path}");
        }
        assert_same(&viewer.get(&snapshot).2, &picture);
        for _ in 0..4 {
            silent.pop_front();
            silent.push_back(connect(&viewer));
        }
    }
    // Sockets that ask for no frame have places of their own; the 201st takes that of the first.
    let mut tab = viewer.socket(&stream.name, "");
    stream.show(&picture);
    assert_same(&tab.next().payload, &picture);
    let sockets: Vec<_> = (0..200).map(|_| viewer.socket(&stream.name, "")).collect();
    let mut other = viewer.socket(&stream.name, "");
    for tab in [&mut tab, &mut other] {
        tab.credit(1);
    }
    stream.show(&picture);
    for tab in [&mut tab, &mut other] {
        assert_same(&tab.frame().payload, &picture);
    }
    assert_eq!(viewer.get("/").0, 200);
    drop((silent, sockets, tab, other));
    until("all are let go", || threads(&viewer) <= idle);
}

#[test]
fn too_many_that_watch_are_told_so_and_the_page_goes_on() {
    let mut stream = Stream::new(&name(), "GRAY8", 64, 48);
    let picture = stream.picture(0);
    stream.show(&picture);
    let viewer = Viewer::start(&[&stream.name]);
    let idle = threads(&viewer);
    let request = format!("GET /stream/{}.mjpeg HTTP/1.1\r\nHost: {}\r\n\r\n", stream.name, viewer.address);
    let watching: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut client = connect(&viewer);
            client.write_all(request.as_bytes()).unwrap();
            client
        })
        .collect();
    for client in &watching {
        let mut client = client;
        assert!(client.read(&mut [0; 16]).unwrap() > 0, "the 200th is served, too");
    }
    let (status, _, body) = viewer.ask(&request);
    let body = String::from_utf8_lossy(&body);
    assert!(status == 503 && body.contains("too many"), "{status}: {body}");
    assert_eq!(viewer.get("/api/streams").0, 200);
    drop(watching);
    until("all are let go", || {
        // Whom a client has left is noticed with the next picture.
        stream.show(&picture);
        threads(&viewer) <= idle
    });
}

#[test]
fn sockets_that_break_their_protocol() {
    let mut stream = Stream::new(&name(), "GRAY8", 64, 48);
    let picture = stream.picture(0);
    let viewer = Viewer::start(&[&stream.name]);
    let mut good = viewer.socket(&stream.name, "");
    let idle = threads(&viewer);
    let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let long = [&[0x81, 0xfe, 0x7f, 0xff, 0, 0, 0, 0][..], &vec![b'1'; 40_000]].concat();
    let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(5000);
    for bytes in [
        &huge[..],
        &long,
        // Without a mask, with bits that mean nothing, a piece of nothing, no UTF-8.
        b"\x81\x011",
        b"\xf1\x81\0\0\0\x001",
        b"\x80\x81\0\0\0\x001",
        b"\x81\x82\0\0\0\0\xff\xfe",
        b"\x88\x80\0\0\0\0",
        &pings,
    ] {
        let socket = viewer.socket(&stream.name, "");
        let mut raw = socket.web.get_ref().try_clone().unwrap();
        let _ = raw.write_all(bytes);
        stream.show(&picture);
        assert_same(&good.next().payload, &picture);
    }
    // Numbers that are none, and far too many.
    let mut odd = viewer.socket(&stream.name, "fps=99999999999999999999&mode=%00&width=-1");
    for text in ["", "-1", "99999999999999999999", "4294967295", "NaN", "\u{1F980}"] {
        odd.web.send(tungstenite::Message::text(text)).unwrap();
    }
    stream.show(&picture);
    assert_same(&odd.frame().payload, &picture);
    assert_same(&good.next().payload, &picture);
    drop(odd);
    until("all are let go", || threads(&viewer) <= idle);
}

#[test]
fn what_may_not_be_looked_at_ends_with_9() {
    let Some(elsewhere) = Elsewhere::new() else { return };
    let name = name();
    let _reader = Reader::create(&name, BufferConfig::ring(4096).mode(0o600)).unwrap();
    let file = std::env::temp_dir().join(format!("{name}.mcap"));
    let file = file.to_str().unwrap();
    for words in [
        &["view", &name, "--listen", "127.0.0.1:0"][..],
        &["recv", &name, "--tap", "--format", "null"],
        &["record", &name, "--tap", "-o", file],
        &["inspect", &name],
    ] {
        let output = elsewhere.run(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(9), "{words:?}: {stderr}");
        assert!(stderr.contains(&name) && stderr.contains("ermission"), "{words:?}: {stderr}");
    }
    let _ = std::fs::remove_file(file);
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u32>().unwrap() <= 1 {
        println!("skipped: every user may listen at every port here");
    } else {
        for command in ["view", "metrics"] {
            let output = elsewhere.run(&[command, "--listen", "127.0.0.1:1"]);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(9), "{command}: {stderr}");
            assert!(stderr.contains("127.0.0.1:1") && stderr.contains("ermission"), "{stderr}");
        }
    }
    // It is on the list of nobody, and no hint that it exists in the viewer's answers.
    let mut viewer = elsewhere.command(&["view", "--listen", "127.0.0.1:0"]);
    let mut process = crate::common::start_command(viewer.stdin(std::process::Stdio::null()));
    process.wait_for("in a browser");
    let address = process.stderr().split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let viewer = Viewer { process, address };
    assert_eq!(viewer.get(&format!("/snapshot/{}.raw", encoded(&name))).0, 404);
}
