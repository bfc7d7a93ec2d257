//! Streams between this implementation and the published Python package 1.3.0, in both directions.
//!
//! Letters with digits (A1, B4 …) name known faults of the older implementations;
//! `docs/PROTOCOL.md` rules are W numbers.
// The published Python package runs on Linux only.

use crate::common::segment::{READ_POS, WRITE_POS};
use crate::common::{Name, Peer, Segment};

/// The largest frame that our writer can always place for a legacy reader, whatever the position.
fn placeable(ring: u64) -> u64 {
    (ring - 15) / 2 - 16
}

fn assert_no_sliver(segment: &Segment, ring: u64) {
    let tail = ring - segment.get(WRITE_POS);
    assert!(tail == 0 || tail >= 16, "the writer left a tail of {tail} bytes, which kills an old reader");
}

#[test]
fn native_frames_of_random_sizes_reach_a_legacy_reader() {
    let Some(mut old) = Peer::old() else { return };
    for (ring, count, seed) in [(256, 1500, 1), (1024, 1500, 2), (10_240, 1500, 3), (1 << 20, 150, 4)] {
        let name = Name::new("native-old");
        old.must(&format!("create {} 64 {ring}", &*name));
        let mut native = Peer::native();
        native.must(&format!("connect {} 0", &*name));
        let max = placeable(ring);
        native.tell(&format!("stream 1 {count} {seed} {max} plain-mix"));
        assert_eq!(old.must(&format!("drain 1 {count} {seed} {max}")), format!("1 {count}"));
        native.must_reply();
        assert_eq!(Segment::open(&name).free(), ring, "space is lost in a ring of {ring} bytes");
        native.must("close");
        old.must("close");
    }
}

#[test]
fn legacy_frames_of_random_sizes_reach_a_native_reader() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    for (ring, count, seed) in [(128, 1500, 5), (1024, 1500, 6), (10_240, 1500, 7), (1 << 20, 150, 8)] {
        for api in ["write", "buffer", "mix"] {
            let name = Name::new("old-native");
            native.must(&format!("create {} 64 {ring}", &*name));
            old.must(&format!("connect {}", &*name));
            // Half the ring: a larger frame is unwritable for the legacy writer at some positions
            // (A5). Tails of 1–15 bytes, which stop a legacy reader for good (A2), do occur.
            let max = ring / 2 - 16;
            old.tell(&format!("stream 1 {count} {seed} {max} {api}"));
            assert_eq!(native.must(&format!("drain 1 {count} {seed} {max}")), format!("1 {count}"));
            old.must_reply();
            assert_eq!(Segment::open(&name).free(), ring, "space is lost in a ring of {ring} bytes");
            old.must("close");
            // A4: with wraps that have no marker the counters of the two ends drift; the end is
            // seen all the same.
            native.must_fail("read 5000 0", "WriterGone");
            native.must("close");
            name.assert_gone();
        }
    }
}

#[test]
fn exact_fills_pass_in_both_directions() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let ring = 1024;
    for parts in [1, 2, 4] {
        let len = ring / parts - 16;
        let name = Name::new("exact");
        old.must(&format!("create {} 64 {ring}", &*name));
        native.must(&format!("connect {} 0", &*name));
        for key in 1..=12 {
            native.must(&format!("write {key} {len} plain-mix"));
            assert_eq!(old.must(&format!("read 5000 {key}")), format!("{key} {len}"));
        }
        native.must("close");
        old.must("close");

        for api in ["write", "buffer", "mix"] {
            let name = Name::new("exact");
            native.must(&format!("create {} 64 {ring}", &*name));
            old.must(&format!("connect {}", &*name));
            for key in 1..=12 {
                // A1: the legacy writer goes past the end of the ring after an exact fill, unless
                // the reader publishes the ring's size as its position. A native reader does, which
                // rescues it.
                old.must(&format!("write {key} {len} {api}"));
                assert_eq!(native.must(&format!("read 5000 {key}")), format!("{key} {len}"));
                if key % parts == 0 {
                    assert_eq!(Segment::open(&name).get(READ_POS), ring);
                }
            }
            old.must("close");
            native.must_fail("read 5000 0", "WriterGone");
            native.must("close");
        }
    }
}

