//! Handlers on several threads: a short queue, so requests wait in their ring and not in memory.

use super::super::config::{Around, within};
use crate::sync::{Mutex, lock};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, PoisonError},
    thread::{self, JoinHandle, ThreadId},
    time::Duration,
};

type Job = Box<dyn FnOnce(JobEnd) + Send>;

/// Whether a queued request is still handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    Handled,
    Cancelled,
}

/// Worker threads. Dropping it lets them finish what is queued, and waits for them.
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// A job has come, or the end.
    filled: Condvar,
    /// A worker has taken a job.
    taken: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    ended: bool,
}

impl Pool {
    /// Starts the workers.
    pub(super) fn start(workers: usize, name: &str, around: Option<&Around>) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared =
            Arc::new(Shared { queue, filled: Condvar::new(), taken: Condvar::new(), limit: workers });
        let mut pool = Self { shared, workers: Vec::new() };
        for _ in 0..workers {
            let (shared, around) = (Arc::clone(&pool.shared), around.cloned());
            let work = move || within(around.as_ref(), || shared.work());
            pool.workers.push(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        }
        Ok(pool)
    }

    pub(super) fn threads(&self) -> Vec<ThreadId> {
        self.workers.iter().map(|worker| worker.thread().id()).collect()
    }

    /// Waits until a worker is near. `false`: none became free within `patience`.
    pub(super) fn has_room(&self, patience: Duration) -> bool {
        let queue = lock(&self.shared.queue);
        let full = |queue: &mut Queue| queue.jobs.len() >= self.shared.limit;
        let waited = self.shared.taken.wait_timeout_while(queue, patience, full);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(super) fn run(&self, job: impl FnOnce(JobEnd) + Send + 'static) {
        lock(&self.shared.queue).jobs.push_back(Box::new(job));
        self.shared.filled.notify_one();
    }

    /// Drops what no worker has begun.
    pub(super) fn cancel(&self) {
        let jobs = std::mem::take(&mut lock(&self.shared.queue).jobs);
        for job in jobs {
            job(JobEnd::Cancelled);
        }
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut queue = lock(&self.queue);
            let job = loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.ended {
                    return;
                }
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            self.taken.notify_one();
            job(JobEnd::Handled);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.queue).ended = true;
        self.shared.filled.notify_all();
        for worker in self.workers.drain(..) {
            // Jobs catch their panics.
            let _ = worker.join();
        }
    }
}
