//! One client's way back: the response writer, lent to one request after the other (D3).

use super::{
    super::{Failure, remote::Refusal},
    stop::{Stop, StopFlag},
};
#[cfg(feature = "async")]
use crate::link::reactor::{Wakers, wake};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    layout::FAILURE,
    link::Patience,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering, lock},
    writer::{Writer, WriterHandle},
};
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
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
    /// That a request has no answer found no room, and waits for a thread that may block.
    is_left: AtomicBool,
    report: Arc<dyn Fn(&Failure) + Send + Sync>,
}

/// Whether a report to the client waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusing {
    AtOnce,
    Patiently,
}

/// How a turn ends.
#[derive(Debug)]
pub(super) enum End {
    /// It is answered, or no client is left to report to.
    Silent,
    /// The client gets the report that this request has no answer.
    Refused(u64, Refusal),
}

/// Whose turn it is: requests are answered in the order in which they came.
struct Order {
    /// Here while nobody writes.
    writer: Option<Box<Writer>>,
    /// The place of the next request to be answered.
    next: u64,
    /// The place of the next request to come.
    entered: u64,
    /// Places from `next` on that are over.
    ended: BTreeMap<u64, End>,
    /// Threads that wait for their turn: none is woken for nothing, which would be a system call.
    waiting: u32,
    closed: bool,
    /// Tasks that wait for the turn of their place.
    #[cfg(feature = "async")]
    tasks: Wakers,
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
                entered: 0,
                ended: BTreeMap::new(),
                waiting: 0,
                closed: false,
                #[cfg(feature = "async")]
                tasks: Wakers::default(),
                deadline: None,
            }),
            returned: Condvar::new(),
            is_left: AtomicBool::new(false),
            report,
        })
    }

    /// A place in the order of responses, for the request that was just read.
    pub(super) fn take_place(&self) -> u64 {
        let mut order = lock(&self.order);
        order.entered += 1;
        order.entered - 1
    }

    /// The writer, as soon as all requests before `place` are answered or given up. It comes back
    /// by [`Self::give_back`].
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
            if order.is_left() {
                // Nothing goes out before it, and this thread waits anyway.
                self.go_on(order, Refusing::Patiently);
                order = lock(&self.order);
                continue;
            }
            if self.is_stopping() {
                let now = Instant::now();
                if now >= *order.deadline.get_or_insert(now + LAST_ANSWERS) {
                    return Err(self.closed());
                }
            }
            // In slices: to ask a server to stop, or to leave a report, wakes nobody here.
            order.waiting += 1;
            let waited = self.returned.wait_timeout(order, WAIT_SLICE);
            order = waited.unwrap_or_else(PoisonError::into_inner).0;
            order.waiting -= 1;
        }
    }

    /// As [`Self::wait_for_turn`], for a task.
    #[cfg(feature = "async")]
    pub(super) fn poll_turn(&self, context: &Context<'_>, place: u64) -> Poll<Result<Box<Writer>>> {
        if self.is_forked() {
            return Poll::Ready(Err(Error::forked(self.handle.name())));
        }
        let waker = context.waker().clone();
        // Declared before the lock, so dropped after it.
        let _replaced;
        let mut order = lock(&self.order);
        if order.closed {
            return Poll::Ready(Err(self.closed()));
        }
        if order.next == place
            && let Some(writer) = order.writer.take()
        {
            _replaced = order.tasks.take(place);
            return Poll::Ready(Ok(writer));
        }
        _replaced = order.tasks.put(place, waker);
        Poll::Pending
    }

    pub(super) fn closed(&self) -> Error {
        Error::closed(self.handle.name())
    }

    /// Ends the turn of `place`, whose request is answered.
    pub(super) fn give_back(&self, place: u64, writer: Box<Writer>) {
        let mut order = lock(&self.order);
        if place == order.next && order.ended.is_empty() {
            order.next += 1;
        } else {
            order.ended.insert(place, End::Silent);
        }
        self.put_back(order, writer);
    }

    /// Gives the writer back without an answer: the turn lasts.
    pub(super) fn lay_down(&self, writer: Box<Writer>) {
        self.put_back(lock(&self.order), writer);
    }

    /// The request at `place` will not be answered.
    pub(super) fn end(&self, place: u64, end: End) {
        let mut order = lock(&self.order);
        // Numbers tell nothing to clients of other implementations, and a failure would be an
        // answer to them.
        order.ended.insert(place, if self.stamps { end } else { End::Silent });
        self.go_on(order, Refusing::AtOnce);
    }

    fn put_back<'o>(&'o self, mut order: MutexGuard<'o, Order>, writer: Box<Writer>) {
        let surplus = if order.closed { Some(writer) } else { order.writer.replace(writer) };
        self.go_on(order, Refusing::AtOnce);
        // Closing a writer makes system calls: not under the lock.
        drop(surplus);
    }

    /// Whether there was no room to tell the client of a failure.
    pub(super) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    /// Tells the client of failures for which there was no room. Waits for it, so only threads of
    /// the server come here, and those that wait for their turn.
    pub(super) fn send_left(&self) {
        if self.is_left() {
            self.go_on(lock(&self.order), Refusing::Patiently);
        }
    }

    /// Gives the turn to the next request that can be answered. The thread that ends a turn reports
    /// the failures that follow to the client. It may be an executor's, and waits for no room then.
    fn go_on<'o>(&'o self, mut order: MutexGuard<'o, Order>, how: Refusing) {
        self.is_left.store(false, Ordering::Relaxed);
        while let Some(end) = order.next_end() {
            let End::Refused(request, refusal) = end else { continue };
            let Some(mut writer) = order.writer.take() else {
                // It is being closed, or was.
                continue;
            };
            drop(order);
            let waits = how == Refusing::Patiently && !refusal.waited;
            let timeout = if waits { self.write_timeout } else { Some(Duration::ZERO) };
            let mut is_left = false;
            match self.refuse(&mut writer, request, &refusal, timeout) {
                Ok(()) => {}
                Err(Error::Full { .. }) if !waits && !refusal.waited => is_left = true,
                Err(error) => {
                    log::debug!(target: "zerobuffer::duplex::server", "channel '{}': the failure of request {request} cannot be reported to the client: {error}", self.channel);
                }
            }
            order = lock(&self.order);
            if order.closed {
                drop(order);
                return drop(writer);
            }
            order.writer = Some(writer);
            if is_left {
                // The place before the next one is over, be it this request's or a later one's.
                order.next -= 1;
                let next = order.next;
                order.ended.insert(next, End::Refused(request, refusal));
                self.is_left.store(true, Ordering::Relaxed);
                break;
            }
        }
        if order.waiting > 0 {
            self.returned.notify_all();
        }
        #[cfg(feature = "async")]
        {
            let tasks = order.tasks_in_turn();
            drop(order);
            tasks.into_iter().for_each(wake);
        }
    }

    /// Waits until each request has its answer or its end, also by a responder that was moved away.
    /// Not for a client that has gone, and not once the server stops.
    pub(super) fn wait_for_answers(&self) {
        let mut order = lock(&self.order);
        while !order.closed
            && order.next < order.entered
            && !self.is_stopping()
            && self.handle.reader_loss(true).is_none()
        {
            if order.is_left() {
                self.go_on(order, Refusing::Patiently);
                order = lock(&self.order);
                continue;
            }
            order.waiting += 1;
            let waited = self.returned.wait_timeout(order, WAIT_SLICE);
            order = waited.unwrap_or_else(PoisonError::into_inner).0;
            order.waiting -= 1;
        }
    }

    /// Tells the client that a request has no answer.
    fn refuse(
        &self,
        writer: &mut Writer,
        request: u64,
        refusal: &Refusal,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let payload = refusal.encode(writer.max_frame_size());
        writer.stamp(request | FAILURE);
        self.begin(writer, payload.len(), timeout)?;
        if let Some(room) = writer.pending() {
            room.copy_from_slice(&payload);
        }
        writer.commit(payload.len()).map(drop)
    }

    /// Reserves room for a response; a server that stops does not wait for it.
    pub(super) fn begin(&self, writer: &mut Writer, size: usize, timeout: Option<Duration>) -> Result<()> {
        let mut go_on =
            || if self.is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut patience = Patience::for_timeout(timeout).asking(&mut go_on);
        match writer.begin_with(size, &mut patience) {
            Err(Error::Full { .. }) if self.is_stopping() && !patience.is_over() => Err(self.closed()),
            other => other,
        }
    }

    /// Whether this is a forked child, where a thread of the parent may hold the lock.
    pub(super) fn is_forked(&self) -> bool {
        self.handle.is_forked()
    }

    /// Whether a full response ring should not be waited for any longer.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_asked(Stop::Now)
    }

    /// Leaves the response buffer, unless a handler is writing into it just now: then that one
    /// does.
    pub(super) fn close(&self) {
        let mut order = lock(&self.order);
        order.closed = true;
        let writer = order.writer.take();
        self.go_on(order, Refusing::AtOnce);
        drop(writer);
    }

    pub(super) fn report(&self, failure: &Failure) {
        (self.report)(failure);
    }
}

impl Order {
    /// Those that can go on: the one whose turn it is if the writer is here, or all at the end. And
    /// those that have given their place up.
    #[cfg(feature = "async")]
    fn tasks_in_turn(&mut self) -> Vec<std::task::Waker> {
        let (closed, next, here) = (self.closed, self.next, self.writer.is_some());
        self.tasks.take_all(|place| closed || place < next || (here && place == next))
    }

    /// Whether the next request in turn has failed, and the report of that is still to be sent.
    fn is_left(&self) -> bool {
        self.writer.is_some() && matches!(self.ended.get(&self.next), Some(End::Refused(..)))
    }

    /// How the next request in turn has ended; the turn is over then.
    fn next_end(&mut self) -> Option<End> {
        let refused = matches!(self.ended.get(&self.next), Some(End::Refused(..)));
        if refused && self.writer.is_none() && !self.closed {
            // The thread that has the writer brings it back, and goes on.
            return None;
        }
        let end = self.ended.remove(&self.next)?;
        self.next += 1;
        Some(end)
    }
}
