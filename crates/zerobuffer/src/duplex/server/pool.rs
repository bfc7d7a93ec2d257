//! Handlers on several threads: a short queue, so requests wait in their ring and not in memory.

use super::super::config::{Around, within};
use crate::sync::{Mutex, lock};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, PoisonError},
    thread::{self, JoinHandle, ThreadId},
    time::Duration,
};

/// How long a wait sleeps that has no end.
const LONG: Duration = Duration::from_secs(3600);

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
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Arc<Load>, Job)>,
    ended: bool,
}

/// One client's part of a pool. Each may queue as many requests as there are workers. So a client
/// that sends many does not keep the others from their turn.
#[derive(Clone)]
pub(super) struct Share {
    shared: Arc<Shared>,
    load: Arc<Load>,
    limit: usize,
    threads: Arc<[ThreadId]>,
}

/// How much of a pool's work is one client's.
#[derive(Default)]
struct Load {
    count: Mutex<Count>,
    /// There is less of it.
    less: Condvar,
}

#[derive(Default)]
struct Count {
    queued: usize,
    running: usize,
    /// Threads that wait: none is woken for nothing, which would be a system call.
    waiting: usize,
}

impl Pool {
    /// Starts the workers.
    pub(super) fn start(workers: usize, name: &str, around: Option<&Around>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::default()), filled: Condvar::new() });
        let mut pool = Self { shared, workers: Vec::new() };
        for _ in 0..workers {
            let (shared, around) = (Arc::clone(&pool.shared), around.cloned());
            let work = move || within(around.as_ref(), || shared.work());
            pool.workers.push(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        }
        Ok(pool)
    }

    /// The part of one client.
    pub(super) fn share(&self) -> Share {
        let threads = self.workers.iter().map(|worker| worker.thread().id()).collect();
        let shared = Arc::clone(&self.shared);
        Share { shared, load: Arc::default(), limit: self.workers.len(), threads }
    }
}

impl Share {
    /// The part of another client.
    pub(super) fn another(&self) -> Self {
        Self { load: Arc::default(), ..self.clone() }
    }

    pub(super) fn threads(&self) -> &[ThreadId] {
        &self.threads
    }

    /// Waits until a worker is near. `false`: none became free within `patience`.
    pub(super) fn has_room(&self, patience: Duration) -> bool {
        self.load.wait(patience, |count| count.queued >= self.limit)
    }

    pub(super) fn run(&self, job: impl FnOnce(JobEnd) + Send + 'static) {
        lock(&self.load.count).queued += 1;
        lock(&self.shared.queue).jobs.push_back((Arc::clone(&self.load), Box::new(job)));
        self.shared.filled.notify_one();
    }

    /// Drops what no worker has begun.
    pub(super) fn cancel(&self) {
        let mut queue = lock(&self.shared.queue);
        let jobs = std::mem::take(&mut queue.jobs);
        let (own, others): (Vec<_>, _) =
            jobs.into_iter().partition(|(load, _)| Arc::ptr_eq(load, &self.load));
        queue.jobs = others.into();
        drop(queue);
        for (load, job) in own {
            job(JobEnd::Cancelled);
            load.change(|count| count.queued -= 1);
        }
    }

    /// Waits until all that was queued has been handled.
    pub(super) fn wait(&self) {
        while !self.load.wait(LONG, |count| count.queued + count.running > 0) {}
    }
}

impl Load {
    fn change(&self, change: impl FnOnce(&mut Count)) {
        let mut count = lock(&self.count);
        change(&mut count);
        if count.waiting > 0 {
            self.less.notify_all();
        }
    }

    /// Waits while it is `too_much`. `false`: it has stayed so for `patience`.
    fn wait(&self, patience: Duration, too_much: impl Fn(&Count) -> bool) -> bool {
        let mut count = lock(&self.count);
        if !too_much(&count) {
            return true;
        }
        count.waiting += 1;
        let waited = self.less.wait_timeout_while(count, patience, |count| too_much(count));
        let (mut count, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        count.waiting -= 1;
        !waited.timed_out()
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut queue = lock(&self.queue);
            let (load, job) = loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.ended {
                    return;
                }
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            load.change(|count| {
                count.queued -= 1;
                count.running += 1;
            });
            // It catches its panics.
            job(JobEnd::Handled);
            load.change(|count| count.running -= 1);
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
