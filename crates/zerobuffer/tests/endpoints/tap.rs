//! Taps: what a passive observer sees of a live stream, between processes, and what the stream
//! notices of it.

use std::time::{Duration, Instant};

use crate::common::{Name, Peer, check, content, expect_error, size_of};
use zerobuffer::observe::{Tap, TapState};
use zerobuffer::{BufferConfig, Reader, Writer, WriterConfig};

const LONG: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::ZERO;

fn pair(name: &Name, ring: u64) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(ring).metadata(64)).unwrap();
    let writer = Writer::connect_with(name, WriterConfig::default().write_timeout(Some(LONG))).unwrap();
    (reader, writer)
}

#[test]
fn every_frame_of_a_stream_in_step_is_seen_and_the_reader_gets_it_too() {
    for ring in [4096, 1 << 20] {
        let name = Name::new("tap-step");
        let (mut reader, mut writer) = pair(&name, ring);
        let mut tap = Tap::open(&name).unwrap();
        let mut bytes = Vec::new();
        for key in 1..=2000 {
            let size = size_of(3, key, 1000);
            writer.write(&content(key, size)).unwrap();
            let seen = tap.next(&mut bytes, LONG).unwrap().unwrap();
            assert_eq!((seen.sequence, seen.skipped, bytes.len()), (key, Some(0), size));
            check(&bytes, key).unwrap();
            check(&reader.read().unwrap(), key).unwrap();
        }
        assert_eq!(tap.missed(), Some(0));
        assert_eq!(tap.unsupported(), None);
        assert_eq!(tap.next(&mut bytes, NOW).unwrap(), None);
    }
}

#[test]
fn a_tap_begins_with_the_newest_frame_and_goes_on_from_there() {
    let name = Name::new("tap-begin");
    let (_reader, mut writer) = pair(&name, 4096);
    let mut bytes = Vec::new();
    let mut early = Tap::open(&name).unwrap();
    assert_eq!(early.next(&mut bytes, NOW).unwrap(), None);
    for key in 1..=5 {
        writer.write(&content(key, 100)).unwrap();
    }
    let mut late = Tap::open(&name).unwrap();
    assert_eq!(late.next(&mut bytes, NOW).unwrap().unwrap().sequence, 5);
    assert_eq!(late.next(&mut bytes, NOW).unwrap(), None);
    for key in 1..=5 {
        assert_eq!(early.next(&mut bytes, NOW).unwrap().unwrap().sequence, key);
        check(&bytes, key).unwrap();
    }
    assert_eq!(late.latest(&mut bytes, NOW).unwrap(), None, "it has that one");
    for key in 6..=8 {
        writer.write(&content(key, 100)).unwrap();
    }
    let newest = late.latest(&mut bytes, NOW).unwrap().unwrap();
    assert_eq!((newest.sequence, newest.skipped), (8, Some(2)));
    assert_eq!(late.missed(), Some(0), "what is passed over by wish is not missed");
}

#[test]
fn what_is_overwritten_is_counted_and_the_newest_frame_comes_next() {
    let name = Name::new("tap-missed");
    let (mut reader, mut writer) = pair(&name, 4096);
    let mut tap = Tap::open(&name).unwrap();
    let mut bytes = Vec::new();
    writer.write(&content(1, 500)).unwrap();
    assert_eq!(tap.next(&mut bytes, NOW).unwrap().unwrap().sequence, 1);
    drop(reader.read().unwrap());
    for key in 2..=100 {
        writer.write(&content(key, 500)).unwrap();
        check(&reader.read().unwrap(), key).unwrap();
    }
    let seen = tap.next(&mut bytes, NOW).unwrap().unwrap();
    assert_eq!((seen.sequence, seen.skipped), (100, Some(98)));
    check(&bytes, 100).unwrap();
    assert_eq!(tap.missed(), Some(98));
}

#[test]
fn states_and_the_end() {
    let name = Name::new("tap-states");
    expect_error(Tap::open(&name), "NotFound");
    expect_error(Tap::open("a/b"), "InvalidName");
    let reader = Reader::create(&name, BufferConfig::ring(4096)).unwrap();
    let mut tap = Tap::open(&name).unwrap();
    assert_eq!(tap.state().unwrap(), TapState::NoWriter);
    let mut writer = Writer::connect(&name).unwrap();
    assert_eq!(tap.state().unwrap(), TapState::Live);
    writer.write(&content(1, 10)).unwrap();
    writer.close().unwrap();
    assert_eq!(tap.state().unwrap(), TapState::NoWriter);
    reader.close().unwrap();
    // What was there is delivered, then the end is reported.
    let mut bytes = Vec::new();
    assert_eq!(tap.next(&mut bytes, LONG).unwrap().unwrap().sequence, 1);
    expect_error(tap.next(&mut bytes, LONG), "ReaderGone");
    expect_error(tap.metadata(), "ReaderGone");
    assert_eq!(tap.state().unwrap(), TapState::Ended);
    // The name may be opened anew.
    let _reader = Reader::create(&name, BufferConfig::ring(4096)).unwrap();
    let mut again = Tap::open(&name).unwrap();
    assert_eq!(again.state().unwrap(), TapState::NoWriter);
    assert_eq!(again.next(&mut bytes, NOW).unwrap(), None);
}

