//! Waiting costs nothing, whatever tokens lie around (W5: surplus ones are taken).
#![cfg(target_os = "linux")]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, Reader, Writer};

/// Processor time of this thread.
fn cpu_time() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn surplus_tokens_do_not_keep_a_waiting_reader_busy() {
    let name = format!(
        "{}zb-idle-{}",
        std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default(),
        std::process::id()
    );
    let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    for _ in 0..5 {
        writer.write(b"frame").unwrap();
        // Found by its position: its token stays.
        assert!(reader.try_read().unwrap().is_some());
    }
    let (wall, cpu) = (Instant::now(), cpu_time());
    assert!(reader.read_timeout(Duration::from_millis(500)).unwrap().is_none());
    let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
    assert!(cpu < wall / 10, "{cpu:?} of processor time in {wall:?} of waiting");
    // And nothing was lost with the tokens.
    writer.write(b"frame").unwrap();
    assert_eq!(reader.read().unwrap().data(), b"frame");
}
