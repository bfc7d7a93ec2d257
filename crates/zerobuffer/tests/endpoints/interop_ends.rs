//! The published Python package 1.3.0 at the other end when either end dies, closes or is replaced.
//!
//! Letters with digits (C7, D8 …) name known faults of the older implementations; W numbers are
//! protocol rules.
// The published Python package runs on Linux only.

use std::fs;
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::pattern::mix;
use crate::common::segment::{FREE, READER_PID, WRITE_POS, WRITER_PID};
use crate::common::{Name, Peer, Segment, content};

const RING: u64 = 4096;
/// Placeable for either kind of reader at every position.
const MAX: u64 = (RING - 15) / 2 - 16;
/// A wait that was meant to last much longer was ended by the peer, not by the clock.
const PROMPT: Duration = Duration::from_secs(10);

fn pause(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds));
}

/// The highest frame that a killed `chatter`, whose first report was taken before, had reported.
fn acknowledged(writer: &mut Peer) -> u64 {
    let last = writer.remaining().into_iter().rev().find_map(|line| line.strip_prefix("sent ")?.parse().ok());
    last.unwrap_or(1)
}

#[test]
fn a_killed_legacy_writer_is_noticed_and_its_frames_are_delivered() {
    let mut native = Peer::native();
    for round in 0..12 {
        let Some(mut old) = Peer::old() else { return };
        let name = Name::new("kill-old-w");
        native.must(&format!("create {} 64 {RING}", &*name));
        old.must(&format!("connect {}", &*name));
        let api = if round % 2 == 0 { "write" } else { "buffer" };
        old.tell(&format!("chatter 1 {round} {MAX} {api}"));
        native.tell(&format!("until-gone 1 {round} {MAX}"));
        assert_eq!(old.reply(), "sent 1");
        pause(mix(round) % 60);
        if round % 3 == 0 {
            old.kill_unreaped(); // D7: a zombie still answers `kill(pid, 0)`
        } else {
            old.kill();
        }
        let delivered: u64 = native.must_reply().parse().unwrap();
        let sent = acknowledged(&mut old);
        assert!((sent..=sent + 1).contains(&delivered), "{delivered} frames delivered, {sent} acknowledged");
        let message = native.must_fail("read 1000 0", "WriterGone");
        assert!(message.contains(&old.pid().to_string()), "{message}");

        // A native writer takes over where the dead one stopped, and the ring has its whole space
        // again.
        let mut next = Peer::native();
        next.must(&format!("connect {} 20000", &*name));
        assert_eq!(Segment::open(&name).free(), RING);
        next.tell(&format!("stream {} 200 5 {MAX} mix", delivered + 1));
        native.must(&format!("drain {} 200 5 {MAX}", delivered + 1));
        next.must_reply();
        next.must("close");
        native.must_fail("read 1000 0", "WriterGone");
        native.must("close");
    }
}

#[test]
fn a_legacy_reader_gets_every_frame_of_a_killed_native_writer() {
    let Some(mut old) = Peer::old() else { return };
    for round in 0..10 {
        let mut native = Peer::native();
        let name = Name::new("kill-our-w");
        old.must(&format!("create {} 64 {RING}", &*name));
        native.must(&format!("connect {} 0", &*name));
        native.tell(&format!("chatter 1 {round} {MAX} plain-mix"));
        old.tell(&format!("until-gone 1 {round} {MAX}"));
        assert_eq!(native.reply(), "sent 1");
        pause(mix(round) % 40);
        native.kill();
        let delivered: u64 = old.must_reply().parse().unwrap();
        let sent = acknowledged(&mut native);
        // The last frame may be published without its token; a legacy reader sees it only with the
        // next one.
        assert!((sent..=sent + 1).contains(&delivered), "{delivered} frames delivered, {sent} acknowledged");

        // W9: our successor continues the numbers, which a legacy reader insists on.
        let mut next = Peer::native();
        next.must(&format!("connect {} 0", &*name));
        let key = next.must(&format!("write {} 100 write", delivered + 1)).parse::<u64>().unwrap();
        assert!((delivered + 1..=delivered + 2).contains(&key), "sequence {key} after {delivered} frames");
        if key == delivered + 1 {
            assert_eq!(old.must(&format!("read 5000 {key}")), format!("{key} 100"));
        }
        next.must("close");
        old.must("close");
    }
}

