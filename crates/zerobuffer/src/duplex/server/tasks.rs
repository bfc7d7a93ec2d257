//! The futures of handlers that have not ended (feature `async`).

use super::super::BoxError;
use crate::{
    config::WAIT_SLICE,
    sync::{Arc, Mutex, lock},
};
use std::{
    sync::Condvar,
    time::{Duration, Instant},
};

/// How long tasks are waited for once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Tells how a request's future has ended, once; dropped untold, that it was given up.
pub(super) struct Ending {
    tasks: Arc<Tasks>,
    tell: Option<Box<dyn FnOnce(Option<BoxError>) + Send>>,
}

impl Ending {
    pub(super) fn new(tasks: &Arc<Tasks>, tell: impl FnOnce(Option<BoxError>) + Send + 'static) -> Self {
        tasks.change(1);
        Self { tasks: Arc::clone(tasks), tell: Some(Box::new(tell)) }
    }

    /// `failed`: what its handler said, or how it panicked.
    pub(super) fn tell(mut self, failed: Option<BoxError>) {
        self.told(failed);
    }

    fn told(&mut self, failed: Option<BoxError>) {
        if let Some(tell) = self.tell.take() {
            tell(failed);
            self.tasks.change(-1);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.told(None);
    }
}

/// How many futures have not ended.
#[derive(Default)]
pub(super) struct Tasks {
    count: Mutex<i64>,
    fewer: Condvar,
}

impl Tasks {
    fn change(&self, by: i64) {
        *lock(&self.count) += by;
        self.fewer.notify_all();
    }

    /// Waits until all have ended; not for long once the server `stops`. In slices: `meanwhile`
    /// does what tasks leave to a thread that may block.
    pub(super) fn wait(&self, stops: impl Fn() -> bool, meanwhile: impl Fn()) {
        let mut deadline = None;
        loop {
            meanwhile();
            let count = lock(&self.count);
            let now = Instant::now();
            if *count <= 0 || (stops() && now >= *deadline.get_or_insert(now + LAST_ANSWERS)) {
                return;
            }
            drop(self.fewer.wait_timeout(count, WAIT_SLICE));
        }
    }
}
