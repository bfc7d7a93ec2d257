//! The executors of the suite.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Executor {
    Pollster,
    Smol,
    /// Several threads, so a task may move between them.
    Tokio,
    TokioOnOneThread,
}

pub(crate) const ALL: [Executor; 4] =
    [Executor::Pollster, Executor::Smol, Executor::Tokio, Executor::TokioOnOneThread];

impl Executor {
    pub(crate) fn block_on<F>(self, future: F) -> F::Output
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match self {
            Self::Pollster => pollster::block_on(future),
            Self::Smol => smol::block_on(smol::spawn(future)),
            Self::Tokio => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                let runtime = builder.worker_threads(2).enable_all().build().unwrap();
                runtime.block_on(async { tokio::spawn(future).await.unwrap() })
            }
            Self::TokioOnOneThread => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(future)
            }
        }
    }
}

/// The fastest of several attempts: others use the processors too.
#[track_caller]
pub(crate) fn assert_within(
    limit: Duration,
    attempts: u32,
    what: &str,
    mut attempt: impl FnMut() -> Duration,
) {
    let started = Instant::now();
    let times: Vec<_> = (0..attempts).map(|_| attempt()).collect();
    let best = times.iter().min().unwrap();
    println!("{what}: {times:?}, in {:?} all", started.elapsed());
    assert!(*best <= limit, "{what}: {best:?} at best, {limit:?} allowed");
}
