//! The response buffer and the threads that wait for it: one of them reads for all.

use super::{inbox::Inbox, response::Response};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    layout::{FAILURE, FRAME_HEADER_SIZE},
    link::Patience,
    reader::{Frame, Reader, ReaderHandle},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
    writer::{Writer, WriterHandle},
};
use std::{
    sync::{Condvar, PoisonError},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Responses {
    pub(super) channel: String,
    reader: Mutex<Option<Reader>>,
    pub(super) inbox: Mutex<Inbox>,
    /// A response has come, or nobody reads any more.
    arrived: Condvar,
    /// Since when tasks have waited for the reader.
    #[cfg(feature = "async")]
    pub(super) tasks_since: Mutex<Option<Instant>>,
    /// What the reader wakes for the tasks.
    #[cfg(feature = "async")]
    pub(super) pump: std::sync::OnceLock<std::task::Waker>,
    pub(super) handle: ReaderHandle,
    pub(super) requests: WriterHandle,
    /// Sequence number of this client's first request.
    first: u64,
    /// The newest request; stored before it is published.
    last: AtomicU64,
    /// The server gives responses the sequence of their request.
    stamped: bool,
}

impl Responses {
    pub(super) fn new(channel: &str, reader: Reader, requests: &Writer) -> Self {
        let first = requests.next_sequence();
        Self {
            channel: channel.to_owned(),
            handle: reader.handle(),
            requests: requests.handle(),
            first,
            last: AtomicU64::new(first.wrapping_sub(1)),
            stamped: requests.has_free_sequences(),
            reader: Mutex::new(Some(reader)),
            inbox: Mutex::new(Inbox::default()),
            arrived: Condvar::new(),
            #[cfg(feature = "async")]
            tasks_since: Mutex::new(None),
            #[cfg(feature = "async")]
            pump: std::sync::OnceLock::new(),
        }
    }

    /// Before a request is published: its response may be there before the commit returns.
    pub(super) fn note_request(&self, sequence: u64) {
        self.last.store(sequence, Ordering::Release);
    }

    /// Somebody will wait for the response to that request.
    pub(super) fn register(&self, request: u64) {
        lock(&self.inbox).register(request);
    }

    /// The request was not sent after all.
    pub(super) fn forget(&self, request: u64) {
        lock(&self.inbox).forget(request);
    }

    /// Nobody waits for the response any more.
    pub(super) fn abandon(&self, request: u64) {
        // In a forked child a thread of the parent may have held the lock.
        if self.handle.is_forked() {
            return;
        }
        let mut inbox = lock(&self.inbox);
        inbox.abandon(request);
        #[cfg(feature = "async")]
        {
            let waker = inbox.tasks.take(request);
            drop(inbox);
            drop(waker);
        }
    }

    /// Whether the server reads requests and writes responses.
    pub(super) fn is_server_connected(&self) -> bool {
        self.requests.is_reader_connected() && self.handle.is_writer_connected()
    }

    /// Ends all waits, those for room in the request buffer too, and gives up the response buffer.
    pub(super) fn close(&self) -> Result<()> {
        self.handle.interrupt();
        self.requests.interrupt();
        let reader = lock(&self.reader).take();
        let closed = reader.map_or(Ok(()), Reader::close);
        self.arrived.notify_all();
        #[cfg(feature = "async")]
        self.wake_tasks();
        closed
    }

    /// Whichever of its two buffers the server was seen to have left first: it is gone.
    pub(super) fn server_loss(&self, error: Error) -> Error {
        let name = self.channel.clone();
        match error {
            Error::WriterGone { pid, .. } => {
                Error::ServerGone { name, pid, reason: "it no longer writes responses" }
            }
            Error::ReaderGone { pid, reason, .. } => Error::ServerGone { name, pid, reason },
            other => other,
        }
    }

    pub(super) fn closed(&self) -> Error {
        Error::closed(self.requests.name())
    }

    /// Waits until `fetch` finds a response. `Err` if that says that its request has no answer.
    pub(super) fn receive(
        &self,
        patience: &mut Patience<'_>,
        fetch: impl FnMut(&mut Inbox) -> Option<Response>,
    ) -> Result<Option<Response>> {
        self.wait(patience, fetch)?.map(|response| response.or_failure(&self.channel)).transpose()
    }

    /// Waits until `fetch` finds something. One of the waiting threads reads for all.
    pub(super) fn wait<T>(
        &self,
        patience: &mut Patience<'_>,
        mut fetch: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<Option<T>> {
        if self.handle.is_forked() {
            return Err(Error::forked(self.handle.name()));
        }
        let mut inbox = lock(&self.inbox);
        let mut last_look = false;
        loop {
            if let Some(found) = fetch(&mut inbox) {
                return Ok(Some(found));
            }
            if last_look {
                return Ok(None);
            }
            // Its hook is the application's code, and is not asked under the lock.
            drop(inbox);
            last_look = patience.ends(Instant::now());
            if patience.is_broken_off() {
                return Ok(None);
            }
            inbox = lock(&self.inbox);
            if inbox.reading {
                if last_look {
                    continue;
                }
                let slice = patience.slice().left().unwrap_or(WAIT_SLICE);
                inbox.waiting += 1;
                inbox = self.arrived.wait_timeout(inbox, slice).unwrap_or_else(PoisonError::into_inner).0;
                inbox.waiting -= 1;
                continue;
            }
            let read;
            (inbox, read) = self.read_for_all(inbox, |reader| self.read(reader, patience));
            #[cfg(feature = "async")]
            {
                // Nobody reads for the tasks now.
                inbox = self.hand_on(inbox);
            }
            match read {
                Ok(true) => last_look = false,
                Ok(false) => {}
                // What another thread has read meanwhile is worth more than the news.
                Err(error) => return fetch(&mut inbox).map_or(Err(error), |found| Ok(Some(found))),
            }
        }
    }

    /// Has `read` look for a response while nobody else does, and sorts in what it has found.
    /// `Ok(true)`: something.
    pub(super) fn read_for_all<'i>(
        &'i self,
        mut inbox: MutexGuard<'i, Inbox>,
        read: impl FnOnce(&mut Reader) -> Result<Option<Frame>>,
    ) -> (MutexGuard<'i, Inbox>, Result<bool>) {
        inbox.reading = true;
        drop(inbox);
        let read = match lock(&self.reader).as_mut() {
            Some(reader) => read(reader).map_err(|error| self.server_loss(error)),
            None => Err(self.closed()),
        };
        let mut inbox = lock(&self.inbox);
        inbox.reading = false;
        if inbox.waiting > 0 {
            self.arrived.notify_all();
        }
        let found = match read {
            Ok(Some(frame)) => {
                let sent = self.first..=self.last.load(Ordering::Acquire);
                let response = self.response(frame);
                #[cfg(feature = "async")]
                let request = response.sequence();
                inbox.sort(response, self.stamped.then_some(sent));
                #[cfg(feature = "async")]
                {
                    inbox = self.wake_task(inbox, request);
                }
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        (inbox, found)
    }

    /// Waits a slice for a response. In slices, since this thread has the reader. Others may come
    /// to read in between, and the hook, which may call the client, is asked without it.
    fn read(&self, reader: &mut Reader, patience: &mut Patience<'_>) -> Result<Option<Frame>> {
        let mut slice = patience.slice();
        let read = reader.read_with(&mut slice);
        patience.took(&slice);
        let frame = read?;
        // A server that has stopped reading may still answer what it has read.
        if frame.is_none()
            && !self.handle.is_writer_connected()
            // A binding's slices are a little shorter than the core's.
            && let Some(loss) = self.requests.reader_loss(slice.waited() >= WAIT_SLICE / 2)
        {
            // What it has written before is still to be read.
            return match reader.try_read()? {
                None => Err(loss),
                frame => Ok(frame),
            };
        }
        Ok(frame)
    }

    /// Reads what is there, without waiting; then says what waits to be received, if the server may
    /// be waiting for its room. A thread that receives just now makes room itself.
    pub(super) fn backlog(&self) -> Option<Backlog> {
        let mut inbox = lock(&self.inbox);
        while !inbox.reading {
            let read;
            (inbox, read) = self.read_for_all(inbox, Reader::try_read);
            if !matches!(read, Ok(true)) {
                break;
            }
        }
        #[cfg(feature = "async")]
        if inbox.again {
            inbox = self.hand_on(inbox);
        }
        let (waiting, bytes) = inbox.unread();
        let in_use = self.handle.utilization();
        let capacity = self.handle.capacity();
        // With twice the room of a response that was seen there is one stretch that takes it.
        let wanted = inbox.largest.saturating_add(FRAME_HEADER_SIZE).saturating_mul(2);
        let has_room = (1.0 - in_use) * to_share(capacity) >= to_share(wanted);
        let moves = (inbox.moves, in_use.to_bits(), self.requests.utilization().to_bits());
        (!inbox.reading && waiting > 0 && !has_room).then_some(Backlog { waiting, bytes, capacity, moves })
    }

    fn response(&self, frame: Frame) -> Response {
        let number = frame.sequence();
        if self.stamped {
            return Response::new(frame, number & !FAILURE, number & FAILURE != 0);
        }
        // A server of another implementation counts its responses.
        Response::new(frame, self.first.wrapping_add(number).wrapping_sub(1), false)
    }
}

/// Responses that fill their ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    pub(super) waiting: u64,
    pub(super) bytes: u64,
    pub(super) capacity: u64,
    /// Changes when anything of either ring does.
    pub(super) moves: (u64, u64, u64),
}

#[allow(clippy::cast_precision_loss, reason = "compared roughly")]
fn to_share(bytes: u64) -> f64 {
    bytes as f64
}