#[test]
fn tails_of_every_length_pass_from_native_to_legacy() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let ring = 1024;
    for tail in 1..=63 {
        let name = Name::new("tail");
        old.must(&format!("create {} 64 {ring}", &*name));
        native.must(&format!("connect {} 0", &*name));
        let segment = Segment::open(&name);
        // The second frame would leave the tail. Tails below 16 bytes must not come to be (A2, W2).
        for (key, len) in [(1, 584), (2, 424 - tail - 16), (3, 200), (4, 300), (5, 1)] {
            native.must(&format!("write {key} {len} plain-mix"));
            assert_no_sliver(&segment, ring);
            assert_eq!(old.must(&format!("read 5000 {key}")), format!("{key} {len}"));
        }
        assert_eq!(segment.free(), ring);
        native.must("close");
        old.must("close");
    }
}

#[test]
fn tails_of_every_length_pass_from_legacy_to_native() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let ring = 1024;
    for tail in 1..=63 {
        for api in ["write", "buffer"] {
            let name = Name::new("tail");
            native.must(&format!("create {} 64 {ring}", &*name));
            old.must(&format!("connect {}", &*name));
            for (key, len) in [(1, ring - tail - 16), (2, 200), (3, 300), (4, 400), (5, 1)] {
                old.must(&format!("write {key} {len} {api}"));
                assert_eq!(native.must(&format!("read 5000 {key}")), format!("{key} {len}"));
            }
            assert_eq!(Segment::open(&name).free(), ring);
            old.must("close");
            native.must_fail("read 5000 0", "WriterGone");
            native.must("close");
        }
    }
}

/// A2: a frame that can only leave a tail of 1–15 bytes is refused for a legacy reader, at once and
/// with the remedy.
#[test]
fn a_frame_that_a_legacy_reader_could_not_survive_is_refused() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let name = Name::new("unplaceable");
    old.must(&format!("create {} 64 1024", &*name));
    native.must(&format!("connect {} 0", &*name));
    for tail in 1..=15 {
        let len = 1024 - 16 - tail;
        for api in ["write", "loan", "vectored", "try"] {
            let message = native.must_fail(&format!("write 1 {len} {api}"), "Unplaceable");
            assert!(message.contains(&len.to_string()) && message.contains("1024"), "{message}");
        }
    }
    native.must_fail("write 1 1009 write", "FrameTooLarge");
    // Nothing was published by the refusals.
    native.must("write 1 1008 write");
    assert_eq!(old.must("read 5000 1"), "1 1008");
    // Mid-ring, a legacy reader cannot be sent a frame that needs more than the ring with its
    // wasted tail (A5).
    native.must("write 2 484 write");
    assert_eq!(old.must("read 5000 2"), "2 484");
    native.must_fail("write 3 900 write", "Unplaceable");
    native.must("write 3 508 write");
    assert_eq!(old.must("read 5000 3"), "3 508");
    native.must("close");
    old.must("close");
}

