//! Requests as futures (feature `async`).

use super::{Call, Client, ClientConfig, Response, inbox::Inbox, responses::Responses};
use crate::{
    error::{Error, Result},
    link::{
        Patience,
        reactor::{Errand, Wakers, wake},
    },
    reader::{Frame, Reader},
    sync::{Arc, Mutex, MutexGuard, lock},
};
use std::{
    future::poll_fn,
    mem,
    sync::Weak,
    task::{Context, Poll, Wake, Waker},
};

impl Client {
    /// As [`Self::connect_with`], in a thread that is started for it: opening and mapping files
    /// blocks. A future that is dropped leaves no client behind.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`]; [`Error::Os`] if no thread can be started.
    pub async fn connect_async(channel: &str, config: ClientConfig) -> Result<Self> {
        let owned = channel.to_owned();
        let connected = Errand::new(move |go_on| {
            let mut patience = Patience::at_most(config.connect_timeout).asking(go_on);
            Self::connect_within(&owned, config, &mut patience)
        });
        connected.await.map_err(|e| Error::os("connect in a thread of its own to", channel, e))?
    }

    /// Sends a request and waits for its response, any number of them at a time. A full request
    /// ring is waited for at most the write timeout. The response has no time limit but that of the
    /// future that this is part of.
    ///
    /// A future that is dropped has sent the request whole or not at all; its response is dropped
    /// when it comes.
    ///
    /// ```
    /// # use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
    /// # let channel = format!("doc-call-async-{}", std::process::id());
    /// # let server = Server::new(&channel, ServerConfig::default());
    /// # server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?))?;
    /// # pollster::block_on(async {
    /// let client = Client::connect_async(&channel, ClientConfig::default()).await?;
    /// assert_eq!(client.call_async(b"question").await?.data(), b"question");
    /// # Ok::<(), zerobuffer::Error>(())
    /// # })?;
    /// # Ok::<(), zerobuffer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::send`] and [`Self::receive`].
    pub async fn call_async(&self, request: &[u8]) -> Result<Response> {
        self.submit_async(request).await?.wait_async().await
    }

    /// Sends a request, whose response the returned [`Call`] waits for.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn submit_async(&self, request: &[u8]) -> Result<Call> {
        let mut submission = self.outbox.submission();
        poll_fn(|context| self.outbox.poll_submit(context, request, &mut submission)).await
    }

    /// For bindings that have one task for all requests which wait for room: one attempt of
    /// [`Self::submit_async`].
    #[doc(hidden)]
    pub fn poll_submit(&self, context: &Context<'_>, request: &[u8]) -> Poll<Result<Call>> {
        self.outbox.poll_submit_for_binding(context, request)
    }

    /// As [`Self::poll_submit`]; the response comes by [`Self::receive`].
    #[doc(hidden)]
    pub fn poll_send(&self, context: &Context<'_>, request: &[u8]) -> Poll<Result<u64>> {
        self.outbox.poll_send_for_binding(context, request)
    }

    /// For bindings that have one task for all that wait so: one attempt of [`Self::receive`].
    #[doc(hidden)]
    pub fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<Response>> {
        let responses = &self.responses;
        let response = responses.poll_wait(context, ANY, Inbox::fetch_other);
        response.map(|response| response?.or_failure(&responses.channel))
    }
}

impl Call {
    /// Waits for the response. There is one: once it was taken, further waits do not end before the
    /// client does.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`].
    pub async fn wait_async(&self) -> Result<Response> {
        let request = self.sequence();
        let fetch = |inbox: &mut Inbox| inbox.fetch(request);
        let response = poll_fn(|context| self.responses.poll_wait(context, request, fetch)).await?;
        response.or_failure(&self.responses.channel)
    }
}

/// In place of a request: any that was merely sent.
const ANY: u64 = u64::MAX;

/// Answers that are read for tasks in a row.
const AT_ONCE: u32 = 64;

