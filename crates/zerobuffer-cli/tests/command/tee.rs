//! `tee`: one stream to several readers, of which some stop, die, or come late.
use std::time::{Duration, Instant};

use crate::common::{self, assert_same, feed, in_shared_memory, name, noise, run, start, until};
use rustix::process::Signal;
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig, observe};

fn is_there(name: &str) -> bool {
    observe::inspect(name).is_ok()
}

fn connect(name: &str) -> Writer {
    let config = WriterConfig::default().connect_timeout(Duration::from_secs(60));
    Writer::connect_with(name, config.write_timeout(Duration::from_secs(60))).unwrap()
}

#[test]
fn a_stream_goes_to_all_whole_with_its_metadata() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|of| folder.path().join(of).to_str().unwrap().to_owned());
    let receive = |subscriber: &str, output: &str| {
        start(&["recv", &format!("{name}@{subscriber}"), "-o", output, "--ring", "1MiB"])
    };
    let tee = start(&["tee", &name, "--policy", "block:60", "--subscribers", "2", "--json"]);
    let receivers = [receive("a", &first), receive("b", &second)];
    let stream = common::y4m("YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg", 64 * 48 * 3 / 2, 300, "");
    feed(&["send", &name], &stream).ok();
    let summary = tee.wait().ok().json();
    assert_eq!((&summary["frames"], &summary["sent"]), (&300.into(), &600.into()), "{summary}");
    assert_eq!((&summary["dropped"], &summary["end"]), (&0.into(), &"complete".into()), "{summary}");
    for (receiver, output) in receivers.into_iter().zip([first, second]) {
        receiver.wait().ok();
        assert_same(&std::fs::read(output).unwrap(), &stream);
    }
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

