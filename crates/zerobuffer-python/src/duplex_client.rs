//! `DuplexClientBase`: the native half of `zerobuffer.duplex.DuplexClient`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use zerobuffer::duplex::{Call, Client, ClientConfig};
use zerobuffer::{Error, Patience};

use crate::ends::End;
use crate::errors::{closed, general, no_response, raise, raise_sending};
use crate::event::Bell;
use crate::frame::release;
use crate::input::with_bytes;
use crate::logging;
use crate::number::{FrameSize, Natural};
use crate::options;
use crate::pin::{Hold, Pin, Region};
use crate::response::Response;
use crate::sending::COPY_ATTACHED;
use crate::source::Source;
use crate::wait::{Timeout, detached, nothing};

/// The native half of `zerobuffer.duplex.DuplexClient`.
#[pyclass(frozen, subclass, weakref, name = "DuplexClientBase", module = "zerobuffer._zerobuffer")]
pub(crate) struct DuplexClient {
    channel: String,
    /// Gone once closed.
    client: End<Arc<Client>, ()>,
    source: Arc<Source>,
    /// The view of `acquire_request_buffer`, and its size.
    pending: Mutex<Option<(Py<PyMemoryView>, usize)>>,
    write_timeout: Timeout,
    /// Responses that calls have got.
    answered: AtomicU64,
}

fn at_once() -> Patience<'static> {
    Patience::at_most(Duration::ZERO)
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// A response of the core.
type Answer = zerobuffer::duplex::Response;

impl DuplexClient {
    /// The client, unless it is closed.
    fn client(&self) -> PyResult<Arc<Client>> {
        self.client.open().ok_or_else(|| closed(format!("channel '{}': the client is closed", self.channel)))
    }

