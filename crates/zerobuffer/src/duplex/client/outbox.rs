//! The request writer, which a loan takes along.

use super::{
    call::Call,
    responses::{Backlog, Responses},
};
use crate::{
    error::{Error, Result},
    link::{Keepalive, Patience},
    sync::{Arc, Mutex, MutexGuard, lock},
    writer::Writer,
};
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::{
    mem,
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

/// Sends a client's requests, one after the other, from whatever thread.
#[derive(Debug)]
pub(super) struct Outbox {
    responses: Arc<Responses>,
    sender: Mutex<Sender>,
    standstill: Mutex<Option<Standstill>>,
    /// Tasks that wait for room.
    #[cfg(feature = "async")]
    pub(super) tasks: Arc<super::future::Tasks>,
    /// Tasks that found the sender in use.
    #[cfg(feature = "async")]
    queued: Arc<super::future::Tasks>,
    /// How many tasks have come.
    #[cfg(feature = "async")]
    submissions: crate::sync::AtomicU64,
}

/// A request that a task is about to send. With its drop the task waits no more.
#[cfg(feature = "async")]
pub(super) struct Submission<'o> {
    outbox: &'o Outbox,
    task: u64,
    has_waited: bool,
    wait: Option<crate::writer::Wait>,
}

#[cfg(feature = "async")]
impl Drop for Submission<'_> {
    fn drop(&mut self) {
        // In a forked child a thread of the parent may have held the lock.
        if self.has_waited && !self.outbox.responses.requests.is_forked() {
            self.outbox.tasks.leave(self.task);
            self.outbox.queued.leave(self.task);
        }
    }
}

/// The sender in use. Its fields end in their order: the lock is free when tasks are woken for it.
struct InUse<'o> {
    sender: MutexGuard<'o, Sender>,
    #[cfg(feature = "async")]
    _queued: super::future::WokenAtEnd<'o>,
    /// The wait that the tasks share has ended.
    #[cfg(feature = "async")]
    room: Option<super::future::WokenAtEnd<'o>>,
}

impl Deref for InUse<'_> {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut Sender {
        &mut self.sender
    }
}

/// How long nothing moves in either ring before the client gives up. A thread that reads a response
/// may take long until it gives its room back.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Since when nothing has moved, and what stood where.
#[derive(Debug)]
struct Standstill {
    since: Instant,
    moves: (u64, u64, u64),
}

impl Standstill {
    /// Whether nothing has moved for [`STANDSTILL`]. Seen over several sends: each may be short.
    fn lasts(seen: &mut Option<Self>, moves: (u64, u64, u64)) -> bool {
        match seen {
            Some(still) if still.moves == moves => still.since.elapsed() >= STANDSTILL,
            _ => {
                *seen = Some(Self { since: Instant::now(), moves });
                false
            }
        }
    }
}

/// Where the request writer is. A loan takes it along. Another send is then refused rather than
/// kept waiting, be it on the loan's own thread.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one per client")]
enum Sender {
    Here(Writer),
    Lent,
    Closed,
}

impl Sender {
    fn here(&mut self) -> Option<&mut Writer> {
        if let Self::Here(writer) = self { Some(writer) } else { None }
    }
}

impl Outbox {
    pub(super) fn new(responses: Arc<Responses>, writer: Writer) -> Self {
        Self {
            responses,
            sender: Mutex::new(Sender::Here(writer)),
            standstill: Mutex::new(None),
            #[cfg(feature = "async")]
            tasks: Arc::default(),
            #[cfg(feature = "async")]
            queued: Arc::default(),
            #[cfg(feature = "async")]
            submissions: crate::sync::AtomicU64::new(0),
        }
    }

    pub(super) fn channel(&self) -> &str {
        &self.responses.channel
    }

    pub(super) fn set_metadata(&self, data: &[u8]) -> Result<()> {
        self.writer(&mut *self.sender()?)?.set_metadata(data)
    }