#[test]
fn closing_ends_are_noticed_by_blocked_peers() {
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();

    // C4: a legacy reader looks at the writer only after its own timeout. A native writer posts
    // nothing when it closes, since the token would kill a legacy reader whose counters have
    // drifted (W6).
    let name = Name::new("close-our-w");
    old.must(&format!("create {} 64 {RING}", &*name));
    native.must(&format!("connect {} 0", &*name));
    native.must("stream 1 50 1 40 plain-mix");
    native.must("close");
    assert_eq!(old.must("until-gone 1 1 40"), "50");
    old.must("close");

    // Our closing reader wakes a legacy writer that is blocked for space.
    let name = Name::new("close-our-r");
    native.must(&format!("create {} 64 {RING}", &*name));
    old.must(&format!("connect {}", &*name));
    old.must("timeout 20000");
    old.must("write 1 2000 write");
    old.tell("write 2 3000 write");
    pause(100);
    let start = Instant::now();
    native.must("close");
    assert!(old.reply().starts_with("err ReaderDeadException"));
    assert!(start.elapsed() < PROMPT, "the old writer slept for {:?}", start.elapsed());
    old.must("close");
    name.assert_gone();

    // Legacy ends post nothing when they close: native ones find out by themselves.
    let name = Name::new("close-old-w");
    native.must(&format!("create {} 64 {RING}", &*name));
    old.must(&format!("connect {}", &*name));
    native.tell("read 20000 1");
    pause(100);
    let start = Instant::now();
    old.must("close");
    assert!(native.reply().starts_with("err WriterGone"));
    assert!(start.elapsed() < PROMPT, "our reader slept for {:?}", start.elapsed());
    native.must("close");

    let name = Name::new("close-old-r");
    old.must(&format!("create {} 64 {RING}", &*name));
    native.must(&format!("connect {} 0", &*name));
    native.must("timeout 20000");
    native.must("write 1 2000 write");
    native.tell("write 2 2000 write");
    native.must_reply();
    native.tell("write 3 2000 write");
    pause(100);
    let start = Instant::now();
    old.must("close");
    assert!(native.reply().starts_with("err ReaderGone"));
    assert!(start.elapsed() < PROMPT, "our writer slept for {:?}", start.elapsed());
    native.must("close");
}

#[test]
fn killed_readers_are_noticed_by_blocked_writers() {
    let name = Name::new("kill-old-r");
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    old.must(&format!("create {} 64 {RING}", &*name));
    native.must(&format!("connect {} 0", &*name));
    native.must("timeout 20000");
    native.must("write 1 1800 write");
    native.must("write 2 1800 write");
    native.tell("write 3 1800 write");
    pause(100);
    let start = Instant::now();
    old.kill();
    let reply = native.reply();
    assert!(reply.starts_with("err ReaderGone") && reply.contains(&old.pid().to_string()), "{reply}");
    assert!(start.elapsed() < PROMPT, "our writer slept for {:?}", start.elapsed());
    native.must("close");

    let name = Name::new("kill-our-r");
    let Some(mut old) = Peer::old() else { return };
    let mut native = Peer::native();
    native.must(&format!("create {} 64 {RING}", &*name));
    old.must(&format!("connect {}", &*name));
    old.must("timeout 500");
    old.must("write 1 3000 write");
    old.tell("write 2 3000 write");
    pause(100);
    native.kill();
    assert!(old.reply().starts_with("err ReaderDeadException"));
    old.must("close");
}

#[test]
fn a_native_writer_continues_after_a_legacy_one() {
    let Some(mut old) = Peer::old() else { return };
    let Some(mut reader) = Peer::old() else { return };
    let mut native = Peer::native();
    for frames in [0_u64, 1, 7, 40, 41, 42, 43] {
        for unread in [0, 1, 3] {
            let name = Name::new("old-then-native");
            reader.must(&format!("create {} 64 {RING}", &*name));
            old.must(&format!("connect {}", &*name));
            let mut position = 0;
            for key in 1..=frames {
                // Multiples of 16 keep the legacy writer from tails that stop the legacy reader
                // (A2). An exact fill would make it write past the end of the ring (A1).
                let len = 16 * (1 + key % 11);
                let total = if position + len + 16 == RING { len + 32 } else { len + 16 };
                position = if position + total > RING { total } else { position + total };
                old.must(&format!("write {key} {} mix", total - 16));
                if key + unread <= frames {
                    reader.must(&format!("read 5000 {key}"));
                }
            }
            old.must("close");
            // D8: a legacy successor would start at 1 again, and the legacy reader would refuse it.
            // A native one continues (W9).
            native.must(&format!("connect {} 0", &*name));
            let next = frames + 1;
            assert_eq!(native.must(&format!("write {next} 77 write")), next.to_string());
            for key in (frames + 1).saturating_sub(unread).max(1)..=frames {
                reader.must(&format!("read 5000 {key}"));
            }
            assert_eq!(reader.must(&format!("read 5000 {next}")), format!("{next} 77"));
            native.must("close");
            reader.must("close");
        }
    }
}

