//! Waiting: every strategy delivers, and a blocked end uses no processor time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::thread;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::Instant;

use common::agent::send;
use common::{LESS, Name, Peer, check, size_of};
use zerobuffer::{BufferConfig, Reader, WaitStrategy, Writer, WriterConfig};

const LONG: Duration = Duration::from_mins(1);

#[test]
fn every_wait_strategy_in_two_threads_and_in_two_processes() {
    for (wait, word) in
        [(WaitStrategy::Block, "block"), (WaitStrategy::Adaptive, "adaptive"), (WaitStrategy::Spin, "spin")]
    {
        let (ring, count, max) = (2048, 5000 / LESS, 900);
        let name = Name::new("threads");
        let mut reader = Reader::create(&name, BufferConfig::new(64, ring).wait(wait)).unwrap();
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

        let (mut reading, mut writing) = (Peer::ours(), Peer::ours());
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
    let (mut reader, mut writer) = (Peer::ours(), Peer::ours());
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
