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
    layout::{FAILURE, FRAME_HEADER_SIZE},
    link::Patience,
    reader::ReaderHandle,
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
    /// Whose requests are answered.
    pub(super) requests: ReaderHandle,
    /// Handlers wait neither for their turn nor for room, since their threads are there for other
    /// clients too. Responses are kept until then.
    pub(super) keeps: bool,
    stop: Arc<StopFlag>,
    order: Mutex<Order>,
    /// The writer has come back.
    returned: Condvar,
    /// That a request has no answer, or an answer that is kept, found no room, and waits for a
    /// thread that may block.
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
    /// The client gets this response, whose number that is.
    Answered(u64, Response),
}

/// A response that is kept.
#[derive(Debug)]
pub(super) struct Response {
    data: Vec<u8>,
    /// What the handler has set before.
    metadata: Option<Vec<u8>>,
}

impl End {
    /// Bytes that it takes until its turn.
    fn size(&self) -> u64 {
        let texts = match self {
            Self::Silent => 0,
            Self::Refused(_, refusal) => refusal.size(),
            Self::Answered(_, response) => {
                response.data.len() + response.metadata.as_ref().map_or(0, Vec::len)
            }
        };
        texts as u64 + FRAME_HEADER_SIZE
    }
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
    /// Bytes of the ends that are kept.
    kept: u64,
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
        requests: ReaderHandle,
        keeps: bool,
        write_timeout: Option<Duration>,
        stop: Arc<StopFlag>,
        report: Arc<dyn Fn(&Failure) + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self {
            channel: channel.to_owned(),
            handle: writer.handle(),
            stamps: writer.has_free_sequences(),
            write_timeout,
            requests,
            keeps,
            stop,
            order: Mutex::new(Order {
                writer: Some(Box::new(writer)),
                next: 0,
                entered: 0,
                ended: BTreeMap::new(),
                kept: 0,
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

    /// The writer, if it is the turn of `place` and nobody writes.
    pub(super) fn try_turn(&self, place: u64) -> Result<Option<Box<Writer>>> {
        if self.is_forked() {
            return Err(Error::forked(self.handle.name()));
        }
        let mut order = lock(&self.order);
        if order.closed {
            return Err(self.closed());
        }
        Ok(if order.next == place { order.writer.take() } else { None })
    }

    /// The response to the request at `place` is sent once that has its turn, and there is room.
    pub(super) fn keep(&self, place: u64, number: u64, response: Vec<u8>, metadata: Option<Vec<u8>>) {
        let mut order = lock(&self.order);
        order.keep(place, End::Answered(number, Response { data: response, metadata }));
        self.go_on(order, Refusing::AtOnce);
    }

    /// Whether a further request may be handled: what is kept is no more than the response ring
    /// holds.
    pub(super) fn has_room(&self) -> bool {
        !self.keeps || lock(&self.order).kept < self.handle.capacity()
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
            order.keep(place, End::Silent);
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
        order.keep(place, if self.stamps { end } else { End::Silent });
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

    /// Gives the turn to the next request that can be answered. The thread that ends a turn sends
    /// the kept responses and the failures that follow to the client. It may be an executor's, and
    /// waits for no room then.
    fn go_on<'o>(&'o self, mut order: MutexGuard<'o, Order>, how: Refusing) {
        self.is_left.store(false, Ordering::Relaxed);
        while let Some(mut end) = order.next_end() {
            let has_waited = match &end {
                End::Silent => continue,
                End::Refused(_, refusal) => refusal.waited,
                End::Answered(..) => false,
            };
            let Some(mut writer) = order.writer.take() else {
                // It is being closed, or was.
                continue;
            };
            drop(order);
            let waits = how == Refusing::Patiently && !has_waited;
            let timeout = if waits { self.write_timeout } else { Some(Duration::ZERO) };
            let mut is_left = false;
            match self.send(&mut writer, &mut end, timeout) {
                Ok(()) => {}
                Err(Error::Full { .. }) if !waits && !has_waited => is_left = true,
                Err(error) => self.cannot_send(&end, error),
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
                order.keep(next, end);
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

    /// Sends a response that was kept, or tells the client that there is none.
    fn send(&self, writer: &mut Writer, end: &mut End, timeout: Option<Duration>) -> Result<()> {
        let refused;
        let (number, payload) = match end {
            End::Silent => return Ok(()),
            End::Refused(request, refusal) => {
                refused = refusal.encode(writer.max_frame_size());
                (*request | FAILURE, &refused)
            }
            End::Answered(number, response) => {
                // Once, though there may be no room yet for the response, which goes out anyway.
                if let Some(metadata) = response.metadata.take() {
                    self.send_metadata(writer, *number, &metadata);
                }
                (*number, &response.data)
            }
        };
        writer.stamp(number);
        self.begin(writer, payload.len(), timeout)?;
        if let Some(room) = writer.pending() {
            room.copy_from_slice(payload);
        }
        writer.commit(payload.len()).map(drop)
    }

    /// Sends the metadata that were set for a response, which goes out in any case.
    pub(super) fn send_metadata(&self, writer: &mut Writer, number: u64, metadata: &[u8]) {
        if let Err(error) = writer.set_metadata(metadata) {
            self.cannot_send_of(number, error);
        }
    }

    /// A client that has gone is reported as that.
    fn cannot_send(&self, end: &End, error: Error) {
        match end {
            End::Answered(number, _) => self.cannot_send_of(*number, error),
            End::Refused(request, _) => self.note(*request, &error),
            End::Silent => {}
        }
    }

    /// The handler has returned: its response, or the metadata with it, cannot be sent.
    fn cannot_send_of(&self, number: u64, error: Error) {
        let (channel, request) = (self.channel.clone(), number & !FAILURE);
        if error.is_peer_gone() || self.is_stopping() {
            return self.note(request, &error);
        }
        self.report(&Failure::Handler { channel, request, source: error.into() });
    }

    fn note(&self, request: u64, error: &Error) {
        log::debug!(target: "zerobuffer::duplex::server", "channel '{}': what became of request {request} cannot be sent to the client: {error}", self.channel);
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
    fn keep(&mut self, place: u64, end: End) {
        self.kept += end.size();
        self.ended.insert(place, end);
    }

    /// Those that can go on: the one whose turn it is if the writer is here, or all at the end. And
    /// those that have given their place up.
    #[cfg(feature = "async")]
    fn tasks_in_turn(&mut self) -> Vec<std::task::Waker> {
        let (closed, next, here) = (self.closed, self.next, self.writer.is_some());
        self.tasks.take_all(|place| closed || place < next || (here && place == next))
    }

    /// Whether something is still to be sent for the next request in turn: a response that was
    /// kept, or the report that it has failed.
    fn is_left(&self) -> bool {
        self.writer.is_some() && self.is_to_be_sent()
    }

    fn is_to_be_sent(&self) -> bool {
        matches!(self.ended.get(&self.next), Some(End::Refused(..) | End::Answered(..)))
    }

    /// How the next request in turn has ended; the turn is over then.
    fn next_end(&mut self) -> Option<End> {
        if self.is_to_be_sent() && self.writer.is_none() && !self.closed {
            // The thread that has the writer brings it back, and goes on.
            return None;
        }
        let end = self.ended.remove(&self.next)?;
        self.kept = self.kept.saturating_sub(end.size());
        self.next += 1;
        Some(end)
    }
}