    pub(super) fn send(&self, request: &[u8], patience: Option<&mut Patience<'_>>) -> Result<u64> {
        let mut sender = self.begun(request.len(), patience)?;
        self.fill_and_commit(self.writer(&mut sender)?, request)
    }

    pub(super) fn submit(&self, request: &[u8], patience: Option<&mut Patience<'_>>) -> Result<Call> {
        let mut sender = self.begun(request.len(), patience)?;
        let writer = self.writer(&mut sender)?;
        let call = self.register(writer.next_sequence());
        call.sent(self.fill_and_commit(writer, request))
    }

    /// As [`Self::submit`] if nothing has to be waited for, be it room or another thread.
    pub(super) fn try_submit(&self, request: &[u8]) -> Result<Option<Call>> {
        if self.responses.requests.is_forked() {
            return Err(Error::forked(self.responses.requests.name()));
        }
        let Ok(sender) = self.sender.try_lock() else { return Ok(None) };
        let mut sender = self.in_use(sender);
        let writer = self.writer(&mut sender)?;
        if writer.pending().is_some() {
            return Err(self.pending());
        }
        match writer.try_begin(request.len()) {
            Ok(()) => {}
            Err(Error::Full { .. }) => return Ok(None),
            Err(error) => return Err(self.responses.server_loss(error)),
        }
        let call = self.register(writer.next_sequence());
        call.sent(self.fill_and_commit(writer, request)).map(Some)
    }

    /// The writer with a request of `size` bytes begun; it comes back by [`Self::take_back`].
    pub(super) fn lend(&self, size: usize) -> Result<Writer> {
        let mut sender = self.begun(size, None)?;
        match mem::replace(&mut *sender, Sender::Lent) {
            Sender::Here(writer) => Ok(writer),
            Sender::Lent => Err(self.pending()),
            Sender::Closed => Err(self.responses.closed()),
        }
    }

    /// Begins a request of `size` bytes, and says which number it gets.
    pub(super) fn begin(&self, size: usize, patience: Option<&mut Patience<'_>>) -> Result<u64> {
        let mut sender = self.begun(size, patience)?;
        Ok(self.writer(&mut sender)?.next_sequence())
    }

    pub(super) fn with_pending<T>(&self, look: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
        self.sender().ok()?.here()?.pending().map(look)
    }

    pub(super) fn commit(&self, len: usize) -> Result<u64> {
        self.commit_in(self.writer(&mut *self.sender()?)?, len)
    }

    pub(super) fn abort(&self) -> bool {
        self.sender().ok().is_some_and(|mut sender| sender.here().is_some_and(Writer::abort))
    }

    pub(super) fn keep_alive(&self) -> Option<Keepalive> {
        self.sender().ok()?.here().map(|writer| writer.keep_alive())
    }

    /// Leaves the request buffer, unless a loan has the writer: then its end does.
    pub(super) fn close(&self) {
        let sender = mem::replace(&mut *lock(&self.sender), Sender::Closed);
        // Closing a writer makes system calls: not under the lock.
        drop(sender);
        #[cfg(feature = "async")]
        for tasks in [&self.tasks, &self.queued] {
            tasks.wake_all();
        }
    }

