//! The asking end of a channel.

mod asking;
mod call;
mod connecting;
#[cfg(feature = "async")]
mod future;
mod inbox;
mod outbox;
mod request;
mod response;
mod responses;

pub use call::Call;
pub use request::RequestMut;
pub use response::Response;

use super::{ClientConfig, request_name, response_name};
use crate::{
    config::WriterConfig,
    error::{Error, Result},
    layout::name as names,
    link::{Keepalive, Patience},
    reader::ReaderHandle,
    sync::Arc,
    writer::{Writer, WriterHandle},
};
use connecting::{create_response_buffer, find_server, of_channel};
use inbox::Inbox;
use outbox::Outbox;
use responses::Responses;
use std::time::Duration;

/// Sends requests to a server and receives its responses. All methods may be used from several
/// threads at a time.
///
/// A request is either [sent](Self::send), and its response [received](Self::receive) with any
/// other, or it is a [call](Self::call), which gets the response that belongs to it.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::duplex::{Client, ClientConfig};
/// # use zerobuffer::duplex::{Server, ServerConfig};
/// # let channel = format!("doc-client-{}", std::process::id());
/// # let server = Server::new(&channel, ServerConfig::default());
/// # server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?))?;
/// let config = ClientConfig::default().response_size(1024 * 1024);
/// let client = Client::connect_with(&channel, config)?;
/// // Many requests in flight:
/// let calls = [b"one", b"two"].map(|request| client.submit(request));
/// for (call, expected) in calls.into_iter().zip([b"one", b"two"]) {
///     let response = call?.wait(Duration::from_secs(5))?.expect("the server answers");
///     assert_eq!(response.data(), expected);
/// }
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    /// Closed before the request writer: the next client then finds both places free.
    responses: Arc<Responses>,
    outbox: Outbox,
}

impl Client {
    /// Connects to the server of `channel` with the default configuration: the server must run.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`].
    pub fn connect(channel: &str) -> Result<Self> {
        Self::connect_with(channel, ClientConfig::default())
    }

    /// Looks for the server, then creates the response buffer, then connects. A failed attempt
    /// leaves no trace.
    ///
    /// A server of [several clients](super::ServerConfig::clients) makes a channel for this client
    /// first, unless [`ClientConfig::own_channel`] is off. The client then connects to that one.
    ///
    /// # Errors
    ///
    /// As [`Reader::create`](crate::Reader::create) and [`Writer::connect_with`].
    /// [`Error::NoServer`], [`Error::ServerNotReady`]: there is no server in time.
    /// [`Error::ClientAlreadyConnected`]: it has a client. [`Error::TooManyClients`]: it has as many
    /// as it takes. [`Error::WriterAlreadyConnected`]: something else writes its requests.
    /// [`Error::NoResponseSpace`]: shared memory has no room for [`ClientConfig::response_size`].
    /// [`Error::NoPrivilege`]: see [`ClientConfig::global`].
    pub fn connect_with(channel: &str, config: ClientConfig) -> Result<Self> {
        let mut patience = Patience::at_most(config.connect_timeout);
        Self::connect_within(channel, config, &mut patience)
    }

    /// As [`Self::connect_with`], but waits as the patience says instead of the connect timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`].
    #[allow(clippy::needless_pass_by_value, reason = "a configuration is built for one call")]
    pub fn connect_within(channel: &str, config: ClientConfig, patience: &mut Patience<'_>) -> Result<Self> {
        names::check(&response_name(channel))?;
        if config.own_channel
            && let Some(client) = Self::connect_to_own(channel, &config, patience)?
        {
            return Ok(client);
        }
        Self::connect_to(channel, &config, patience)
    }

    /// Connects to that channel and no other.
    fn connect_to(channel: &str, config: &ClientConfig, patience: &mut Patience<'_>) -> Result<Self> {
        let requests = find_server(channel, patience)?;
        let reader = create_response_buffer(channel, config, requests, patience)?;
        let wait =
            WriterConfig::default().write_timeout(config.write_timeout).wait(config.wait).owner(config.owner);
        let writer = Writer::connect_within(&request_name(channel), wait, patience);
        let writer = writer.map_err(|error| of_channel(channel, error, patience))?;
        let responses = Arc::new(Responses::new(channel, reader, &writer));
        Ok(Self { outbox: Outbox::new(Arc::clone(&responses), writer), responses })
    }

    /// Writes the client's metadata, once, which the server's `on_init` gets before the first
    /// request.
    ///
    /// # Errors
    ///
    /// As [`Writer::set_metadata`]. With a server of another implementation, a client before this
    /// one may have written metadata, which stay.
    pub fn set_metadata(&self, data: &[u8]) -> Result<()> {
        self.outbox.set_metadata(data)
    }

    /// Sends a request and returns its sequence number. The response, which carries the same
    /// number, comes by [`Self::receive`].
    ///
    /// # Errors
    ///
    /// As [`Writer::write`]; [`Error::RequestPending`] after [`Self::begin`]; [`Error::ServerGone`]
    /// if the server has gone: connect anew; [`Error::ResponsesUnread`] if responses that nobody
    /// receives keep the server from taking requests.
    pub fn send(&self, request: &[u8]) -> Result<u64> {
        self.outbox.send(request, None)
    }