#[test]
fn metadata_pass_in_both_directions() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    for len in [1, 7, 56, 500, 1016] {
        let name = Name::new("meta");
        old.must(&format!("create {} 1024 1024", &*name));
        native.must(&format!("connect {} 0", &*name));
        assert_eq!(old.must("get-meta 9"), "none");
        native.must(&format!("set-meta 9 {len}"));
        native.must_fail("set-meta 9 1", "MetadataAlreadyWritten");
        assert_eq!(old.must("get-meta 9"), len.to_string());
        native.must("close");
        old.must("close");

        let name = Name::new("meta");
        native.must(&format!("create {} 1024 1024", &*name));
        old.must(&format!("connect {}", &*name));
        assert_eq!(native.must("get-meta 9"), "none");
        old.must(&format!("set-meta 9 {len}"));
        assert_eq!(native.must("get-meta 9"), len.to_string());
        old.must("close");
        // Metadata belong to the writer: a native one sets its own behind a legacy one.
        native.must(&format!("connect {} 0", &*name));
        native.must(&format!("set-meta 9 {}", len - 1));
        native.must_fail(&format!("set-meta 9 {len}"), "MetadataAlreadyWritten");
        native.must("write 1 10 write");
        native.must("read 10000 1");
        assert_eq!(native.must("get-meta 9"), (len - 1).to_string());
        native.must("close");
    }
    // Empty metadata are accepted by the legacy writer; reading them is an error only in the legacy
    // reader.
    let name = Name::new("meta");
    native.must(&format!("create {} 64 1024", &*name));
    old.must(&format!("connect {}", &*name));
    old.must("set-meta 9 0");
    assert_eq!(native.must("get-meta 9"), "0");
    old.must("close");
    native.must("close");
}

#[test]
fn frames_held_by_a_native_reader_survive_a_legacy_writer() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    for api in ["write", "buffer"] {
        let name = Name::new("held");
        native.must(&format!("create {} 64 1024", &*name));
        old.must(&format!("connect {}", &*name));
        old.must("timeout 200");
        let segment = Segment::open(&name);
        for key in 1..=3 {
            old.must(&format!("write {key} 300 {api}"));
            native.must(&format!("hold 5000 {key}"));
        }
        let held = 1024 - 3 * 316;
        for index in [1, 2] {
            native.must(&format!("release {index}"));
            assert_eq!(segment.free(), held, "space behind a held frame was returned");
            old.must_fail(&format!("write 4 300 {api}"), "BufferFullException");
        }
        native.must("recheck 0 1");
        native.must("release 0");
        assert_eq!(segment.free(), 1024);

        // B4: a wasted tail counts as returned only after the frames before it.
        old.must(&format!("write 4 184 {api}")); // at 0: the tail of 76 bytes is wasted
        old.must(&format!("write 5 684 {api}")); // 200..900
        native.must("read 5000 4");
        native.must("hold 5000 5");
        let (before, tail) = (segment.free(), 124);
        assert_eq!(before, 1024 - 700);
        old.must(&format!("write 6 144 {api}")); // at 0
        native.must("hold 5000 6");
        assert_eq!(segment.free(), before - tail - 160);
        native.must("release 4");
        assert_eq!(segment.free(), before - tail - 160);
        old.must_fail(&format!("write 7 100 {api}"), "BufferFullException");
        native.must("recheck 3 5");
        native.must("release 3");
        assert_eq!(segment.free(), 1024);
        old.must(&format!("write 7 400 {api}"));
        assert_eq!(native.must("read 5000 7"), "7 400");
        old.must("close");
        native.must("close");
    }
}

/// B1: a legacy reader that holds two frames returns the wrong amounts of space and loses some with
/// each pair. Our writer then says how much is free, and neither hangs nor takes the loss for
/// corruption.
#[test]
fn space_lost_by_a_legacy_reader_ends_as_a_full_ring() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let name = Name::new("lost");
    old.must(&format!("create {} 64 1024", &*name));
    native.must(&format!("connect {} 0", &*name));
    native.must("timeout 200");
    let mut key = 0;
    let message = loop {
        let mut full = None;
        for len in [300, 100] {
            key += 1;
            let reply = native.ask(&format!("write {key} {len} plain-mix"));
            if let Some(message) = reply.strip_prefix("err Full: ") {
                full = Some(message.to_owned());
                break;
            }
            assert_eq!(reply, format!("ok {key}"));
        }
        if let Some(message) = full {
            break message;
        }
        assert!(key < 20, "the fault of the old reader no longer shows: this test has lost its point");
        let first = 2 * ((key - 1) / 2);
        for index in [first, first + 1] {
            old.must(&format!("hold 5000 {}", index + 1));
        }
        old.must(&format!("release {first}"));
        old.must(&format!("release {}", first + 1));
    };
    assert!(message.contains(&Segment::open(&name).free().to_string()), "{message}");
    native.must("close");
    old.must("close");
}

