//! Endpoints that come, close, die, fork, race for a name and come back, across processes.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::common::pattern::mix;
use crate::common::{Name, Peer, Segment, check, content, expect_error};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig};

/// A wait that was meant to last much longer was ended by the peer, not by the clock.
const PROMPT: Duration = Duration::from_secs(10);

fn pause(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds));
}

fn pair(name: &Name) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(1024).metadata(64)).unwrap();
    (reader, Writer::connect(name).unwrap())
}

#[test]
fn a_clean_close_wakes_the_blocked_peer() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for wait in ["block", "adaptive", "spin"] {
        let name = Name::new("close");
        reader.must(&format!("create {} 64 1024 {wait}", &*name));
        writer.must(&format!("connect {} 0 {wait}", &*name));
        writer.must("write 1 100 write");
        reader.must("read 1000 1");
        reader.tell("read 20000 0");
        pause(60);
        let start = Instant::now();
        writer.must("close");
        let message = reader.reply();
        assert!(message.starts_with("err WriterGone") && message.contains(&*name), "{message}");
        assert!(start.elapsed() < PROMPT);
        // Said again by each further call, until there is a writer again.
        reader.must_fail("read 20000 0", "WriterGone");

        writer.must(&format!("connect {} 0 {wait}", &*name));
        writer.must("timeout 20000");
        writer.must("write 2 800 write");
        writer.tell("write 3 800 write");
        pause(60);
        let start = Instant::now();
        reader.must("close");
        let message = writer.reply();
        assert!(message.starts_with("err ReaderGone") && message.contains(&*name), "{message}");
        assert!(start.elapsed() < PROMPT);
        writer.must("close");
        name.assert_gone();
    }
}

/// W8: a writer that does not wait learns of the reader's death too.
#[test]
fn a_write_timeout_of_zero_notices_a_dead_reader() {
    let (mut reader, name) = (Peer::native(), Name::new("zero"));
    reader.must(&format!("create {} 0 1024", &*name));
    let config = WriterConfig::default().write_timeout(Some(Duration::ZERO));
    let mut writer = Writer::connect_with(&name, config).unwrap();
    writer.write(&[1; 900]).unwrap();
    expect_error(writer.write(&[2; 900]), "Full");
    reader.kill();
    let start = Instant::now();
    let error = loop {
        match writer.write(&[2; 900]) {
            Err(Error::Full { .. }) if start.elapsed() < PROMPT => {}
            other => break other,
        }
    };
    expect_error(error, "ReaderGone");
}

/// W10: whatever instruction the writer was killed at, its frames arrive, no space is lost, a
/// successor continues.
#[test]
fn writers_killed_at_random_times() {
    let mut reader = Peer::native();
    // 120 kills on Windows, and 80 of readers below: there the two of them are what shows W10.
    for round in 0..if cfg!(windows) { 60 } else { 40 } {
        let ring = [256, 1024, 8192, 65_536][(round % 4) as usize];
        let max = ring - 16;
        let name = Name::new("kill-w");
        reader.must(&format!("create {} 64 {ring}", &*name));
        let mut next = 1;
        for life in 0..2 {
            let mut writer = Peer::native();
            let pid = writer.pid();
            writer.must(&format!("connect {} 20000", &*name));
            writer.tell(&format!("chatter {next} {round} {max} mix"));
            reader.tell(&format!("until-gone {next} {round} {max}"));
            pause(1 + mix(round * 2 + life) % 30);
            if round % 2 == 0 {
                writer.kill();
            } else {
                writer.kill_unreaped();
            }
            let delivered: u64 = reader.must_reply().parse().unwrap();
            let sent = last_sent(&mut writer, next - 1);
            let got = next - 1 + delivered;
            assert!((sent..=sent + 1).contains(&got), "round {round}: {got} delivered, {sent} acknowledged");
            let message = reader.must_fail("read 1000 0", "WriterGone");
            assert!(message.contains(&pid.to_string()), "{message}");
            assert_eq!(Segment::open(&name).free(), ring, "round {round}: ring space is lost");
            next = got + 1;
        }
        reader.must("close");
        name.assert_gone();
    }
}

fn last_sent(writer: &mut Peer, otherwise: u64) -> u64 {
    let number = |line: &String| line.strip_prefix("sent ")?.parse().ok();
    writer.remaining().iter().rev().find_map(number).unwrap_or(otherwise)
}