    /// As [`Self::send`], but waits for room as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn send_with(&self, request: &[u8], patience: &mut Patience<'_>) -> Result<u64> {
        self.outbox.send(request, Some(patience))
    }

    /// Sends a request whose response the returned [`Call`] waits for.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn submit(&self, request: &[u8]) -> Result<Call> {
        self.outbox.submit(request, None)
    }

    /// As [`Self::submit`], but waits for room as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn submit_with(&self, request: &[u8], patience: &mut Patience<'_>) -> Result<Call> {
        self.outbox.submit(request, Some(patience))
    }

    /// As [`Self::submit`], for bindings whose thread must not wait: `None` if it would have to,
    /// for room or for another thread that sends.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    #[doc(hidden)]
    pub fn try_submit(&self, request: &[u8]) -> Result<Option<Call>> {
        self.outbox.try_submit(request)
    }

    /// Sends a request and waits for its response. A response that comes later than `timeout` is
    /// dropped.
    ///
    /// With a server of another implementation responses are matched by counting: there, one that
    /// is missing or doubled shifts all later ones.
    ///
    /// # Errors
    ///
    /// As [`Self::send`] and [`Self::receive`]; [`Error::NoResponse`] if the response has not come
    /// within `timeout`, be it late or never written.
    pub fn call(&self, request: &[u8], timeout: Duration) -> Result<Response> {
        let call = self.submit(request)?;
        call.wait(timeout)?.ok_or_else(|| Error::NoResponse {
            name: self.channel().to_owned(),
            request: call.sequence(),
            waited: timeout,
        })
    }

    /// Lends ring memory for a request of `size` bytes, to be filled in place. Until it is sent or
    /// dropped nothing else can be sent: other calls, of whatever thread, get
    /// [`Error::RequestPending`].
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn loan(&self, size: usize) -> Result<RequestMut<'_>> {
        self.outbox.lend(size).map(|writer| RequestMut::new(&self.outbox, writer))
    }

    /// [`Self::loan`] without a borrow, for bindings: the request stays pending until
    /// [`Self::commit`] or [`Self::abort`]; meanwhile nothing else can be sent. Returns the
    /// sequence number that it gets.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    #[doc(hidden)]
    pub fn begin(&self, size: usize) -> Result<u64> {
        self.outbox.begin(size, None)
    }

    /// As [`Self::begin`], but waits for room as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    #[doc(hidden)]
    pub fn begin_with(&self, size: usize, patience: &mut Patience<'_>) -> Result<u64> {
        self.outbox.begin(size, Some(patience))
    }

    /// The bytes of the pending request, which keep their address until commit or abort.
    #[doc(hidden)]
    pub fn with_pending<T>(&self, look: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
        self.outbox.with_pending(look)
    }

    /// Sends the first `len` bytes of the pending request and returns its sequence number.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`].
    #[doc(hidden)]
    pub fn commit(&self, len: usize) -> Result<u64> {
        self.outbox.commit(len)
    }

    /// Gives up the pending request; nothing is sent. `false`: there was none.
    #[doc(hidden)]
    #[allow(clippy::must_use_candidate, reason = "mostly, it does not matter whether there was one")]
    pub fn abort(&self) -> bool {
        self.outbox.abort()
    }

    /// Keeps the memory of [`Self::with_pending`] mapped, for bindings that hand out views of it.
    #[doc(hidden)]
    #[must_use]
    pub fn keep_alive(&self) -> Option<Keepalive> {
        self.outbox.keep_alive()
    }

    /// The next response that no call waits for; `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_timeout`](crate::Reader::read_timeout). [`Error::ServerGone`] comes if the
    /// server has gone, once all its responses are read. [`Error::Remote`] and
    /// [`Error::ResponseTooLarge`] come in the place of a response whose handler failed.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Response>> {
        self.receive_with(&mut Patience::at_most(timeout))
    }

    /// As [`Self::receive`], but waits as the patience says.
    ///
    /// # Errors
    ///
    /// As [`Self::receive`].
    pub fn receive_with(&self, patience: &mut Patience<'_>) -> Result<Option<Response>> {
        self.responses.receive(patience, Inbox::fetch_other)
    }

    /// Waits until more than `seen` responses have come, for any request, and returns how many
    /// have. For bindings where one thread waits on behalf of many calls. `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Self::receive`].
    #[doc(hidden)]
    pub fn await_arrival(&self, seen: u64, timeout: Duration) -> Result<Option<u64>> {
        let mut patience = Patience::at_most(timeout);
        self.responses.wait(&mut patience, |inbox| (inbox.arrivals > seen).then_some(inbox.arrivals))
    }

    /// Whether the server reads requests and writes responses. It connects to a new client within a
    /// wait slice.
    #[must_use]
    pub fn is_server_connected(&self) -> bool {
        self.responses.is_server_connected()
    }

    /// The channel's name: that of the server, or, at a server of [several
    /// clients](super::ServerConfig::clients), `NAME+ID`.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.outbox.channel()
    }

    /// The response buffer: counters, use.
    #[must_use]
    pub fn response_buffer(&self) -> ReaderHandle {
        self.responses.handle.clone()
    }

    /// The request buffer: counters, use.
    #[must_use]
    pub fn request_buffer(&self) -> WriterHandle {
        self.responses.requests.clone()
    }

    /// Ends blocked calls and all later ones with [`Error::Closed`], and leaves the channel.
    /// Responses that were handed out stay readable. A [loan](Self::loan) that is not over keeps
    /// the place in the request buffer until it is; it cannot be sent any more. Dropping the client
    /// does the same.
    ///
    /// # Errors
    ///
    /// As [`Reader::close`](crate::Reader::close).
    pub fn close(&self) -> Result<()> {
        if self.responses.handle.is_forked() {
            return Ok(());
        }
        let closed = self.responses.close();
        self.outbox.close();
        closed
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // `close` returns the error.
        let _ = self.close();
    }
}
