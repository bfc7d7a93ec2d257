//! The response buffer and who waits for what of it: one of the waiting threads reads for all.

use super::{inbox::Inbox, response::Response};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    reader::{Frame, Reader, ReaderHandle},
    sync::{AtomicU64, Mutex, Ordering, lock},
    writer::{Writer, WriterHandle},
};
use std::{
    sync::{Condvar, PoisonError},
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(super) struct Responses {
    pub(super) channel: String,
    reader: Mutex<Option<Reader>>,
    inbox: Mutex<Inbox>,
    /// A response has come, or nobody reads any more.
    arrived: Condvar,
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
        if !self.handle.is_forked() {
            lock(&self.inbox).abandon(request);
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

    /// Waits until `fetch` finds something. One of the waiting threads reads for all.
    pub(super) fn wait<T>(
        &self,
        timeout: Duration,
        mut fetch: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<Option<T>> {
        if self.handle.is_forked() {
            return Err(Error::forked(self.handle.name()));
        }
        let deadline = Instant::now().checked_add(timeout);
        let mut inbox = lock(&self.inbox);
        let mut last_look = false;
        loop {
            if let Some(found) = fetch(&mut inbox) {
                return Ok(Some(found));
            }
            if last_look {
                return Ok(None);
            }
            let left = deadline.map_or(WAIT_SLICE, |d| d.saturating_duration_since(Instant::now()));
            let slice = left.min(WAIT_SLICE);
            last_look = left.is_zero();
            if inbox.reading {
                if last_look {
                    continue;
                }
                inbox.waiting += 1;
                inbox = self.arrived.wait_timeout(inbox, slice).unwrap_or_else(PoisonError::into_inner).0;
                inbox.waiting -= 1;
                continue;
            }
            inbox.reading = true;
            drop(inbox);
            let read = self.read(slice);
            inbox = lock(&self.inbox);
            inbox.reading = false;
            if inbox.waiting > 0 {
                self.arrived.notify_all();
            }
            match read {
                Ok(None) => {}
                Ok(Some(response)) => {
                    let sent = self.first..=self.last.load(Ordering::Acquire);
                    inbox.sort(response, self.stamped.then_some(sent));
                    last_look = false;
                }
                // What another thread has read meanwhile is worth more than the news.
                Err(error) => return fetch(&mut inbox).map_or(Err(error), |found| Ok(Some(found))),
            }
        }
    }

    fn read(&self, slice: Duration) -> Result<Option<Response>> {
        let mut guard = lock(&self.reader);
        let Some(reader) = guard.as_mut() else { return Err(self.closed()) };
        let mut frame = reader.read_timeout(slice).map_err(|error| self.server_loss(error))?;
        // A binding's slices of 50 ms come here a little shorter than that.
        let patient = slice >= WAIT_SLICE / 2;
        // A server that has stopped reading may still answer what it has read.
        if frame.is_none()
            && !self.handle.is_writer_connected()
            && let Some(loss) = self.requests.reader_loss(patient)
        {
            // What it has written before is still to be read.
            frame = reader.try_read().map_err(|error| self.server_loss(error))?;
            if frame.is_none() {
                return Err(self.server_loss(loss));
            }
        }
        Ok(frame.map(|frame| self.response(frame)))
    }

    fn response(&self, frame: Frame) -> Response {
        let sequence = frame.sequence();
        // A server of another implementation counts its responses.
        let sequence =
            if self.stamped { sequence } else { self.first.wrapping_add(sequence).wrapping_sub(1) };
        Response::new(frame, sequence)
    }
}
