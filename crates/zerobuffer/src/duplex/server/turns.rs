//! One client's way back: the response writer, lent to one request after the other (D3).

use super::{
    super::Failure,
    stop::{Stop, StopFlag},
};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    sync::{Mutex, MutexGuard, lock},
    writer::{Writer, WriterHandle},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, PoisonError},
    time::{Duration, Instant},
};

/// How long running handlers may wait for their turn once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The connection to one client's response buffer.
pub(super) struct Turns {
    pub(super) channel: String,
    pub(super) handle: WriterHandle,
    /// Responses carry the sequence of their request.
    pub(super) stamps: bool,
    pub(super) write_timeout: Option<Duration>,
    stop: Arc<StopFlag>,
    order: Mutex<Order>,
    /// The writer has come back.
    returned: Condvar,
    report: Arc<dyn Fn(&Failure) + Send + Sync>,
}

/// Whose turn it is: requests are answered in the order in which they came.
struct Order {
    /// Here while nobody writes.
    writer: Option<Box<Writer>>,
    /// The place of the next request to be answered.
    next: u64,
    /// The place of the next request to come.
    coming: u64,
    /// Places behind `next` that will not be answered.
    skipped: BTreeSet<u64>,
    /// Threads that wait for their turn: nobody is woken in vain, which would be a system call.
    waiting: u32,
    closed: bool,
    /// Waiting for a turn ends here, since the server stops.
    deadline: Option<Instant>,
}

impl Turns {
    pub(super) fn new(
        channel: &str,
        writer: Writer,
        write_timeout: Option<Duration>,
        stop: Arc<StopFlag>,
        report: Arc<dyn Fn(&Failure) + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self {
            channel: channel.to_owned(),
            handle: writer.handle(),
            stamps: writer.has_free_sequences(),
            write_timeout,
            stop,
            order: Mutex::new(Order {
                writer: Some(Box::new(writer)),
                next: 0,
                coming: 0,
                skipped: BTreeSet::new(),
                waiting: 0,
                closed: false,
                deadline: None,
            }),
            returned: Condvar::new(),
            report,
        })
    }

    /// A place in the order of responses, for the request that was just read.
    pub(super) fn take_place(&self) -> u64 {
        let mut order = lock(&self.order);
        order.coming += 1;
        order.coming - 1
    }

    /// The writer, as soon as all requests before `place` are answered or given up. It comes back by
    /// [`Self::give_back`].
    pub(super) fn wait_for_turn(&self, place: u64) -> Result<Box<Writer>> {
        if self.is_forked() {
            return Err(Error::forked(self.handle.name()));
        }
        let mut order = lock(&self.order);
        loop {
            if order.closed {
                return Err(self.closed());
            }
            if order.next == place
                && let Some(writer) = order.writer.take()
            {
                return Ok(writer);
            }
            if self.is_stopping() {
                let now = Instant::now();
                if now >= *order.deadline.get_or_insert(now + LAST_ANSWERS) {
                    return Err(self.closed());
                }
            }
            order.waiting += 1;
            let waited = self.returned.wait_timeout(order, WAIT_SLICE);
            order = waited.unwrap_or_else(PoisonError::into_inner).0;
            order.waiting -= 1;
        }
    }

    fn wake(&self, order: &MutexGuard<'_, Order>) {
        if order.waiting > 0 {
            self.returned.notify_all();
        }
    }

    fn closed(&self) -> Error {
        Error::closed(self.handle.name())
    }

    /// Ends the turn of `place`, whose request is answered.
    pub(super) fn give_back(&self, place: u64, writer: Box<Writer>) {
        let mut order = lock(&self.order);
        let surplus = if order.closed { Some(writer) } else { order.writer.replace(writer) };
        order.finish(place);
        self.wake(&order);
        drop(order);
        // Closing a writer makes system calls: not under the lock.
        drop(surplus);
    }

    /// The request at `place` will not be answered.
    pub(super) fn skip(&self, place: u64) {
        let mut order = lock(&self.order);
        order.finish(place);
        self.wake(&order);
    }

    /// Whether this is a forked child, where a thread of the parent may hold the lock.
    pub(super) fn is_forked(&self) -> bool {
        self.handle.is_forked()
    }

    /// Whether a full response ring should not be waited for any longer.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_asked(Stop::Now)
    }

    /// Leaves the response buffer, unless a handler is writing into it just now: then that one does.
    pub(super) fn close(&self) {
        let mut order = lock(&self.order);
        order.closed = true;
        let writer = order.writer.take();
        self.wake(&order);
        drop(order);
        drop(writer);
    }

    pub(super) fn report(&self, failure: &Failure) {
        (self.report)(failure);
    }
}

impl Order {
    fn finish(&mut self, place: u64) {
        self.skipped.insert(place);
        while self.skipped.remove(&self.next) {
            self.next += 1;
        }
    }
}
