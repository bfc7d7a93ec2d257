//! One process that lives as long as the run and makes, uses and loses endpoints of every kind:
//! what it holds stays flat.

use crate::{
    child::{Orders, footprint, say},
    crash, leftovers,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Between two samples.
const INTERVAL: Duration = Duration::from_secs(1);
/// Fewer samples say nothing: the allocator's caches and the first use of everything are in the
/// first third.
const ENOUGH: usize = 30;
/// Resident KiB that the last third may have more than the first: caches that fill late. A leak is
/// not of a size.
const SLACK: u64 = 2048;
/// How long a thread that has done its last may still be counted.
const ENDING: Duration = Duration::from_secs(5);

/// Descriptors, threads and resident KiB at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    descriptors: u64,
    threads: u64,
    rss: u64,
}

impl Sample {
    fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[descriptors, threads, rss] = numbers.as_slice() else { return None };
        Some(Self { descriptors, threads, rss })
    }

    fn most(samples: &[Self]) -> Self {
        let most = |of: fn(&Self) -> u64| samples.iter().map(of).max().unwrap_or(0);
        Self {
            descriptors: most(|sample| sample.descriptors),
            threads: most(|sample| sample.threads),
            rss: most(|sample| sample.rss),
        }
    }
}

/// The most of the first third of a run's samples beside the most of its last.
fn thirds(samples: &[Sample]) -> (Sample, Sample) {
    let third = samples.len().div_ceil(3);
    let (first, last) = (samples.get(..third), samples.get(samples.len() - third..));
    (Sample::most(first.unwrap_or_default()), Sample::most(last.unwrap_or_default()))
}

/// What has grown, in words.
fn growth(samples: &[Sample]) -> Option<String> {
    let (first, last) = thirds(samples);
    let grown =
        last.descriptors > first.descriptors || last.threads > first.threads || last.rss > first.rss + SLACK;
    (samples.len() >= ENOUGH && grown)
        .then(|| format!("the long-lived process grows: {first:?}, then {last:?}"))
}

/// The supervisor's side.
pub(crate) struct Soak {
    child: Child,
    name: String,
    samples: Arc<Mutex<Vec<Sample>>>,
    listener: Option<JoinHandle<()>>,
}

impl Soak {
    pub(crate) fn start() -> Result<Self> {
        let name = crate::name_of(&format!("{}-steady", std::process::id()));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["steady", &name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the long-lived process")?;
        let output = child.stdout.take().context("no pipe")?;
        let samples: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let heard = Arc::clone(&samples);
        let listener = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let sample = line.strip_prefix("footprint ").and_then(Sample::parse);
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend(sample);
            }
        });
        Ok(Self { child, name, samples, listener: Some(listener) })
    }

    /// Ends it; the figures of its life, and what was wrong.
    pub(crate) fn finish(mut self) -> (String, Vec<String>) {
        let mut wrong = Vec::new();
        // It says why it has ended on its own.
        match self.child.try_wait() {
            Ok(None) => {}
            other => wrong.push(format!("the long-lived process has ended: {other:?}")),
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.listener.take().map(JoinHandle::join);
        sweep(&self.name);
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.extend(growth(&samples));
        let (first, last) = thirds(&samples);
        let figures = format!(
            "soak_samples={} soak_rss_kib={}..{} soak_descriptors={}..{} soak_threads={}..{}",
            samples.len(),
            first.rss,
            last.rss,
            first.descriptors,
            last.descriptors,
            first.threads,
            last.threads
        );
        (figures, wrong)
    }
}

fn sweep(name: &str) {
    let _ = fs::remove_file(crash::ledger(name));
    for buffer in [name.to_owned(), format!("{name}_request"), format!("{name}_response")] {
        leftovers::sweep(&buffer);
    }
}

/// The long-lived process: rounds of streams and channels until it is ended. Between two rounds it
/// has no endpoint.
pub(crate) fn steady(name: &str) -> Result<()> {
    Orders::listen();
    let (mut last_report, mut fewest) = (Instant::now(), usize::MAX);
    for round in 0_u64.. {
        crash::stream_with_deaths(name, round).context("a stream")?;
        crash::conversation(name).context("a conversation")?;
        if last_report.elapsed() >= INTERVAL {
            last_report = Instant::now();
            wait_for_threads(&mut fewest);
            say(&format!("footprint {}", footprint()));
        }
        ensure!(leftovers::of(name).is_empty(), "left behind: {:?}", leftovers::of(name));
    }
    Ok(())
}

/// A server's thread announces its end a moment before it is gone. So the count may come down to
/// the fewest so far; a thread too many stays.
fn wait_for_threads(fewest: &mut usize) {
    let threads = || fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let begun = Instant::now();
    while threads() > *fewest && begun.elapsed() < ENDING {
        thread::sleep(Duration::from_millis(1));
    }
    *fewest = threads().min(*fewest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_distinguished_from_what_settles() {
        let at = |rss, descriptors| Sample { descriptors, threads: 2, rss };
        let steady: Vec<Sample> = (0..90).map(|i| at(9000 + i % 7, 8)).collect();
        assert_eq!(growth(&steady), None);
        let leak: Vec<Sample> = (0..90).map(|i| at(9000 + i * 60, 8)).collect();
        assert!(growth(&leak).is_some());
        let descriptors: Vec<Sample> = (0..90).map(|i| at(9000, 8 + i / 40)).collect();
        assert!(growth(&descriptors).is_some());
        assert_eq!(growth(&leak[..20]), None, "too short to tell");
        assert_eq!(Sample::parse("12 3 4567"), Some(Sample { descriptors: 12, threads: 3, rss: 4567 }));
    }
}