#[test]
fn a_killed_reader_is_the_end_and_a_killed_writer_is_not() {
    let name = Name::new("tap-kills");
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    reader.must(&format!("create {} 64 65536", &*name));
    writer.must(&format!("connect {} 0", &*name));
    writer.must("set-meta 9 20");
    writer.must("stream 1 20 3 1000 mix");
    let mut tap = Tap::open(&name).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(tap.metadata().unwrap().unwrap(), content(9, 20));
    assert_eq!(tap.next(&mut bytes, NOW).unwrap().unwrap().sequence, 20);
    writer.kill();
    reader.must("drain 1 20 3 1000");
    reader.must_fail("read 5000 0", "WriterGone");
    let mut next = Peer::native();
    next.must(&format!("connect {} 1000", &*name));
    next.must("stream 21 5 3 1000 mix");
    for key in 21..=25 {
        let seen = tap.next(&mut bytes, LONG).unwrap().unwrap();
        assert_eq!((seen.sequence, seen.skipped), (key, Some(0)));
        check(&bytes, key).unwrap();
    }
    reader.kill();
    let begun = Instant::now();
    let error = expect_error(tap.next(&mut bytes, LONG), "ReaderGone");
    assert!(error.contains("no presence lock"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn with_the_whole_ring_a_frame_lives_for_a_lap() {
    for (size, frames) in [(100_000, 18_u64), (1_000_000, 14), (100_000, 60), (1000, 600), (5000, 1000)] {
        let name = Name::new("tap-lap");
        let total = (size as u64 + 16).next_multiple_of(16);
        let ring = frames * total + (128 << 10);
        let mut reader = Reader::create(&name, BufferConfig::ring(ring)).unwrap();
        let mut writer = Writer::connect_with(&name, WriterConfig::default().whole_ring(true)).unwrap();
        let mut tap = Tap::open(&name).unwrap();
        let mut bytes = Vec::new();
        let mut write = |key| {
            writer.write(&content(key, size)).unwrap();
            check(&reader.read().unwrap(), key).unwrap();
        };
        let mut key = 1;
        // A fourteenth of the ring and one frame may be claimed and not be overwritten yet.
        let most = (ring - ring / 14) / total - 1;
        for behind in [1, 2, 5, 9, 12, 13, 14, 15, 25, 40, 100, 500].into_iter().filter(|many| *many <= most)
        {
            for _ in 0..behind {
                write(key);
                key += 1;
            }
            for wanted in key - behind..key {
                let seen = tap.next(&mut bytes, NOW).unwrap().unwrap();
                assert_eq!((seen.sequence, seen.skipped), (wanted, Some(0)), "{size}: {behind} behind");
                check(&bytes, wanted).unwrap();
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_shortened_is_an_error_and_no_signal() {
    let name = Name::new("tap-short");
    let (reader, mut writer) = pair(&name, 1 << 20);
    let mut tap = Tap::open(&name).unwrap();
    let mut bytes = Vec::new();
    writer.write(&content(1, 500_000)).unwrap();
    assert!(tap.next(&mut bytes, NOW).unwrap().is_some());
    // The ends map the file: they must not touch it from here on.
    let file = std::fs::File::options().write(true).open(name.shm()).unwrap();
    for len in [600_000, 100, 0] {
        let whole = file.metadata().unwrap().len();
        file.set_len(len).unwrap();
        let error = expect_error(tap.next(&mut bytes, NOW), "Corrupt");
        assert!(error.contains("the file was shortened"), "{error}");
        assert!(tap.metadata().is_err() || len > 192);
        file.set_len(whole).unwrap();
    }
    std::mem::forget((reader, writer));
}

#[cfg(target_os = "linux")]
#[test]
fn read_permission_is_enough_and_is_needed() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        crate::common::skipped("only root can become another user");
        return;
    }
    for (mode, may) in [(0o644, true), (0o600, false)] {
        let name = Name::new("tap-mode");
        let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).mode(mode)).unwrap();
        let mut writer = Writer::connect(&name).unwrap();
        let mut stranger = Peer::native();
        stranger.must("become 65534");
        if !may {
            let error = stranger.must_fail(&format!("tap {}", &*name), "PermissionDenied");
            assert!(error.contains(&*name), "{error}");
            continue;
        }
        stranger.must(&format!("tap {}", &*name));
        stranger.tell("watch 3 1000 next");
        for key in 1..=20 {
            writer.write(&content(key, size_of(3, key, 1000))).unwrap();
            drop(reader.read().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        reader.close().unwrap();
        let seen: u64 = stranger.must_reply().split(' ').next().unwrap().parse().unwrap();
        assert!(seen >= 15, "{seen} of 20");
    }
}

/// Beside the published Python package the ring is in legacy form.
#[cfg(target_os = "linux")]
#[test]
fn beside_another_implementation_what_is_unread_is_seen() {
    let Some(mut old) = Peer::old() else { return };
    let name = Name::new("tap-old");
    let mut reader = Reader::create(&name, BufferConfig::ring(8192).metadata(64)).unwrap();
    let mut tap = Tap::open(&name).unwrap();
    assert_eq!(tap.unsupported(), None);
    old.must(&format!("connect {} 0", &*name));
    let mut bytes = Vec::new();
    let mut last = 0;
    for turn in 0..40 {
        let first = turn * 3 + 1;
        old.must(&format!("stream {first} 3 5 700 write"));
        // The newest one first, then each one that is not read yet.
        while let Some(seen) = tap.next(&mut bytes, NOW).unwrap() {
            check(&bytes, seen.sequence).unwrap();
            assert_eq!(bytes.len(), size_of(5, seen.sequence, 700));
            assert!(seen.sequence > last);
            last = seen.sequence;
        }
        assert_eq!(last, first + 2);
        for key in first..first + 3 {
            check(&reader.read().unwrap(), key).unwrap();
        }
        assert_eq!(tap.latest(&mut bytes, NOW).unwrap(), None, "what is taken is not shown");
    }
    assert!(tap.unsupported().is_some());
    assert_eq!(tap.missed(), Some(0));
}