#[test]
fn a_native_reader_accepts_a_legacy_writer_after_any_other() {
    let Some(mut old) = Peer::old() else { return };
    let (mut reader, mut native) = (Peer::native(), Peer::native());
    let name = Name::new("successors");
    reader.must(&format!("create {} 64 {RING}", &*name));
    native.must(&format!("connect {} 0", &*name));
    native.tell(&format!("stream 1 100 1 {MAX} mix"));
    reader.must(&format!("drain 1 100 1 {MAX}"));
    native.must_reply();
    native.must("close");
    for _ in 0..3 {
        reader.must_fail("read 2000 0", "WriterGone");
        // D8: a legacy writer starts at 1. With all read, our reader takes that for what it is.
        old.must(&format!("connect {}", &*name));
        old.tell(&format!("stream 1 100 2 {MAX} mix"));
        assert_eq!(reader.must(&format!("drain 1 100 2 {MAX}")), "1 100");
        old.must_reply();
        old.must("close");
    }
    // And a native writer after it continues from the old one's numbers.
    reader.must_fail("read 2000 0", "WriterGone");
    native.must(&format!("connect {} 0", &*name));
    assert_eq!(native.must("write 101 500 write"), "101");
    assert_eq!(reader.must("read 2000 101"), "101 500");
    native.must("close");
    reader.must("close");
    name.assert_gone();
}

#[test]
fn a_native_reader_takes_over_the_name_of_a_dead_legacy_reader() {
    let Some(mut writer) = Peer::old() else { return };
    for (closes, attached) in [(true, false), (false, false), (false, true)] {
        let Some(mut old) = Peer::old() else { return };
        let name = Name::new("take-from-old");
        old.must(&format!("create {} 64 {RING}", &*name));
        if attached {
            writer.must(&format!("connect {}", &*name));
            writer.must("timeout 200");
            writer.must("write 1 1000 write");
        }
        if closes {
            old.must("close"); // C7: its semaphores stay behind
            assert_eq!(name.leftovers(), name.semaphores());
        } else {
            old.kill();
        }
        let orphan = attached.then(|| Segment::open(&name));
        let mut native = Peer::native();
        // E2: a legacy reader could never have this name again while a writer is attached.
        native.must(&format!("create {} 64 {RING}", &*name));
        if let Some(orphan) = orphan {
            // D9: the legacy writer would write into the orphan for ever; the native reader has
            // stopped it.
            assert_eq!(orphan.get(READER_PID), 0);
            assert!(writer.ask("write 2 100 write").starts_with("err ReaderDeadException"));
            writer.must("close");
        }
        let mut next = if closes { Peer::native() } else { Peer::old().expect("it was there before") };
        next.must(&format!("connect {} 0", &*name));
        next.tell(&format!("stream 1 100 3 {} write", RING / 2 - 16));
        assert_eq!(native.must(&format!("drain 1 100 3 {}", RING / 2 - 16)), "1 100");
        next.must_reply();
        next.must("close");
        native.must("close");
        name.assert_gone();
    }
}