    /// Sends something, waiting for room in the request ring.
    fn send<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&Client, &mut Patience<'_>) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let client = self.client()?;
        let started = Instant::now();
        let sent = detached(py, self.write_timeout, nothing, |patience| operation(&client, patience))?;
        sent.map_err(|error| raise_sending(error.after(started.elapsed())))
    }

    /// One attempt; `None` if the request ring is full.
    fn try_send<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl Fn(&Client) -> Result<T, Error> + Sync,
    ) -> PyResult<Option<T>> {
        let client = self.client()?;
        let sent = py.detach(|| operation(&client));
        logging::flush(py)?;
        match sent {
            Err(Error::Full { .. } | Error::ResponsesUnread { .. }) => Ok(None),
            other => other.map(Some).map_err(raise_sending),
        }
    }

    /// What a poll for room has come to; `None` if it is to be made again.
    fn poll_sent<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&Client) -> Option<Result<T, Error>> + Send,
    ) -> PyResult<Option<T>> {
        let client = self.client()?;
        let sent = py.detach(|| operation(&client));
        logging::flush(py)?;
        match sent {
            None | Some(Err(Error::Full { .. } | Error::ResponsesUnread { .. })) => Ok(None),
            Some(other) => other.map(Some).map_err(raise_sending),
        }
    }

    /// What a poll for a response has come to.
    fn polled(
        &self,
        py: Python<'_>,
        operation: impl FnOnce() -> Option<Result<Answer, Error>> + Send,
    ) -> PyResult<Option<Py<Response>>> {
        let response = py.detach(operation);
        logging::flush(py)?;
        self.wrapped(py, response.transpose().map_err(raise)?)
    }

    fn wait(
        &self,
        py: Python<'_>,
        timeout: Timeout,
        wait: impl FnOnce(&mut Patience<'_>) -> Result<Option<Answer>, Error> + Send,
    ) -> PyResult<Option<Py<Response>>> {
        let response = detached(py, timeout, |py| self.source.stalled(py), wait)?.map_err(raise)?;
        self.wrapped(py, response)
    }

    fn wrapped(&self, py: Python<'_>, response: Option<Answer>) -> PyResult<Option<Py<Response>>> {
        response.map(|response| Response::received(py, response, &self.source)).transpose()
    }

    /// Of a call: counted.
    fn counted(&self, response: Option<Py<Response>>) -> Option<Py<Response>> {
        if response.is_some() {
            self.answered.fetch_add(1, Relaxed);
        }
        response
    }

    /// Sends a request whose response a call waits for: at once if nothing has to be waited for.
    fn submit(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Call> {
        with_bytes(data, |bytes| {
            if bytes.len() <= COPY_ATTACHED {
                let sent = self.client()?.try_submit(bytes);
                logging::flush(py)?;
                if let Some(call) = sent.map_err(raise_sending)? {
                    return Ok(call);
                }
            }
            self.send(py, |client, patience| client.submit_with(bytes, patience))
        })
    }

    fn missing(&self, request: u64, timeout: Option<f64>) -> PyErr {
        let seconds = timeout.unwrap_or(f64::INFINITY);
        let text = format!(
            "server '{}': no response to request {request} within {seconds:?} s: its handler is slow, or it has no \
             native server that would tell of a failure",
            self.channel
        );
        no_response(request, text)
    }

    fn retire(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        let pending = self.pending.lock().take();
        let Some((view, size)) = pending else { return Ok(None) };
        release(view.bind(py).as_any())?;
        Ok(Some(size))
    }
}

#[pymethods]
impl DuplexClient {
    #[new]
    #[pyo3(signature = (channel_name, *, response_size, response_metadata_size, timeout, write_timeout, mode, wait, global_, owner = None, own_channel = true))]
    #[expect(clippy::too_many_arguments, reason = "the options of a constructor")]
    fn new(
        py: Python<'_>,
        channel_name: &str,
        response_size: Option<Natural<u64>>,
        response_metadata_size: Natural<u64>,
        timeout: Option<f64>,
        write_timeout: Option<f64>,
        mode: Natural<u32>,
        wait: &str,
        global_: bool,
        owner: Option<&Bound<'_, PyAny>>,
        own_channel: bool,
    ) -> PyResult<Self> {
        let config = ClientConfig::default()
            .response_metadata_size(response_metadata_size.0)
            .mode(mode.0)
            .global(global_)
            .owner(options::owner(owner)?)
            .own_channel(own_channel)
            .wait(options::wait_strategy(wait)?);
        let write_timeout = Timeout::from_seconds(write_timeout)?;
        let config = match response_size {
            Some(size) => config.response_size(size.0),
            None => config,
        };
        let timeout = Timeout::from_seconds(timeout)?;
        let connected =
            detached(py, timeout, nothing, |patience| Client::connect_within(channel_name, config, patience));
        let client = connected?.map_err(raise)?;
        let source = Source::new(client.response_buffer(), false);
        let (channel, client) = (channel_name.to_owned(), End::new(Arc::new(client)));
        let (pending, answered) = (Mutex::new(None), AtomicU64::new(0));
        Ok(Self { channel, client, source, pending, write_timeout, answered })
    }

    /// The channel, which may be one of its own.
    #[getter]
    fn channel(&self) -> PyResult<String> {
        Ok(self.client()?.channel().to_owned())
    }

    /// Sends a request; the sequence number that its response will bear.
    fn send_request(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        with_bytes(data, |bytes| self.send(py, |client, patience| client.send_with(bytes, patience)))
    }

    /// Reserves a request of `size` bytes: its sequence number, and its place in the ring.
    fn acquire_request_buffer<'py>(
        &self,
        py: Python<'py>,
        size: FrameSize,
    ) -> PyResult<(u64, Bound<'py, PyMemoryView>)> {
        let size = size.reserved()?;
        let (sequence, place) = self.send(py, |client, patience| {
            let sequence = client.begin_with(size, patience)?;
            Ok((sequence, client.with_pending(Region::of_pending).zip(client.keep_alive())))
        })?;
        let Some((region, mapping)) = place else { return Err(general("the client was closed meanwhile")) };
        let (_, view) = Pin::export(py, region, Some(Hold::Mapping(mapping)))?;
        *self.pending.lock() = Some((view.clone_ref(py), size));
        Ok((sequence, view.into_bound(py)))
    }

    /// Sends the request of `acquire_request_buffer`, or its first `size` bytes; its memoryview is
    /// released.
    #[pyo3(signature = (*, size = None))]
    fn commit_request(&self, py: Python<'_>, size: Option<FrameSize>) -> PyResult<()> {
        let Some(reserved) = self.retire(py)? else {
            return Err(general(format!(
                "channel '{}': there is no pending request to commit",
                self.channel
            )));
        };
        let len = size.map_or(Ok(reserved), FrameSize::committed)?;
        // Another thread may hold the core's lock while it waits for space.
        let client = self.client()?;
        let sent = py.detach(|| {
            let sent = client.commit(len);
            if sent.is_err() {
                client.abort();
            }
            sent
        });
        logging::flush(py)?;
        sent.map(drop).map_err(raise_sending)
    }

    /// Gives the request of `acquire_request_buffer` up. Whether there was one.
    fn abort_request(&self, py: Python<'_>) -> PyResult<bool> {
        self.retire(py)?;
        let Some(client) = self.client.open() else { return Ok(false) };
        Ok(py.detach(|| client.abort()))
    }

    fn _receive(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<Response>>> {
        let timeout = Timeout::from_seconds(timeout)?;
        let client = self.client()?;
        self.wait(py, timeout, |patience| client.receive_with(patience))
    }

    /// Waits until more than `seen` responses have come; how many have. `timeout` is a slice, not a
    /// whole wait.
    fn _await_arrival(&self, py: Python<'_>, seen: u64, timeout: f64) -> PyResult<u64> {
        let slice = Timeout::from_seconds(Some(timeout))?.start().slice();
        let client = self.client()?;
        let arrivals = py.detach(|| client.await_arrival(seen, slice));
        logging::flush(py)?;
        let arrivals = arrivals.map_err(raise)?;
        if arrivals.is_none() {
            self.source.stalled(py)?;
        }
        Ok(arrivals.unwrap_or(seen))
    }

    /// Sends a request and waits for its own response.
    fn _call(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<f64>) -> PyResult<Py<Response>> {
        let patience = Timeout::from_seconds(timeout)?;
        let call = self.submit(py, data)?;
        let response = self.wait(py, patience, |patience| call.wait_with(patience))?;
        self.counted(response).ok_or_else(|| self.missing(call.sequence(), timeout))
    }

    /// Raises that the response to a request has not come in time.
    fn _missing(&self, request: u64, timeout: Option<f64>) -> PyResult<()> {
        Err(self.missing(request, timeout))
    }

    /// Sends a request whose response is waited for later.
    fn _submit(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<PendingCall> {
        let call = slf.get().submit(slf.py(), data)?;
        Ok(PendingCall { client: slf.clone().unbind(), call })
    }

    /// As `_submit`, but None if the request ring is full.
    fn _try_submit(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<Option<PendingCall>> {
        let py = slf.py();
        let call = with_bytes(data, |bytes| {
            slf.get().try_send(py, |client| client.submit_with(bytes, &mut at_once()))
        })?;
        Ok(call.map(|call| PendingCall { client: slf.clone().unbind(), call }))
    }

    /// As `send_request`, but None if the request ring is full.
    fn _try_send(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        with_bytes(data, |bytes| self.try_send(py, |client| client.send_with(bytes, &mut at_once())))
    }

    /// As `_try_submit`; the bell is rung for 0 when there may be room.
    fn _poll_submit(
        slf: &Bound<'_, Self>,
        data: &Bound<'_, PyAny>,
        bell: &Bell,
    ) -> PyResult<Option<PendingCall>> {
        let py = slf.py();
        let waker = bell.waker(0);
        let call = with_bytes(data, |bytes| {
            slf.get().poll_sent(py, |client| ready(client.poll_submit(&Context::from_waker(&waker), bytes)))
        })?;
        Ok(call.map(|call| PendingCall { client: slf.clone().unbind(), call }))
    }

    /// As `_try_send`; the bell is rung for 0 when there may be room.
    fn _poll_send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, bell: &Bell) -> PyResult<Option<u64>> {
        let waker = bell.waker(0);
        with_bytes(data, |bytes| {
            self.poll_sent(py, |client| ready(client.poll_send(&Context::from_waker(&waker), bytes)))
        })
    }

    /// The next response that no call waits for; the bell is rung for 2**64 - 1 when there may be
    /// one.
    fn _poll_receive(&self, py: Python<'_>, bell: &Bell) -> PyResult<Option<Py<Response>>> {
        let waker = bell.waker(u64::MAX);
        let client = self.client()?;
        self.polled(py, || ready(client.poll_receive(&mut Context::from_waker(&waker))))
    }

    /// Responses that calls have got.
    fn _answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Responses in hand, whose space is not back yet.
    fn _held(&self) -> usize {
        self.source.in_hand()
    }

    /// A wait has lasted for long: says what may be the cause.
    fn _stalled(&self, py: Python<'_>) -> PyResult<()> {
        self.source.stalled(py)
    }

    /// Writes the metadata that the server's `on_init` gets; once, before the first request.
    fn set_metadata(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let client = self.client()?;
        let written = with_bytes(data, |bytes| py.detach(|| client.set_metadata(bytes)).map_err(raise));
        logging::flush(py)?;
        written
    }

    /// Whether a server reads requests and writes responses.
    #[getter]
    fn is_server_connected(&self) -> bool {
        self.client.open().is_some_and(|client| client.is_server_connected())
    }

    /// Closes the client; blocked calls of other threads end at once. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.retire(py)?;
        let Some(client) = self.client.open() else { return Ok(()) };
        let closed = py.detach(|| {
            let closed = client.close();
            self.source.close();
            self.client.close(|_| ());
            drop(client);
            closed
        });
        logging::flush(py)?;
        closed.map_err(raise)
    }
}

/// A request under way.
#[pyclass(frozen, name = "PendingCall", module = "zerobuffer._zerobuffer")]
pub(crate) struct PendingCall {
    client: Py<DuplexClient>,
    call: Call,
}

#[pymethods]
impl PendingCall {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.client)
    }

    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<Response>>> {
        let timeout = Timeout::from_seconds(timeout)?;
        let client = self.client.get();
        let response = client.wait(py, timeout, |patience| self.call.wait_with(patience))?;
        Ok(client.counted(response))
    }

    /// The response; the bell is rung for the request when it has come.
    fn _poll(&self, py: Python<'_>, bell: &Bell) -> PyResult<Option<Py<Response>>> {
        let waker = bell.waker(self.call.sequence());
        let client = self.client.get();
        // Closed meanwhile: the same error as of any other call.
        client.client()?;
        // The future has no state of its own: it may be made anew for the next poll.
        let response = client
            .polled(py, || ready(pin!(self.call.wait_async()).poll(&mut Context::from_waker(&waker))))?;
        Ok(client.counted(response))
    }

    /// The sequence number of the request.
    #[getter]
    fn sequence(&self) -> u64 {
        self.call.sequence()
    }
}
