//! A stream between two bridges, as its two ends see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::{Bridge, Pair, RGB, UHD, check, count, name, next, reader, wait_for, write, write_all, writer};
use zerobuffer::Error;

/// 300, or as many as a longer run asks for.
fn frames() -> u64 {
    std::env::var("ZEROBUFFER_BRIDGE_FRAMES").map_or(300, |count| count.parse().unwrap())
}

#[test]
fn block_carries_every_byte_of_every_frame_and_the_metadata() {
    let (from, to) = (name("from"), name("to"));
    let mut reader = reader(&to, 4, RGB);
    let pair = Pair::start(&from, &to, &[], &[]);
    let sent = std::thread::spawn(move || {
        let mut writer = writer(&from);
        writer.set_metadata(b"{\"caps\":\"video/x-raw\"}").unwrap();
        (1..=frames()).for_each(|number| write(&mut writer, RGB, number));
        writer.close().unwrap();
    });
    for number in 1..=frames() {
        let frame = next(&mut reader);
        assert_eq!((check(&frame).0, frame.len()), (number, RGB));
        if number == 1 {
            assert_eq!(reader.metadata().unwrap().as_deref(), Some(&b"{\"caps\":\"video/x-raw\"}"[..]));
        }
    }
    sent.join().unwrap();
    // The writer's end comes through, too.
    wait_for("the stream ends", || matches!(reader.try_read(), Err(Error::WriterGone { .. })), String::new);
    assert!(!reader.writer_died());
    let (send, recv) = (pair.send.stop(), pair.recv.stop());
    assert_eq!(count(&send, " frames sent and taken"), frames(), "{send}");
    assert_eq!(count(&send, " left out,"), 0, "{send}");
    assert_eq!(count(&recv, " frames into"), frames(), "{recv}");
    assert_eq!(count(&recv, " missing between"), 0, "{recv}");
    assert_eq!(count(&recv, " came twice"), 0, "{recv}");
}

#[test]
fn a_frame_of_24_megabytes_gets_through_under_every_policy() {
    for policy in ["block", "latest", "drop"] {
        let (from, to) = (name("from"), name("to"));
        let mut reader = reader(&to, 3, UHD);
        let pair = Pair::start(&from, &to, &["--policy", policy, "--ring", "160MiB"], &[]);
        pair.send.says("is there");
        let writing = write_all(&from, UHD, 1..=20, Duration::from_millis(50));
        let (mut last, mut came) = (0, 0);
        while last < 20 {
            let frame = match reader.read_timeout(Duration::from_secs(3)) {
                Ok(Some(frame)) => frame,
                Ok(None) if policy == "drop" && writing.is_finished() => break,
                Ok(None) => continue,
                other => panic!("{other:?}"),
            };
            let (number, _) = check(&frame);
            assert!(number > last, "{policy}: {number} after {last}");
            assert!(policy != "block" || number == last + 1, "{number} after {last}");
            (last, came) = (number, came + 1);
        }
        assert!(came > 1 && (policy == "drop" || last == 20), "{policy}: {came}, the last one is {last}");
        drop(writing.join().unwrap());
        wait_for(
            "the counts agree",
            || matches!(reader.try_read(), Err(Error::WriterGone { .. })),
            String::new,
        );
        println!("{policy}: {came} of 20 frames of 24 MB came");
        let (send, recv) = (pair.send.stop(), pair.recv.stop());
        assert!(count(&send, " frames sent and taken") >= came, "{send}{recv}");
    }
}

#[test]
fn both_ends_count_what_is_left_out_alike() {
    for policy in ["latest", "drop"] {
        let (from, to) = (name("from"), name("to"));
        // The consumer is slower than the stream, and its ring holds two frames.
        let mut reader = reader(&to, 2, RGB);
        let pair = Pair::start(&from, &to, &["--policy", policy], &[]);
        pair.send.says("is there");
        let writing = write_all(&from, RGB, 1..=200, Duration::from_millis(4));
        let (mut last, mut first, mut came) = (0, 0, 0);
        loop {
            let frame = match reader.read_timeout(Duration::from_secs(3)) {
                Ok(Some(frame)) => frame,
                Ok(None) if last == 0 => continue,
                Ok(None) | Err(Error::WriterGone { .. }) if writing.is_finished() => break,
                other => panic!("{other:?}"),
            };
            let (number, _) = check(&frame);
            drop(frame);
            assert!(number > last, "{number} after {last}");
            if first == 0 {
                first = number;
            }
            (last, came) = (number, came + 1);
            std::thread::sleep(Duration::from_millis(15));
            if last == 200 {
                break;
            }
        }
        if policy == "latest" {
            assert_eq!(last, 200, "the newest frame always comes");
        }
        drop(writing.join().unwrap());
        wait_for("the end", || matches!(reader.try_read(), Err(Error::WriterGone { .. })), String::new);
        let (send, recv) = (pair.send.stop(), pair.recv.stop());
        let missing = last - first + 1 - came;
        assert!(missing > 0, "{policy}: nothing was left out: {send}");
        assert_eq!(count(&recv, " missing between"), missing, "{recv}");
        assert_eq!(count(&send, " frames sent and taken"), came, "{send}");
        assert_eq!(count(&send, " left out,") + count(&send, " came without"), 200 - came, "{send}");
        println!("{policy}: {came} of 200 came, {missing} missing between them");
    }
}