#[test]
fn a_legacy_reader_takes_over_the_name_of_a_dead_native_reader() {
    let Some(mut old) = Peer::old() else { return };
    for attached in [false, true] {
        let name = Name::new("take-from-native");
        let (mut native, mut writer) = (Peer::native(), Peer::native());
        native.must(&format!("create {} 64 {RING}", &*name));
        if attached {
            writer.must(&format!("connect {} 0", &*name));
            writer.must("write 1 1000 write");
        }
        native.kill();
        if attached {
            // Noticed when the ring is full, at the latest.
            while let Some(sequence) = writer.ask("write 2 100 write").strip_prefix("ok ") {
                assert!(sequence.parse::<u64>().unwrap() < RING / 116);
            }
            writer.must_fail("write 2 100 write", "ReaderGone");
            writer.must("close");
            assert_eq!(Segment::open(&name).get(WRITER_PID), 0);
        }
        // E2: a legacy reader gets the name only when no live writer is registered; the native one
        // has left, as it should.
        old.must(&format!("create {} 64 {RING}", &*name));
        writer.must(&format!("connect {} 0", &*name));
        writer.tell(&format!("stream 1 100 4 {MAX} plain-mix"));
        assert_eq!(old.must(&format!("drain 1 100 4 {MAX}")), "1 100");
        writer.must_reply();
        writer.must("close");
        old.must("close");
    }
}

/// W10: a legacy writer dies between publishing its position and charging for the frame. The next
/// writer is native, the reader legacy. The frame without a token is late by one, and what it
/// returns was never charged.
#[test]
fn a_native_writer_after_a_legacy_one_that_died_between_its_stores() {
    let Some(mut reader) = Peer::old() else { return };
    for read_before in [false, true] {
        let Some(mut old) = Peer::old() else { return };
        let name = Name::new("half");
        reader.must(&format!("create {} 64 {RING}", &*name));
        old.must(&format!("connect {}", &*name));
        for key in 1..=2 {
            old.must(&format!("write {key} 112 write"));
            reader.must(&format!("read 5000 {key}"));
        }
        old.kill();
        let segment = Segment::open(&name);
        let at = segment.get(WRITE_POS);
        let frame = [&112_u64.to_le_bytes()[..], &3_u64.to_le_bytes(), &content(3, 112)].concat();
        segment.put(segment.ring() + at, &frame);
        segment.set(WRITE_POS, at + 128);

        let mut native = Peer::native();
        if read_before {
            // With its token, but still uncharged: then `free` exceeds the ring as soon as it is
            // released.
            post(&name, 1);
            assert_eq!(reader.must("read 5000 3"), "3 112");
            assert_eq!(segment.free(), RING + 128);
        }
        native.must(&format!("connect {} 0", &*name));
        if !read_before {
            assert_eq!(reader.must("read 5000 3"), "3 112", "the missing token is posted");
        }
        for key in 4..=200 {
            assert_eq!(native.must(&format!("write {key} 112 write")), key.to_string());
            assert_eq!(reader.must(&format!("read 5000 {key}")), format!("{key} 112"));
        }
        // The uncharged bytes are never taken for free ones: a full ring overwrites nothing.
        native.must("timeout 100");
        let last =
            (201..300).find(|key| native.ask(&format!("write {key} 112 write")).starts_with("err Full"));
        let last = last.expect("the ring has an end") - 1;
        for key in 201..=last {
            assert_eq!(reader.must(&format!("read 5000 {key}")), format!("{key} 112"));
        }
        native.must("close");
        reader.must("close");
    }
}

/// A legacy writer dies between charging for a frame that fills the ring and counting it. Its
/// legacy successor comes before the reader looks, or after it has repaired. The frame is
/// delivered.
#[test]
fn a_native_reader_gets_the_uncounted_frame_that_fills_the_ring() {
    for succeeded in [true, false] {
        let Some(mut old) = Peer::old() else { return };
        let mut native = Peer::native();
        let name = Name::new("full-uncounted");
        native.must(&format!("create {} 64 1024", &*name));
        old.must(&format!("connect {}", &*name));
        let segment = Segment::open(&name);
        let frame = [&1008_u64.to_le_bytes()[..], &1_u64.to_le_bytes(), &content(1, 1008)].concat();
        segment.put(segment.ring(), &frame);
        segment.set(FREE, 0);
        old.kill();
        let mut next = Peer::old().unwrap();
        if succeeded {
            next.must(&format!("connect {}", &*name));
        }
        assert_eq!(native.must("read 10000 1"), "1 1008", "succeeded: {succeeded}");
        if !succeeded {
            native.must_fail("read 10000 0", "WriterGone");
            next.must(&format!("connect {}", &*name));
        }
        assert_eq!(segment.free(), 1024);
        next.must("close");
        native.must("close");
    }
}