/// W10 with frames in hand: they stay whole while the ring around them is repaired, and their space
/// comes back.
#[test]
fn frames_held_across_the_death_of_their_writer() {
    for round in 0..25 {
        let name = Name::new("held");
        let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
        let mut writer = Peer::native();
        writer.must(&format!("connect {} 0", &*name));
        writer.tell(&format!("chatter 1 {round} 300 mix"));
        let (mut held, mut last) = (Vec::new(), 0);
        let mut alive = true;
        let end = Instant::now() + Duration::from_millis(5 + mix(round) % 25);
        loop {
            if alive && Instant::now() > end {
                writer.kill();
                alive = false;
            }
            match reader.read_timeout(if alive { Duration::from_millis(2) } else { PROMPT }) {
                Ok(Some(frame)) => {
                    last += 1;
                    assert_eq!(frame.sequence(), last);
                    held.push(frame);
                }
                Ok(None) if alive => {}
                Err(Error::WriterGone { .. }) if !alive => break,
                other => panic!("{other:?}"),
            }
            while alive && held.len() as u64 > mix(last) % 7 {
                let frame = held.swap_remove((mix(last + 1) % held.len() as u64) as usize);
                check(frame.data(), frame.sequence()).unwrap();
            }
        }
        let sent = last_sent(&mut writer, 0);
        assert!((sent..=sent + 1).contains(&last), "{last} delivered, {sent} acknowledged");
        let config = WriterConfig::default().connect_timeout(PROMPT);
        let mut next = Writer::connect_with(&name, config).unwrap();
        while !held.is_empty() {
            let _ = next.try_write(&[round as u8; 200]);
            let frame = held.swap_remove((mix(held.len() as u64) % held.len() as u64) as usize);
            check(frame.data(), frame.sequence()).unwrap();
        }
        while let Some(frame) = reader.try_read().unwrap() {
            last += 1;
            assert_eq!((frame.sequence(), frame.data()), (last, &[round as u8; 200][..]));
        }
        assert_eq!(Segment::open(&name).free(), 4096, "ring space is lost");
    }
}

/// The successor of a killed writer waits for the reader's repair, within a bound, and says so if
/// there is none.
#[test]
fn a_successor_that_comes_before_the_repair() {
    let (mut reader, mut next) = (Peer::native(), Peer::native());
    for round in 0..12 {
        let name = Name::new("early");
        reader.must(&format!("create {} 64 4096", &*name));
        let mut writer = Peer::native();
        writer.must(&format!("connect {} 0", &*name));
        writer.tell(&format!("chatter 1 {round} 300 mix"));
        // One that has done nothing leaves no trace, and is not missed.
        assert_eq!(writer.reply(), "sent 1");
        pause(mix(round) % 25);
        writer.kill();
        // The reader is in no call: it repairs nothing now.
        let start = Instant::now();
        next.must_fail(&format!("connect {} 200", &*name), "CrashNotNoticed");
        assert!(start.elapsed() < Duration::from_secs(30));
        let delivered: u64 = reader.must(&format!("until-gone 1 {round} 300")).parse().unwrap();
        let sent = last_sent(&mut writer, 1);
        assert!((sent..=sent + 1).contains(&delivered), "{delivered} delivered, {sent} acknowledged");
        next.must(&format!("connect {} 20000", &*name));
        let key = delivered + 1;
        next.tell(&format!("write {key} 4080 write"));
        assert_eq!(reader.must(&format!("read 10000 {key}")), format!("{key} 4080"));
        assert_eq!(next.must_reply(), key.to_string());
        next.must("close");
        reader.must("close");
    }
}

