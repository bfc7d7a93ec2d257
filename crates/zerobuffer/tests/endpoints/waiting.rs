//! Waiting: every strategy delivers, and a blocked end uses no processor time.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::agent::send;
use crate::common::{LESS, Name, Peer, check, size_of};
use zerobuffer::{BufferConfig, Error, Patience, Reader, WaitStrategy, Writer, WriterConfig};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn every_wait_strategy_in_two_threads_and_in_two_processes() {
    for (wait, word) in
        [(WaitStrategy::Block, "block"), (WaitStrategy::Adaptive, "adaptive"), (WaitStrategy::Spin, "spin")]
    {
        let (ring, count, max) = (2048, 5000 / LESS, 900);
        let name = Name::new("threads");
        let mut reader = Reader::create(&name, BufferConfig::ring(ring).metadata(64).wait(wait)).unwrap();
        let config = WriterConfig::default().wait(wait).write_timeout(Some(LONG));
        let mut writer = Writer::connect_with(&name, config).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for key in 1..=count {
                    assert_eq!(send(&mut writer, key, size_of(3, key, max), "mix").unwrap(), key);
                }
            });
            for key in 1..=count {
                let frame = reader.read_timeout(LONG).unwrap().expect("the frame has come");
                assert_eq!((frame.sequence(), frame.len()), (key, size_of(3, key, max)));
                check(frame.data(), key).unwrap();
            }
        });
        drop((writer, reader));

        let (mut reading, mut writing) = (Peer::native(), Peer::native());
        reading.must(&format!("create {} 64 {ring} {word}", &*name));
        writing.must(&format!("connect {} 0 {word}", &*name));
        writing.tell(&format!("stream 1 {count} 3 {max} mix"));
        reading.must(&format!("drain 1 {count} 3 {max}"));
        writing.must_reply();
        writing.must("close");
        reading.must("close");
    }
}

/// Blocked ends sleep: less than 1 % of a core, in the default strategy too.
#[cfg(target_os = "linux")]
#[test]
fn waiting_costs_next_to_no_processor_time() {
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    for wait in ["block", "adaptive"] {
        let name = Name::new("idle");
        reader.must(&format!("create {} 64 1024 {wait}", &*name));
        writer.must(&format!("connect {} 0 {wait}", &*name));
        writer.must("timeout 20000");
        let idle = |peer: &mut Peer, what: &str| {
            thread::sleep(Duration::from_millis(100));
            let (start, before) = (Instant::now(), processor_time(peer.pid()));
            thread::sleep(Duration::from_secs(1));
            let (elapsed, used) = (start.elapsed(), processor_time(peer.pid()).saturating_sub(before));
            assert!(used * 100 < elapsed, "{what}, {wait}: {used:?} of processor time in {elapsed:?}");
        };
        reader.tell("read 20000 1");
        idle(&mut reader, "a waiting reader");
        writer.must("write 1 700 write");
        reader.must_reply();
        writer.must("write 2 600 write");
        writer.tell("write 3 600 write");
        idle(&mut writer, "a waiting writer");
        reader.must("read 1000 2");
        writer.must_reply();
        writer.must("close");
        reader.must("close");
    }
}

/// What all threads of a process have used.
#[cfg(target_os = "linux")]
fn processor_time(pid: u64) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// However many slices it takes, and whatever is asked meanwhile.
#[test]
fn one_wait_counts_once() {
    let name = Name::new("once");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    assert!(reader.read_timeout(Duration::from_millis(320)).unwrap().is_none());
    assert_eq!(reader.stats().waits, 1);
    assert!(reader.stats().blocked >= Duration::from_millis(320));

    let config = WriterConfig::default().write_timeout(Some(Duration::from_millis(320)));
    let mut writer = Writer::connect_with(&name, config).unwrap();
    writer.write(&[1; 1000]).unwrap();
    assert!(writer.write(&[2; 1000]).is_err());
    assert_eq!(writer.stats().waits, 1);

    // Calls that share one patience are one wait.
    let mut patience = Patience::at_most(Duration::from_secs(5));
    let mut go_on = || ControlFlow::Break(());
    for _ in 0..3 {
        let mut slice = Patience::at_most(Duration::from_millis(60)).asking(&mut go_on);
        assert!(matches!(writer.write_with(&[2; 1000], &mut slice), Err(Error::Full { .. })));
    }
    assert_eq!(writer.stats().waits, 4, "each was a wait of its own");
    thread::scope(|scope| {
        let handle = reader.handle();
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(200));
            handle.interrupt();
        });
        assert_eq!(reader.read_with(&mut patience).unwrap().map(|frame| frame.len()), Some(1000));
        assert!(reader.read_with(&mut patience).is_err(), "interrupted");
    });
    reader.handle().resume();
    writer.write(&[3; 10]).unwrap();
    assert_eq!(reader.read_with(&mut patience).unwrap().map(|frame| frame.len()), Some(10));
    assert_eq!(reader.stats().waits, 2);
}

/// The hook is asked about every 50 ms, on the waiting thread, and ends the call.
#[test]
fn a_wait_can_be_interrupted() {
    let name = Name::new("hook");
    let mut asked = 0;
    let started = Instant::now();
    let mut go_on = || {
        asked += 1;
        if asked == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut patience = Patience::forever().asking(&mut go_on);
    let missing = Writer::connect_within(&name, WriterConfig::default(), &mut patience);
    let waited = match missing {
        Err(Error::NotFound { waited, .. }) => waited,
        other => panic!("{other:?}"),
    };
    let reached = |time: Duration| Duration::from_millis(140) < time && time < Duration::from_secs(5);
    assert!(reached(waited) && reached(started.elapsed()), "{waited:?}");
    assert_eq!(asked, 3);

    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        if asked % 3 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut patience = Patience::forever().asking(&mut go_on);
    assert!(reader.read_with(&mut patience).unwrap().is_none());
    writer.write(&[1; 1000]).unwrap();
    let full = writer.loan_with(1000, &mut patience).map(drop);
    assert!(matches!(full, Err(Error::Full { waited, .. }) if reached(waited)), "{full:?}");
    drop(writer);
    drop(reader.read_with(&mut patience).unwrap().expect("the frame that was sent"));
    assert_eq!(asked, 6);
}

#[test]
fn an_attempt_that_does_not_wait_has_waited_no_time() {
    let name = Name::new("absent");
    for config in [WriterConfig::default(), WriterConfig::default().connect_timeout(Duration::ZERO)] {
        match Writer::connect_with(&name, config) {
            Err(Error::NotFound { waited, .. }) => assert_eq!(waited, Duration::ZERO),
            other => panic!("{other:?}"),
        }
    }
    let config = WriterConfig::default().connect_timeout(Duration::from_millis(100));
    match Writer::connect_with(&name, config) {
        Err(Error::NotFound { waited, .. }) => assert!(waited >= Duration::from_millis(100), "{waited:?}"),
        other => panic!("{other:?}"),
    }
}