/// A native writer dies between the position and the token of a frame. Its native successor posts
/// that token, whether the reader sleeps, is busy with other frames, or reads on. Surplus ones
/// would stop the reader: it gets none, also where nothing is missing.
#[test]
fn a_successor_posts_the_tokens_that_a_dead_writer_owes_a_legacy_reader() {
    let Some(mut reader) = Peer::old() else { return };
    for (unread, missing, sleeps) in
        [(1, 1, true), (1, 1, false), (3, 1, false), (3, 3, true), (3, 2, false), (4, 0, false), (0, 0, true)]
    {
        let name = Name::new("owed");
        reader.must(&format!("create {} 64 {RING}", &*name));
        let mut writer = Peer::native();
        writer.must(&format!("connect {} 0", &*name));
        writer.must("write 1 100 write");
        reader.must("read 5000 1");
        for key in 2..2 + unread {
            writer.must(&format!("write {key} 100 write"));
        }
        take(&name, missing);
        writer.kill();
        if sleeps {
            reader.tell("read 60000 2");
            pause(50);
        }
        let mut next = Peer::native();
        next.must(&format!("connect {} 5000", &*name));
        let first = 2 + unread;
        if sleeps && unread == 0 {
            next.must("write 2 100 write");
        }
        for key in 2..first {
            let reply = if sleeps && key == 2 {
                reader.must_reply()
            } else {
                reader.must(&format!("read 5000 {key}"))
            };
            assert_eq!(reply, format!("{key} 100"), "{unread} unread, {missing} without a token");
        }
        let mut first = first;
        if sleeps && unread == 0 {
            assert_eq!(reader.must_reply(), "2 100");
            first = 3;
        }
        assert_eq!(reader.must("read 100 0"), "none", "a surplus token");
        for key in first..first + 20 {
            next.must(&format!("write {key} 100 write"));
            assert_eq!(reader.must(&format!("read 5000 {key}")), format!("{key} 100"));
        }
        next.must("close");
        reader.must("close");
    }
}

/// Takes tokens from the data semaphore, as if they had never been posted.
fn take(name: &Name, tokens: u32) {
    let file = fs::OpenOptions::new().read(true).write(true).open(&name.semaphores()[0]).unwrap();
    let mut value = [0; 4];
    file.read_exact_at(&mut value, 0).unwrap();
    file.write_all_at(&(u32::from_le_bytes(value) - tokens).to_le_bytes(), 0).unwrap();
}

/// Adds a token to the data semaphore, as a writer does.
fn post(name: &Name, tokens: u32) {
    let file = fs::OpenOptions::new().read(true).write(true).open(&name.semaphores()[0]).unwrap();
    let mut value = [0; 4];
    file.read_exact_at(&mut value, 0).unwrap();
    file.write_all_at(&(u32::from_le_bytes(value) + tokens).to_le_bytes(), 0).unwrap();
}

/// W4: a legacy writer caught, or killed, in the middle of a wrap: the tail is charged, the
/// position not yet moved. The frames of the lap before are not taken for new ones.
#[test]
fn a_native_reader_meets_a_legacy_writer_in_the_middle_of_a_wrap() {
    for killed in [false, true] {
        let Some(mut old) = Peer::old() else { return };
        let mut native = Peer::native();
        let name = Name::new("mid-wrap");
        native.must(&format!("create {} 64 1024", &*name));
        old.must(&format!("connect {}", &*name));
        for key in 1..=3 {
            old.must(&format!("write {key} 300 write"));
            native.must(&format!("read 5000 {key}"));
        }
        let segment = Segment::open(&name);
        let (at, tail) = (segment.get(WRITE_POS), 1024 - segment.get(WRITE_POS));
        assert_eq!((at, tail), (948, 76));
        segment.put(segment.ring() + at, &[0; 16]);
        segment.set(FREE, 1024 - tail);
        if killed {
            old.kill();
            native.must_fail("read 5000 4", "WriterGone");
            assert_eq!(segment.free(), 1024);
            old = Peer::native();
            old.must(&format!("connect {} 20000", &*name));
        } else {
            assert_eq!(native.must("read 300 4"), "none");
            // The writer goes on: it charges the tail itself now.
            segment.set(FREE, 1024);
        }
        for key in 4..=30 {
            assert_eq!(old.must(&format!("write {key} 300 write")), key.to_string());
            assert_eq!(native.must(&format!("read 5000 {key}")), format!("{key} 300"));
        }
        old.must("close");
        native.must_fail("read 5000 0", "WriterGone");
        native.must("close");
    }
}
