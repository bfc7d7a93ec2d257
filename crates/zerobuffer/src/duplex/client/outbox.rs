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
}

/// The sender in use. Its fields end in their order: the lock is free when tasks are woken for it.
struct InUse<'o> {
    sender: MutexGuard<'o, Sender>,
    #[cfg(feature = "async")]
    _queued: super::future::WokenAtEnd<'o>,
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
        }
    }

    pub(super) fn channel(&self) -> &str {
        &self.responses.channel
    }

    pub(super) fn set_metadata(&self, data: &[u8]) -> Result<()> {
        self.writer(&mut *self.sender()?)?.set_metadata(data)
    }

    pub(super) fn send(&self, request: &[u8], patience: Option<&mut Patience<'_>>) -> Result<u64> {
        let mut sender = self.sender()?;
        let writer = self.begin_in(&mut sender, request.len(), patience)?;
        self.fill_and_commit(writer, request)
    }

    pub(super) fn submit(&self, request: &[u8], patience: Option<&mut Patience<'_>>) -> Result<Call> {
        let mut sender = self.sender()?;
        let writer = self.begin_in(&mut sender, request.len(), patience)?;
        let call = self.register(writer.next_sequence());
        call.sent(self.fill_and_commit(writer, request))
    }

    /// The writer with a request of `size` bytes begun; it comes back by [`Self::take_back`].
    pub(super) fn lend(&self, size: usize) -> Result<Writer> {
        let mut sender = self.sender()?;
        self.begin_in(&mut sender, size, None)?;
        match mem::replace(&mut *sender, Sender::Lent) {
            Sender::Here(writer) => Ok(writer),
            Sender::Lent => Err(self.pending()),
            Sender::Closed => Err(self.responses.closed()),
        }
    }

    /// Begins a request of `size` bytes, and says which number it gets.
    pub(super) fn begin(&self, size: usize, patience: Option<&mut Patience<'_>>) -> Result<u64> {
        let mut sender = self.sender()?;
        Ok(self.begin_in(&mut sender, size, patience)?.next_sequence())
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

    /// Reserves room for a request; waits as the patience says, else for the write timeout.
    fn begin_in<'s>(
        &self,
        sender: &'s mut Sender,
        size: usize,
        patience: Option<&mut Patience<'_>>,
    ) -> Result<&'s mut Writer> {
        let writer = self.writer(sender)?;
        if writer.pending().is_some() {
            return Err(self.pending());
        }
        match writer.try_begin(size) {
            Ok(()) => return Ok(writer),
            Err(Error::Full { .. }) => {}
            Err(error) => return Err(self.responses.server_loss(error)),
        }
        let mut configured;
        let patience = if let Some(patience) = patience {
            patience
        } else {
            configured = Patience::for_timeout(writer.write_timeout());
            &mut configured
        };
        let begun = self.wait_for_room(writer, size, patience);
        // A blocked call waits by itself, and ended the wait that the tasks share.
        #[cfg(feature = "async")]
        self.tasks.wake_all();
        begun.map_err(|error| self.responses.server_loss(error))?;
        Ok(writer)
    }

    /// Waits for room in the request ring; not for ever while the server waits for room in the
    /// response ring.
    fn wait_for_room(&self, writer: &mut Writer, size: usize, patience: &mut Patience<'_>) -> Result<()> {
        loop {
            let mut slice = patience.slice();
            let begun = writer.begin_with(size, &mut slice);
            patience.took(&slice);
            let Err(Error::Full { name, needed, free, largest_gap, held, capacity, .. }) = begun else {
                return begun;
            };
            self.ensure_moving()?;
            if patience.ends(Instant::now()) {
                return Err(Error::Full {
                    name,
                    needed,
                    free,
                    largest_gap,
                    held,
                    capacity,
                    waited: patience.waited(),
                });
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

    /// One attempt to send a request; the context's waker is woken when there may be room.
    #[cfg(feature = "async")]
    pub(super) fn poll_submit(
        &self,
        context: &mut Context<'_>,
        request: &[u8],
        wait: &mut Option<crate::writer::Wait>,
    ) -> Poll<Result<Call>> {
        if self.responses.requests.is_forked() {
            return Poll::Ready(Err(Error::forked(self.responses.requests.name())));
        }
        // A blocked call of another thread keeps the lock while it waits for room.
        let sender = self.sender.try_lock().ok().or_else(|| {
            drop(self.queued.waker_for(context));
            // It may have let go before it knew of this task.
            self.sender.try_lock().ok()
        });
        let Some(sender) = sender else { return Poll::Pending };
        let mut sender = self.in_use(sender);
        let writer = match self.writer(&mut sender) {
            Ok(writer) => writer,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if writer.pending().is_some() {
            return Poll::Ready(Err(self.pending()));
        }
        match writer.try_begin(request.len()) {
            Ok(()) => {}
            Err(Error::Full { .. }) => {
                // Before the attempt: what makes room after it wakes the tasks that are known.
                let room = self.tasks.waker_for(context);
                match writer.poll_begin(&mut Context::from_waker(&room), request.len(), wait) {
                    Poll::Pending => {
                        drop(sender);
                        return match self.ensure_moving() {
                            Ok(()) => Poll::Pending,
                            Err(error) => Poll::Ready(Err(error)),
                        };
                    }
                    Poll::Ready(begun) => {
                        // This ended the wait that the tasks share.
                        self.tasks.wake_all();
                        if let Err(error) = begun {
                            return Poll::Ready(Err(self.responses.server_loss(error)));
                        }
                    }
                }
            }
            Err(error) => return Poll::Ready(Err(self.responses.server_loss(error))),
        }
        let call = self.register(writer.next_sequence());
        Poll::Ready(call.sent(self.fill_and_commit(writer, request)))
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