#[test]
fn readers_killed_at_random_times() {
    let mut writer = Peer::native();
    let name = Name::new("kill-r");
    for round in 0..if cfg!(windows) { 80 } else { 25 } {
        let mut reader = Peer::native();
        // The name is taken over from the previous, killed reader.
        reader.must(&format!("create {} 64 2048", &*name));
        writer.must(&format!("connect {} 0", &*name));
        writer.tell(&format!("stream 1 100000000 {round} 1000 mix"));
        reader.tell(&format!("drain 1 100000000 {round} 1000"));
        pause(1 + mix(round) % 30);
        reader.kill();
        let start = Instant::now();
        let message = writer.reply();
        assert!(message.starts_with("err ReaderGone"), "{message}");
        assert!(message.contains(&reader.pid().to_string()), "{message}");
        assert!(start.elapsed() < PROMPT);
        writer.must_fail("write 1 1 write", "ReaderGone");
        if round % 2 == 0 {
            writer.must("close");
        } else {
            // Still attached to the dead reader's segment while the next reader takes the name.
            let mut next = Peer::native();
            next.must(&format!("create {} 64 1024", &*name));
            writer.must_fail("write 1 1 write", "ReaderGone");
            writer.must("close");
            writer.must(&format!("connect {} 0", &*name));
            writer.must("write 1 10 write");
            assert_eq!(next.must("read 1000 1"), "1 10");
            writer.must("close");
            next.must("close");
            name.assert_gone();
        }
    }
}

#[test]
fn a_second_reader_and_a_second_writer_are_refused() {
    let name = Name::new("second");
    let (mut reader, mut writer) = pair(&name);
    let own = std::process::id().to_string();
    let mut other = Peer::native();
    for _ in 0..2 {
        let message = other.must_fail(&format!("create {} 64 1024", &*name), "ReaderAlreadyConnected");
        assert!(message.contains(&own) && message.contains(&*name), "{message}");
        let message = other.must_fail(&format!("connect {} 0", &*name), "WriterAlreadyConnected");
        assert!(message.contains(&own) && message.contains(&*name), "{message}");
    }
    expect_error(Reader::create(&name, BufferConfig::default()), "ReaderAlreadyConnected");
    expect_error(Writer::connect(&name), "WriterAlreadyConnected");
    writer.write(&content(1, 500)).unwrap();
    check(reader.try_read().unwrap().expect("a frame is there").data(), 1).unwrap();
    writer.close().unwrap();
    other.must(&format!("connect {} 0", &*name));
    assert_eq!(other.must("write 2 10 write"), "2");
    other.must("close");
}

#[test]
fn of_readers_racing_for_a_name_exactly_one_wins() {
    let mut racers: Vec<Peer> = (0..5).map(|_| Peer::native()).collect();
    for round in 0..30 {
        let name = Name::new("race");
        if round % 3 == 1 {
            // A dead reader's name.
            let mut dead = Peer::native();
            dead.must(&format!("create {} 64 1024", &*name));
            dead.kill();
        }
        for racer in &mut racers {
            racer.tell(&format!("create {} 64 1024", &*name));
        }
        let replies: Vec<String> = racers.iter_mut().map(Peer::reply).collect();
        let winners: Vec<usize> = (0..racers.len()).filter(|i| replies[*i] == "ok").collect();
        assert_eq!(winners.len(), 1, "{replies:?}");
        let lost = replies.iter().filter(|reply| reply.starts_with("err ReaderAlreadyConnected")).count();
        assert_eq!(lost, racers.len() - 1, "{replies:?}");
        let (winner, loser) = (winners[0], (winners[0] + 1) % racers.len());
        racers[loser].must(&format!("connect {} 0", &*name));
        racers[loser].must("write 1 300 write");
        assert_eq!(racers[winner].must("read 2000 1"), "1 300");
        racers[loser].must("close");
        racers[winner].must("close");
        name.assert_gone();
    }
}

#[test]
fn of_writers_racing_for_a_buffer_exactly_one_wins() {
    let name = Name::new("race-w");
    let mut reader = Peer::native();
    reader.must(&format!("create {} 64 1024", &*name));
    let mut racers: Vec<Peer> = (0..5).map(|_| Peer::native()).collect();
    for round in 1..=20 {
        for racer in &mut racers {
            racer.tell(&format!("connect {} 0", &*name));
        }
        let replies: Vec<String> = racers.iter_mut().map(Peer::reply).collect();
        let winners: Vec<usize> = (0..racers.len()).filter(|i| replies[*i] == "ok").collect();
        assert_eq!(winners.len(), 1, "{replies:?}");
        let lost = replies.iter().filter(|reply| reply.starts_with("err WriterAlreadyConnected")).count();
        assert_eq!(lost, racers.len() - 1, "{replies:?}");
        assert_eq!(racers[winners[0]].must(&format!("write {round} 30 mix")), round.to_string());
        assert_eq!(reader.must(&format!("read 2000 {round}")), format!("{round} 30"));
        racers[winners[0]].must("close");
    }
}