#[test]
fn another_resolution_comes_with_its_first_frame() {
    let (from, to) = (name("from"), name("to"));
    let mut reader = reader(&to, 4, RGB);
    let pair = Pair::start(&from, &to, &[], &[]);
    let sizes = [(1000, &b"small"[..]), (RGB, b"large"), (50_000, b"middle")];
    let sent = std::thread::spawn(move || {
        let mut number = 0;
        for (size, metadata) in sizes {
            let mut writer = writer(&from);
            writer.set_metadata(metadata).unwrap();
            for _ in 0..20 {
                number += 1;
                write(&mut writer, size, number);
            }
            writer.close().unwrap();
        }
    });
    for number in 1..=60u64 {
        let frame = next(&mut reader);
        let (size, metadata) = sizes[((number - 1) / 20) as usize];
        assert_eq!((check(&frame).0, frame.len()), (number, size));
        assert_eq!(reader.metadata().unwrap().as_deref(), Some(metadata), "frame {number}");
    }
    sent.join().unwrap();
    let recv = pair.recv.stop();
    assert_eq!(count(&recv, " missing between"), 0, "{recv}");
    pair.send.stop();
}

#[test]
fn a_tap_mirrors_a_stream_and_does_not_touch_it() {
    let (from, to) = (name("from"), name("to"));
    let mut own = reader(&from, 4, RGB);
    let mut far = reader(&to, 4, RGB);
    let pair = Pair::start(&from, &to, &["--tap", "--policy", "drop"], &[]);
    pair.send.says("is there");
    let writing = write_all(&from, RGB, 1..=100, Duration::from_millis(20));
    let reading = std::thread::spawn(move || {
        (1..=100).for_each(|number| assert_eq!(check(&next(&mut own)).0, number));
        own
    });
    let mut last = 0;
    while last < 90 {
        let (number, _) = check(&next(&mut far));
        assert!(number > last);
        last = number;
    }
    drop(writing.join().unwrap());
    drop(reading.join().unwrap());
    let end = Bridge::start(&["send", &from, "--tap", "--policy", "block"]).end();
    assert_eq!(end.0, Some(2), "{}", end.1);
    assert!(end.1.contains("--tap"), "{}", end.1);
    pair.send.stop();
    pair.recv.stop();
}

#[test]
fn several_streams_do_not_hold_each_other_up() {
    let (stuck, free) = (name("stuck"), name("free"));
    let (to_stuck, to_free) = (name("to-stuck"), name("to-free"));
    // Nobody takes anything out of this ring.
    let held = reader(&to_stuck, 2, RGB);
    let mut reader = reader(&to_free, 4, RGB);
    let address = format!("127.0.0.1:{}", common::port());
    let (one, two) = (format!("stuck={to_stuck}"), format!("free={to_free}"));
    let recv = Bridge::start(&["recv", &one, &two, "--listen", &address]);
    let (one, two) = (format!("{stuck}=stuck"), format!("{free}=free"));
    let send = Bridge::start(&["send", &one, &two, "--connect", &address]);
    let mut blocked = writer(&stuck);
    // Its rings and the link's share fill.
    blocked.set_write_timeout(Some(Duration::from_secs(2)));
    while blocked.write(&vec![1; RGB]).is_ok() {}
    let writing = write_all(&free, RGB, 1..=100, Duration::ZERO);
    (1..=100).for_each(|number| assert_eq!(check(&next(&mut reader)).0, number));
    drop(writing.join().unwrap());
    drop((held, blocked));
    send.stop();
    recv.stop();
}

#[test]
fn a_stream_goes_to_two_receivers() {
    let (from, one, two) = (name("from"), name("one"), name("two"));
    let mut readers = [reader(&one, 4, RGB), reader(&two, 4, RGB)];
    let address = format!("127.0.0.1:{}", common::port());
    let send = Bridge::start(&["send", &format!("{from}=cam"), "--listen", &address]);
    let recv =
        [&one, &two].map(|ring| Bridge::start(&["recv", &format!("cam={ring}"), "--connect", &address]));
    wait_for("two receivers", || send.said().matches("is there").count() == 2, || send.said());
    let writing = write_all(&from, RGB, 1..=50, Duration::ZERO);
    for number in 1..=50 {
        readers.iter_mut().for_each(|reader| assert_eq!(check(&next(reader)).0, number));
    }
    drop(writing.join().unwrap());
    send.stop();
    recv.into_iter().for_each(|bridge| drop(bridge.stop()));
}
