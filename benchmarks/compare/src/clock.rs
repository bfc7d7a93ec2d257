//! Clocks and pacing, the same in both ends.

use std::time::{Duration, Instant};

/// `CLOCK_MONOTONIC` in nanoseconds: the same clock in every process, Python's `monotonic_ns`
/// included.
pub(crate) fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Processor time of this process, all threads.
pub(crate) fn cpu_seconds() -> f64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID) as f64 / 1e9
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which lives on this stack; both clocks always exist on
    // Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Sleeps to fixed moments; one that has passed is skipped, not caught up with.
pub(crate) struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        let period = Duration::from_secs(1) / per_second;
        Self { next: Instant::now() + period, period }
    }

    pub(crate) fn wait(&mut self) {
        let now = Instant::now();
        if let Some(left) = self.next.checked_duration_since(now) {
            std::thread::sleep(left);
            self.next += self.period;
        } else {
            self.next = now + self.period;
        }
    }
}