#[test]
fn one_that_is_stopped_and_one_that_is_killed_delay_nobody() {
    let name = name();
    let mut tee = start(&["tee", &name, "--for", "exact=block:60", "--json"]);
    tee.wait_for("waiting for a writer");
    let mut exact =
        Reader::create(&format!("{name}@exact"), BufferConfig::ring(1 << 20).metadata(64)).unwrap();
    let [stopped, mut killed] = ["stopped", "killed"].map(|subscriber| {
        start(&["recv", &format!("{name}@{subscriber}"), "--ring", "64KiB", "--format", "null", "-v"])
    });
    let mut writer = connect(&name);
    until("all are fed", || {
        ["exact", "stopped", "killed"]
            .iter()
            .all(|one| observe::inspect(&format!("{name}@{one}")).is_ok_and(|info| info.writer.is_some()))
    });
    stopped.signal(Signal::STOP);
    let begun = Instant::now();
    for number in 0..500 {
        if number == 100 {
            killed.signal(Signal::KILL);
        }
        let frame = noise(10_000, number);
        writer.write(&frame).unwrap();
        assert_same(&exact.read_timeout(Duration::from_secs(60)).unwrap().unwrap(), &frame);
    }
    until("the killed one is dropped", || {
        observe::inspect(&format!("{name}@killed")).is_ok_and(|info| info.writer.is_none())
    });
    println!("500 frames beside a stopped and a killed subscriber took {:?}", begun.elapsed());
    writer.close().unwrap();
    let summary = tee.wait().ok().json();
    assert_eq!(
        (&summary["frames"], &summary["joined"], &summary["left"]),
        (&500.into(), &3.into(), &1.into())
    );
    assert!(summary["dropped"].as_u64().unwrap() > 0, "{summary}");
    assert!(matches!(exact.read_timeout(Duration::from_secs(60)), Err(Error::WriterGone { .. })));
    stopped.signal(Signal::CONT);
    stopped.wait().ok();
    assert!(!killed.is_running());
    drop((exact, killed));
    // The killed one's buffer is left to its successor.
    run(&["clean", &format!("{name}@killed"), "--yes"]);
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

#[test]
fn it_follows_the_next_writer_and_ends_by_signal() {
    let name = name();
    let mut tee = start(&["tee", &name, "--follow", "--json"]);
    tee.wait_for("waiting for a writer");
    let mut reader = Reader::subscribe(&name).unwrap();
    for turn in 0..3_u8 {
        let mut writer = connect(&name);
        writer.set_metadata(&[turn; 8]).unwrap();
        if turn == 0 {
            until("it is fed", || observe::inspect(reader.name()).is_ok_and(|info| info.writer.is_some()));
        }
        writer.write(&[turn; 1000]).unwrap();
        let frame = reader.read_timeout(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(
            (frame.data(), reader.metadata().unwrap().unwrap().data()),
            (&[turn; 1000][..], &[turn; 8][..])
        );
        drop(frame);
        writer.close().unwrap();
        tee.wait_for(&format!("has left: {} frame", turn + 1));
    }
    assert!(tee.is_running());
    tee.signal(Signal::INT);
    let done = tee.wait();
    assert_eq!((done.shell_code(), &done.json()["end"]), (130, &"interrupted".into()));
    assert!(matches!(reader.read_timeout(Duration::from_secs(60)), Err(Error::WriterGone { .. })));
    reader.close().unwrap();
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

/// Kill -9 of the tee: subscribers and sender go on with the next one.
#[test]
fn a_killed_tee_has_a_successor() {
    let name = name();
    let subscriber = format!("{name}@v");
    let mut receiver = start(&["recv", &subscriber, "--format", "raw", "--follow", "--frames", "3"]);
    until("the subscriber is there", || is_there(&subscriber));
    let mut sender = start(&["send", &name, "--size", "3", "--reconnect"]);
    for (turn, text) in ["abc", "def", "ghi"].into_iter().enumerate() {
        let mut tee = start(&["tee", &name, "--follow"]);
        tee.wait_for("waiting for a writer");
        until("it feeds the subscriber", || {
            observe::inspect(&subscriber)
                .is_ok_and(|info| info.writer.is_some_and(|writer| writer.pid == u64::from(tee.pid())))
        });
        if turn > 0 {
            // The sender notices the end of the first one when it has something to send, and waits.
            std::thread::sleep(Duration::from_millis(200));
        }
        sender.write(text.as_bytes());
        until("the frame has arrived", || {
            observe::inspect(&subscriber).map_or(turn == 2, |info| info.last_sequence > turn as u64)
        });
        if turn < 2 {
            tee.signal(Signal::KILL);
            receiver.wait_for(&format!("died without closing: {} frame", turn + 1));
            assert_eq!(tee.wait().shell_code(), 137);
        } else {
            assert_eq!(receiver.wait().ok().text(), "abcdefghi");
            sender.close_input();
            assert_eq!(sender.wait().code, Some(0));
            tee.signal(Signal::INT);
            assert_eq!(tee.wait().shell_code(), 130);
            break;
        }
    }
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

/// Three stand still, each under a policy of its own. A fourth gets every frame.
#[test]
fn those_that_stand_still_are_treated_by_their_policies() {
    const FRAMES: u64 = 200;
    let name = name();
    let mut tee = start(&[
        "tee",
        &name,
        "--policy",
        "drop",
        "--for",
        "exact=block:60",
        "--for",
        "wait*=block:0.3",
        "--for",
        "out=disconnect",
        "--json",
    ]);
    tee.wait_for("waiting for a writer");
    let buffer = |of: &str| format!("{name}@{of}");
    let mut exact = Reader::create(&buffer("exact"), BufferConfig::ring(1 << 20).metadata(64)).unwrap();
    let receive = |of: &str| start(&["recv", &buffer(of), "--ring", "64KiB", "--format", "null", "--json"]);
    let still = ["drops", "waits", "out"].map(receive);
    let is_fed = |of: &str| observe::inspect(&buffer(of)).is_ok_and(|info| info.writer.is_some());
    until("all are fed", || ["exact", "drops", "waits", "out"].into_iter().all(is_fed));
    for one in &still {
        one.signal(Signal::STOP);
    }
    let mut writer = connect(&name);
    for number in 0..FRAMES {
        let frame = noise(10_000, number);
        writer.write(&frame).unwrap();
        assert_same(&exact.read_timeout(Duration::from_secs(60)).unwrap().unwrap(), &frame);
    }
    for one in &still {
        one.signal(Signal::CONT);
    }
    let [drops, waits, out] = still;
    let ended = out.wait().ok().json();
    assert!(ended["frames"].as_u64().unwrap() < 10, "{ended}");
    // It is welcome again.
    let again = receive("out");
    until("it is fed again", || is_fed("out"));
    writer.write(&[7; 100]).unwrap();
    writer.close().unwrap();
    let summary = tee.wait().ok().json();
    let got = |of: &str| {
        let subscribers = summary["subscribers"].as_array().unwrap();
        let found = subscribers.iter().find(|one| one["buffer"] == buffer(of)).unwrap();
        (
            found["sent"].as_u64().unwrap(),
            found["dropped"].as_u64().unwrap(),
            found["blocked_seconds"].as_f64().unwrap(),
        )
    };
    assert_eq!(summary["disconnected"], 1, "{summary}");
    let (sent, dropped, blocked) = got("drops");
    assert!(sent < 20 && sent + dropped == FRAMES + 1 && blocked == 0.0, "{summary}");
    assert_eq!(drops.wait().ok().json()["frames"], sent);
    let (sent, dropped, blocked) = got("waits");
    println!("a subscriber that stands still was waited for {blocked} s, with a limit of 0.3 s");
    assert!(sent < 20 && sent + dropped == FRAMES + 1, "{summary}");
    assert!((0.3..3.0).contains(&blocked), "it costs its time once: {summary}");
    assert_eq!(waits.wait().ok().json()["frames"], sent);
    assert_eq!(got("exact").0, FRAMES + 1);
    assert_eq!((got("out").0, &again.wait().ok().json()["frames"]), (1, &1.into()));
    drop(exact);
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

/// The buffer of a subscriber may be a broadcast of its own.
#[test]
fn one_tee_behind_the_other() {
    let name = name();
    let first = start(&["tee", &name, "--policy", "block:60", "--subscribers", "2"]);
    let middle = format!("{name}@middle");
    let second = start(&["tee", &middle, "--policy", "block:60", "--subscribers", "1"]);
    let receive = |buffer: &str| start(&["recv", buffer, "--format", "raw"]);
    let receivers = [receive(&format!("{name}@near")), receive(&format!("{middle}@far"))];
    let bytes = noise(100 * 5000, 1);
    feed(&["send", &name, "--size", "5000"], &bytes).ok();
    for tee in [first, second] {
        tee.wait().ok();
    }
    for receiver in receivers {
        assert_same(&receiver.wait().ok().stdout, &bytes);
    }
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

#[test]
fn it_ends_by_signal_while_it_waits_for_subscribers_to_come() {
    let name = name();
    let mut tee = start(&["tee", &name, "--subscribers", "2"]);
    tee.wait_for("waiting for a writer");
    tee.signal(Signal::INT);
    tee.wait().stopped(130, &["Ctrl-C", "0 frames to 0 subscribers"]);
    assert!(!is_there(&name));
}

/// Ctrl-C ends a wait for a subscriber that takes nothing.
#[test]
fn it_ends_by_signal_while_it_waits_for_a_subscriber() {
    let name = name();
    let _stuck = Reader::create(&format!("{name}@stuck"), BufferConfig::ring(4096).metadata(64)).unwrap();
    let tee = start(&["tee", &name, "--policy", "block:3600", "--ring", "4KiB"]);
    let mut writer = connect(&name);
    writer.set_write_timeout(Some(Duration::from_secs(1)));
    while writer.write(&[1; 1000]).is_ok() {}
    tee.signal(Signal::TERM);
    assert_eq!(tee.wait().shell_code(), 143);
    drop(writer);
    assert!(!is_there(&name));
}

#[test]
fn a_tap_feeds_subscribers_beside_the_reader() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 20).metadata(64)).unwrap();
    let mut writer = Writer::connect_with(&name, WriterConfig::default().whole_ring(true)).unwrap();
    writer.set_metadata(b"about").unwrap();
    let other = format!("{name}-copy");
    let mut subscriber = Reader::subscribe(&other).unwrap();
    let mut tee = start(&["tee", &name, "-v", "--tap", "--to", &other, "--subscribers", "1", "--json"]);
    tee.wait_for("is watched from now on");
    for number in 0..20 {
        let frame = noise(2000, number);
        writer.write(&frame).unwrap();
        assert_same(&reader.read().unwrap(), &frame);
        assert_same(&subscriber.read_timeout(Duration::from_secs(60)).unwrap().unwrap(), &frame);
    }
    assert_eq!(subscriber.metadata().unwrap().unwrap().data(), b"about");
    writer.close().unwrap();
    let summary = tee.wait().ok().json();
    assert_eq!((&summary["frames"], &summary["missed"]), (&20.into(), &0.into()), "{summary}");
    drop((reader, subscriber));
    assert_eq!(in_shared_memory(&name), Vec::<String>::new());
}

#[test]
fn what_cannot_be() {
    let name = name();
    run(&["tee", "a/b"]).failed(2, &["a/b"]);
    run(&["tee", &"n".repeat(244)]).failed(2, &["no room"]);
    run(&["tee", &name, "--policy", "wait"]).failed(2, &["drop, block, block:SECONDS or disconnect"]);
    run(&["tee", &name, "--to", "a/b"]).failed(2, &["a/b"]);
    run(&["tee", &format!("{name}@v"), "--to", &name]).failed(2, &["is a subscriber of"]);
    // The broadcast feeds no channels, so it is none of its subscribers.
    run(&["tee", &format!("{name}@v_request"), "--to", &name, "--wait", "0.2"]).failed(4, &["no writer"]);
    run(&["tee", &name, "--most", "0"]).failed(2, &["--most"]);
    run(&["tee", &name, "--tap", "--ring", "1MiB"]).failed(2, &["--tap", "--ring"]);
    run(&["tee", &name, "--for", "x"]).failed(2, &["SUBSCRIBER=POLICY"]);
    run(&["tee", &name, "--wait", "0.2"]).failed(4, &["no writer", "0.2 s"]);
    run(&["tee", &name, "--tap", "--wait", "0.2"]).failed(4, &["no writer", "0.2 s"]);
    let _reader = Reader::create(&name, BufferConfig::ring(4096)).unwrap();
    run(&["tee", &name]).failed(5, &["already has a reader"]);
}

/// One that gets no frames touches no subscriber: these wait for the writer that has some.
#[test]
fn one_that_cannot_begin_leaves_the_subscribers_alone() {
    let name = name();
    let config = || BufferConfig::ring(4096).metadata(64);
    let _taken = Reader::create(&name, config()).unwrap();
    let _subscriber = Reader::create(&format!("{name}@v"), config()).unwrap();
    let done = run(&["tee", &name, "-v"]).failed(5, &["already has a reader"]);
    assert!(!done.stderr.contains("has come"), "{}", done.stderr);
    let bad = format!("{name}-bad");
    std::fs::write(format!("/dev/shm/{bad}"), [0xA5; 4096]).unwrap();
    let done = run(&["tee", &bad, "-v", "--tap", "--to", &name]).failed(8, &[&bad]);
    assert!(!done.stderr.contains("has come"), "{}", done.stderr);
    std::fs::remove_file(format!("/dev/shm/{bad}")).unwrap();
}