    /// The place of the request writer, if it may be touched.
    fn sender(&self) -> Result<InUse<'_>> {
        if self.responses.requests.is_forked() {
            // A thread of the parent may have held the lock.
            return Err(Error::forked(self.responses.requests.name()));
        }
        Ok(self.in_use(lock(&self.sender)))
    }

    #[allow(clippy::unused_self, reason = "without the feature nobody is woken")]
    fn in_use<'o>(&'o self, sender: MutexGuard<'o, Sender>) -> InUse<'o> {
        InUse {
            sender,
            #[cfg(feature = "async")]
            _queued: self.queued.at_end(),
            #[cfg(feature = "async")]
            room: None,
        }
    }

    /// The request writer, if it is there.
    fn writer<'s>(&self, sender: &'s mut Sender) -> Result<&'s mut Writer> {
        match sender {
            Sender::Here(writer) => Ok(writer),
            Sender::Lent => Err(self.pending()),
            Sender::Closed => Err(self.responses.closed()),
        }
    }

    fn pending(&self) -> Error {
        Error::RequestPending { name: self.responses.channel.clone() }
    }

    /// The sender with room for a request reserved; waits for it as the patience says, else for the
    /// write timeout.
    ///
    /// Not for ever while the server waits for room in the response ring. So it waits in slices.
    /// Between them it does not have the lock: the hook may close the client.
    fn begun(&self, size: usize, patience: Option<&mut Patience<'_>>) -> Result<InUse<'_>> {
        let mut sender = self.sender()?;
        let writer = self.writer(&mut sender.sender)?;
        if writer.pending().is_some() {
            return Err(self.pending());
        }
        let mut full = match writer.try_begin(size) {
            Ok(()) => return Ok(sender),
            Err(error) => error,
        };
        let mut configured;
        let patience = if let Some(patience) = patience {
            patience
        } else {
            configured = Patience::for_timeout(writer.write_timeout());
            &mut configured
        };
        loop {
            let Error::Full { .. } = full else { return Err(self.responses.server_loss(full)) };
            drop(sender);
            self.ensure_moving()?;
            if patience.ends(Instant::now()) {
                return Err(full.after(patience.waited()));
            }
            sender = self.sender()?;
            let writer = self.writer(&mut sender.sender)?;
            if writer.pending().is_some() {
                return Err(self.pending());
            }
            // A blocked call waits by itself, and ends the wait that the tasks share.
            #[cfg(feature = "async")]
            {
                sender.room = Some(self.tasks.at_end());
            }
            let mut slice = patience.slice();
            let begun = writer.begin_with(size, &mut slice);
            patience.took(&slice);
            match begun {
                Ok(()) => return Ok(sender),
                Err(error) => full = error,
            }
        }
    }

    /// Fails if the server waits for room in the response ring, and nobody makes any.
    fn ensure_moving(&self) -> Result<()> {
        if let Some(backlog) = self.responses.backlog() {
            if Standstill::lasts(&mut lock(&self.standstill), backlog.moves) {
                let Backlog { waiting, bytes, capacity, .. } = backlog;
                let name = self.channel().to_owned();
                return Err(Error::ResponsesUnread { name, waiting, bytes, capacity });
            }
        } else {
            *lock(&self.standstill) = None;
        }
        Ok(())
    }

    #[cfg(feature = "async")]
    pub(super) fn submission(&self) -> Submission<'_> {
        let task = self.submissions.fetch_add(1, crate::sync::Ordering::Relaxed);
        Submission { outbox: self, task, has_waited: false, wait: None }
    }

    /// One attempt to send a request, whose response its call waits for; the context's waker is
    /// woken when there may be room.
    #[cfg(feature = "async")]
    pub(super) fn poll_submit(
        &self,
        context: &Context<'_>,
        request: &[u8],
        submission: &mut Submission<'_>,
    ) -> Poll<Result<Call>> {
        self.poll_begun(context, request.len(), submission, |writer| {
            let call = self.register(writer.next_sequence());
            call.sent(self.fill_and_commit(writer, request))
        })
    }

    /// As [`Self::poll_submit`], for the one task of a binding, whose waker stays.
    #[cfg(feature = "async")]
    pub(super) fn poll_submit_for_binding(
        &self,
        context: &Context<'_>,
        request: &[u8],
    ) -> Poll<Result<Call>> {
        self.poll_for_binding(|submission| self.poll_submit(context, request, submission))
    }

    /// The same of a request that is merely sent.
    #[cfg(feature = "async")]
    pub(super) fn poll_send_for_binding(&self, context: &Context<'_>, request: &[u8]) -> Poll<Result<u64>> {
        self.poll_for_binding(|submission| {
            self.poll_begun(context, request.len(), submission, |writer| {
                self.fill_and_commit(writer, request)
            })
        })
    }

    #[cfg(feature = "async")]
    fn poll_for_binding<T>(
        &self,
        poll: impl FnOnce(&mut Submission<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        let mut submission = Submission { outbox: self, task: u64::MAX, has_waited: true, wait: None };
        let polled = poll(&mut submission);
        // The next poll is another submission of the same task, which goes on waiting until then.
        submission.has_waited = polled.is_ready();
        polled
    }

    /// Does something with a request of `size` bytes once there is room for it.
    #[cfg(feature = "async")]
    fn poll_begun<T>(
        &self,
        context: &Context<'_>,
        size: usize,
        submission: &mut Submission<'_>,
        finish: impl FnOnce(&mut Writer) -> Result<T>,
    ) -> Poll<Result<T>> {
        if self.responses.requests.is_forked() {
            return Poll::Ready(Err(Error::forked(self.responses.requests.name())));
        }
        let waker = context.waker().clone();
        // Declared before the lock, so dropped after it.
        let _replaced;
        // A blocked call of another thread keeps the lock while it waits for room.
        let sender = self.sender.try_lock().ok().or_else(|| {
            submission.has_waited = true;
            drop(self.queued.join(submission.task, waker.clone()));
            // It may have let go before it knew of this task.
            self.sender.try_lock().ok()
        });
        let Some(sender) = sender else { return Poll::Pending };
        let mut sender = self.in_use(sender);
        let writer = match self.writer(&mut sender.sender) {
            Ok(writer) => writer,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if writer.pending().is_some() {
            return Poll::Ready(Err(self.pending()));
        }
        match writer.try_begin(size) {
            Ok(()) => {}
            Err(Error::Full { .. }) => {
                // Before the attempt: what makes room after it wakes the tasks that are known.
                submission.has_waited = true;
                _replaced = self.tasks.join(submission.task, waker);
                let room = self.tasks.waker();
                let mut waits = Context::from_waker(&room);
                match writer.poll_begin(&mut waits, size, &mut submission.wait) {
                    Poll::Pending => {
                        drop(sender);
                        return match self.ensure_moving() {
                            Ok(()) => Poll::Pending,
                            Err(error) => Poll::Ready(Err(error)),
                        };
                    }
                    Poll::Ready(begun) => {
                        // This ended the wait that the tasks share.
                        sender.room = Some(self.tasks.at_end());
                        if let Err(error) = begun {
                            return Poll::Ready(Err(self.responses.server_loss(error)));
                        }
                    }
                }
            }
            Err(error) => return Poll::Ready(Err(self.responses.server_loss(error))),
        }
        Poll::Ready(finish(writer))
    }

    fn fill_and_commit(&self, writer: &mut Writer, request: &[u8]) -> Result<u64> {
        if let Some(room) = writer.pending() {
            room.copy_from_slice(request);
        }
        self.commit_in(writer, request.len())
    }

    fn commit_in(&self, writer: &mut Writer, len: usize) -> Result<u64> {
        self.responses.note_request(writer.next_sequence());
        writer.commit(len)
    }

    /// Sends what a loan has filled, unless the client was closed meanwhile.
    pub(super) fn commit_lent(&self, writer: &mut Writer, len: usize) -> Result<u64> {
        if !matches!(*self.sender()?, Sender::Lent) {
            return Err(self.responses.closed());
        }
        self.commit_in(writer, len)
    }

    /// A loan is over.
    pub(super) fn take_back(&self, mut writer: Writer) {
        writer.abort();
        // In a forked child, and once the client is closed, the writer is dropped.
        if let Ok(mut sender) = self.sender()
            && matches!(*sender, Sender::Lent)
        {
            *sender = Sender::Here(writer);
        }
    }

    pub(super) fn register(&self, sequence: u64) -> Call {
        Call::register(&self.responses, sequence)
    }
}
