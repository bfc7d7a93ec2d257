//! Foreign load: how much of the processors others used during a run.

use std::time::Instant;

use anyhow::{Context as _, Result};

/// What the counters of a short run may be wrong by, in seconds.
const GRAIN: f64 = 0.03;

/// The moment a run starts.
pub(crate) struct Load {
    busy: f64,
    own: f64,
    at: Instant,
}

impl Load {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { busy: busy_seconds()?, own: own_seconds(), at: Instant::now() })
    }

    /// Processors that others used on average since the start; children must have been waited for.
    pub(crate) fn foreign(&self) -> Result<f64> {
        let others = (busy_seconds()? - self.busy) - (own_seconds() - self.own);
        // The system counts in hundredths of a second, for each processor.
        let certain = (others - GRAIN).max(0.0);
        Ok(certain / self.at.elapsed().as_secs_f64())
    }
}

/// Busy seconds of all processors since the start of the system, time that the hypervisor took
/// included.
fn busy_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is part of user time.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|index| fields.get(*index)).sum();
    // SAFETY: asks for a constant of the system.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok(busy as f64 / per_second as f64)
}

/// Processor seconds of this process and of the children it has waited for.
fn own_seconds() -> f64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].map(usage).iter().sum()
}

fn usage(who: libc::c_int) -> f64 {
    // SAFETY: an rusage is numbers only, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes one rusage, which lives on this stack.
    unsafe { libc::getrusage(who, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