/// B4: a legacy reader returns a wasted tail when it reads the marker, although it still holds the
/// frame in front of it. A legacy writer then runs into the held frame; a native one does not count
/// that tail as free.
#[test]
fn frames_held_by_a_legacy_reader_survive_a_native_writer() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let name = Name::new("old-holds");
    old.must(&format!("create {} 64 1024", &*name));
    native.must(&format!("connect {} 0", &*name));
    native.must("timeout 200");
    native.must("write 1 484 write"); // 0..500
    old.must("read 5000 1");
    native.must("write 2 384 loan"); // 500..900
    old.must("hold 5000 2");
    native.must("write 3 184 vectored"); // 0..200, behind a tail of 124 bytes
    old.must("hold 5000 3");
    let segment = Segment::open(&name);
    assert_eq!(
        segment.free(),
        424,
        "the fault of the old reader no longer shows: this test has lost its point"
    );
    native.must_fail("write 4 285 write", "Full");
    native.must_fail("write 4 408 write", "Full");
    native.must("write 4 284 write"); // 200..500, up to the held frame
    old.must("recheck 0 2");
    old.must("recheck 1 3");
    native.must("close");
    old.must("close");
}

/// C2: a token that got lost leaves a frame behind for a legacy reader. A native reader finds it in
/// the ring within a wait slice.
#[test]
fn frames_without_tokens_are_found() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    let name = Name::new("stranded");
    native.must(&format!("create {} 64 1024", &*name));
    old.must(&format!("connect {}", &*name));
    for key in 1..=10 {
        old.must(&format!("write {key} 300 mix"));
        if key % 2 == 0 {
            let file = std::fs::OpenOptions::new().write(true).open(&name.semaphores()[0]).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &0_u32.to_le_bytes(), 0).unwrap();
        }
        assert_eq!(native.must(&format!("read 5000 {key}")), format!("{key} 300"));
    }
    old.must("close");
    native.must_fail("read 5000 0", "WriterGone");
    native.must("close");
}

#[test]
fn a_second_endpoint_of_either_kind_is_refused() {
    let Some(mut old) = Peer::old() else { return };
    let Some(mut second_old) = Peer::old() else { return };
    let (mut native, mut second) = (Peer::native(), Peer::native());

    let name = Name::new("second");
    old.must(&format!("create {} 64 1024", &*name));
    let message = second.must_fail(&format!("create {} 64 1024", &*name), "ReaderAlreadyConnected");
    assert!(message.contains(&old.pid().to_string()), "{message}");
    second_old.must(&format!("connect {}", &*name));
    let message = second.must_fail(&format!("connect {} 0", &*name), "WriterAlreadyConnected");
    assert!(message.contains(&second_old.pid().to_string()), "{message}");
    // The refusals touched nothing.
    second_old.must("write 1 100 write");
    assert_eq!(old.must("read 5000 1"), "1 100");
    second_old.must("close");
    old.must("close");

    let name = Name::new("second");
    native.must(&format!("create {} 64 1024", &*name));
    old.must_fail(&format!("create {} 64 1024", &*name), "ZeroBufferException");
    second.must(&format!("connect {} 0", &*name));
    old.must_fail(&format!("connect {}", &*name), "WriterAlreadyConnectedException");
    second.must("write 1 100 write");
    assert_eq!(native.must("read 5000 1"), "1 100");
    second.must("close");
    native.must("close");
    name.assert_gone();
}