#[test]
fn a_writer_before_its_reader() {
    let name = Name::new("before");
    match Writer::connect(&name) {
        Err(Error::NotFound { waited, .. }) => assert_eq!(waited, Duration::ZERO),
        other => panic!("{other:?}"),
    }
    let config = WriterConfig::default().connect_timeout(Duration::from_millis(150));
    match Writer::connect_with(&name, config) {
        Err(Error::NotFound { waited, .. }) => assert!(waited >= Duration::from_millis(150), "{waited:?}"),
        other => panic!("{other:?}"),
    }
    name.assert_gone();
    let mut writer = Peer::native();
    for _ in 0..10 {
        writer.tell(&format!("connect {} 20000", &*name));
        pause(80);
        let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(64)).unwrap();
        writer.must_reply();
        assert!(reader.wait_for_writer(PROMPT).unwrap() && reader.is_writer_connected());
        writer.must("write 1 20 write");
        check(reader.read().unwrap().data(), 1).unwrap();
        writer.must("close");
        assert!(!reader.is_writer_connected());
    }
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(64)).unwrap();
    assert!(!reader.wait_for_writer(Duration::from_millis(60)).unwrap());
    assert!(reader.read_timeout(Duration::from_millis(60)).unwrap().is_none(), "no writer yet is a timeout");
}

#[test]
fn interrupt_ends_the_blocked_call_and_later_ones_until_it_is_taken_back() {
    let name = Name::new("interrupt");
    let (mut reader, mut writer) = pair(&name);
    writer.set_write_timeout(None);
    writer.write(&content(1, 1000)).unwrap();
    let handle = writer.handle();
    thread::scope(|scope| {
        let blocked = scope.spawn(|| expect_error(writer.write(&content(2, 1000)), "Closed"));
        pause(60);
        assert!(!handle.is_interrupted() && !blocked.is_finished());
        handle.interrupt();
        assert!(blocked.join().unwrap().contains(&*name));
    });
    expect_error(writer.try_write(b"x"), "Closed");
    expect_error(writer.loan(1).map(drop), "Closed");
    handle.resume();
    assert!(!handle.is_interrupted());

    assert_eq!(reader.read().unwrap().sequence(), 1);
    assert_eq!(writer.write(b"again").unwrap().sequence(), Some(2));
    assert_eq!(reader.read().unwrap().sequence(), 2);
    let handle = reader.handle();
    thread::scope(|scope| {
        let blocked = scope.spawn(|| expect_error(reader.read(), "Closed"));
        pause(60);
        assert!(!handle.is_interrupted() && !blocked.is_finished());
        handle.interrupt();
        assert!(blocked.join().unwrap().contains(&*name));
    });
    expect_error(reader.try_read(), "Closed");
    expect_error(reader.latest(), "Closed");
    expect_error(reader.wait_for_writer(PROMPT), "Closed");
    handle.resume();
    assert!(reader.read_timeout(Duration::from_millis(60)).unwrap().is_none(), "the wake-up was no frame");
    assert_eq!(writer.write(b"again").unwrap().sequence(), Some(3));
    assert_eq!(reader.read().unwrap().sequence(), 3);
    drop((writer, reader));
    name.assert_gone();
}

#[test]
fn a_thousand_buffers_leave_nothing() {
    let name = Name::new("churn");
    let mut agent = Peer::native();
    assert_eq!(agent.must(&format!("churn {} 1000", &*name)), "0 0", "growth in descriptors and in mappings");
    name.assert_gone();
}

/// Where every name is the machine's, asking for that changes nothing: the same objects under the
/// same names.
#[cfg(not(windows))]
#[test]
fn global_changes_nothing_where_there_are_no_sessions() {
    let name = Name::new("global");
    let usual = Reader::create(&name, BufferConfig::ring(1024).metadata(64)).unwrap();
    let objects = name.leftovers();
    drop(usual);
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(64).global(true)).unwrap();
    assert!(!objects.is_empty());
    assert_eq!(name.leftovers(), objects);
    let mut writer = Peer::native();
    writer.must(&format!("connect {} 0", &*name));
    writer.must("write 1 100 write");
    check(reader.read_timeout(PROMPT).unwrap().expect("a frame is there").data(), 1).unwrap();
    drop(reader);
    writer.must("close");
    name.assert_gone();
}