impl Responses {
    /// Ready with what `fetch` finds; otherwise the context's waker is woken when the response to
    /// `request` has come, or none can come any more.
    fn poll_wait<T>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        request: u64,
        fetch: impl Fn(&mut Inbox) -> Option<T>,
    ) -> Poll<Result<T>> {
        if self.handle.is_forked() {
            return Poll::Ready(Err(Error::forked(self.handle.name())));
        }
        let waker = context.waker().clone();
        // Declared before the lock, so dropped after it.
        let _replaced;
        let mut inbox = lock(&self.inbox);
        _replaced = inbox.tasks.put(request, waker);
        loop {
            if let Some(found) = fetch(&mut inbox) {
                let waker = inbox.tasks.take(request);
                // What this one has read ended the wait that it shares with the others.
                self.pump_in(inbox);
                drop(waker);
                return Poll::Ready(Ok(found));
            }
            if inbox.reading {
                // The reading thread polls again, or has the tasks poll.
                inbox.again = true;
                return Poll::Pending;
            }
            let read;
            (inbox, read) = self.read_for_all(inbox, |reader| self.read_or_arm(reader));
            match read {
                Ok(true) => {}
                Ok(false) if mem::take(&mut inbox.again) => {}
                Ok(false) => return Poll::Pending,
                Err(error) => {
                    let found = fetch(&mut inbox).ok_or(error);
                    drop(inbox);
                    // Each finds the error itself.
                    self.wake_tasks();
                    return Poll::Ready(found);
                }
            }
        }
    }

    /// The next response if one is there; otherwise the tasks are cared for when one comes.
    fn read_or_arm(self: &Arc<Self>, reader: &mut Reader) -> Result<Option<Frame>> {
        let pump = self.pump.get_or_init(|| Waker::from(Arc::new(Pump(Arc::downgrade(self)))));
        let read = reader.poll_read(&mut Context::from_waker(pump), &mut lock(&self.tasks_since));
        if let Poll::Ready(read) = read {
            return read.map(Some);
        }
        // A server that has stopped reading may still answer what it has read.
        if !self.handle.is_writer_connected()
            && let Some(loss) = self.requests.reader_loss(false)
        {
            return reader.try_read()?.map_or(Err(loss), |frame| Ok(Some(frame)));
        }
        Ok(None)
    }

    /// Reads what has come, wakes whom it is for, and waits for more if there is anybody left.
    fn pump_in<'i>(self: &'i Arc<Self>, mut inbox: MutexGuard<'i, Inbox>) {
        let mut answers = 0;
        while !inbox.tasks.is_empty() {
            if answers == AT_ONCE {
                // Others wait by this thread too: the tasks read on for themselves.
                drop(inbox);
                return self.wake_tasks();
            }
            answers += 1;
            if inbox.reading {
                inbox.again = true;
                return;
            }
            let read;
            (inbox, read) = self.read_for_all(inbox, |reader| self.read_or_arm(reader));
            match read {
                Ok(true) => {}
                Ok(false) if mem::take(&mut inbox.again) => {}
                Ok(false) => return,
                Err(_) => {
                    // Each finds the error itself.
                    drop(inbox);
                    return self.wake_tasks();
                }
            }
        }
    }

    /// The response to `request` was sorted in.
    pub(super) fn wake_task<'i>(
        &'i self,
        mut inbox: MutexGuard<'i, Inbox>,
        request: u64,
    ) -> MutexGuard<'i, Inbox> {
        let awaited = if inbox.is_call(request) { request } else { ANY };
        let Some(waker) = inbox.tasks.take(awaited) else { return inbox };
        drop(inbox);
        wake(waker);
        lock(&self.inbox)
    }

    /// A thread that has read for all stops: a task takes over.
    pub(super) fn hand_on<'i>(&'i self, mut inbox: MutexGuard<'i, Inbox>) -> MutexGuard<'i, Inbox> {
        inbox.again = false;
        if inbox.tasks.is_empty() {
            return inbox;
        }
        drop(inbox);
        self.wake_tasks();
        lock(&self.inbox)
    }

    /// Has all tasks look.
    pub(super) fn wake_tasks(&self) {
        let tasks = lock(&self.inbox).tasks.take_all(|_| true);
        tasks.into_iter().for_each(wake);
    }
}

/// Reads for the tasks, in the thread that noticed that there is something.
struct Pump(Weak<Responses>);

impl Wake for Pump {
    fn wake(self: Arc<Self>) {
        if let Some(responses) = self.0.upgrade() {
            responses.pump_in(lock(&responses.inbox));
        }
    }
}

/// Tasks that wait for the same thing, of which each has to look when one is woken.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<Wakers>);

impl Tasks {
    /// The task waits from now on. Its waker of before is returned, to be dropped without a lock.
    #[must_use = "a waker is dropped without a lock"]
    pub(super) fn join(&self, task: u64, waker: Waker) -> Option<Waker> {
        lock(&self.0).put(task, waker)
    }

    /// Wakes them all.
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Arc::clone(self).into()
    }

    /// The task waits no more.
    pub(super) fn leave(&self, task: u64) {
        let waker = lock(&self.0).take(task);
        drop(waker);
    }

    pub(super) fn wake_all(&self) {
        let tasks = lock(&self.0).take_all(|_| true);
        tasks.into_iter().for_each(wake);
    }

    /// Wakes them all when it is dropped.
    pub(super) fn at_end(&self) -> WokenAtEnd<'_> {
        WokenAtEnd(self)
    }
}

pub(super) struct WokenAtEnd<'t>(&'t Tasks);

impl Drop for WokenAtEnd<'_> {
    fn drop(&mut self) {
        self.0.wake_all();
    }
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
