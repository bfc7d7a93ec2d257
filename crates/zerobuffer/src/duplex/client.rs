//! The asking end of a channel.

use super::{ClientConfig, RequestMut, inbox::Inbox, request_name, response_name};
use crate::{
    config::{BufferConfig, HotWrap, WriterConfig},
    error::{Error, Result},
    frame::{Frame, Keepalive},
    layout::name as names,
    observe,
    reader::{Reader, ReaderHandle},
    sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, lock},
    waiter::WAIT_SLICE,
    writer::{Writer, WriterHandle},
};
use std::{
    sync::{Condvar, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a server is given to finish the buffer that it is creating.
const HALF_MADE: Duration = Duration::from_millis(500);
/// Pause between two looks for a server.
const PAUSE: Duration = Duration::from_millis(2);

/// Sends requests to a server and receives its responses. All methods may be used from several threads at a time.
///
/// A request is either [sent](Self::send), and its response [received](Self::receive) with any other, or it is a
/// [call](Self::call), which gets the response that belongs to it.
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
    shared: Arc<Shared>,
}

/// The request writer. A loan takes it along, so that whoever sends meanwhile is refused rather than kept waiting, be it
/// on the loan's own thread.
#[derive(Debug)]
struct Sender {
    /// `None` while it is lent, and once the client is closed.
    writer: Option<Writer>,
    lent: bool,
}

#[derive(Debug)]
struct Shared {
    channel: String,
    /// Closed before the request writer: the next client then finds both places free.
    reader: Mutex<Option<Reader>>,
    sender: Mutex<Sender>,
    inbox: Mutex<Inbox>,
    /// A response has come, or nobody reads any more.
    arrived: Condvar,
    responses: ReaderHandle,
    requests: WriterHandle,
    /// Sequence number of this client's first request.
    first: u64,
    /// The newest request; stored before it is published.
    last: AtomicU64,
    /// The server gives responses the sequence of their request.
    stamped: bool,
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

    /// Looks for the server, then creates the response buffer, then connects. A failed attempt leaves no trace.
    ///
    /// # Errors
    ///
    /// As [`Reader::create`] and [`Writer::connect_with`]; [`Error::NotFound`] if there is no server in time,
    /// [`Error::WriterAlreadyConnected`] if it has a client, [`Error::NoResponseSpace`] if shared memory has no room for
    /// [`ClientConfig::response_size`], [`Error::NoPrivilege`] for [`ClientConfig::global`].
    #[allow(clippy::needless_pass_by_value, reason = "a configuration is built for one call")]
    pub fn connect_with(channel: &str, config: ClientConfig) -> Result<Self> {
        let started = Instant::now();
        let left = || config.connect_timeout.saturating_sub(started.elapsed());
        names::check(&response_name(channel))?;
        look_for_server(channel, started, config.connect_timeout)?;
        let reader = create_response_buffer(channel, &config)?;
        let wait = WriterConfig::default()
            .connect_timeout(left())
            .write_timeout(config.write_timeout)
            .wait(config.wait)
            .hot_wrap(HotWrap::Eager);
        let writer = Writer::connect_with(&request_name(channel), wait)?;
        let first = writer.next_sequence();
        Ok(Self {
            shared: Arc::new(Shared {
                channel: channel.to_owned(),
                responses: reader.handle(),
                requests: writer.handle(),
                first,
                last: AtomicU64::new(first.wrapping_sub(1)),
                stamped: writer.has_free_sequences(),
                reader: Mutex::new(Some(reader)),
                sender: Mutex::new(Sender { writer: Some(writer), lent: false }),
                inbox: Mutex::new(Inbox::default()),
                arrived: Condvar::new(),
            }),
        })
    }

    /// Writes the client's metadata, once, which the server's `on_init` gets before the first request.
    ///
    /// # Errors
    ///
    /// As [`Writer::set_metadata`]. With a server of another implementation, a client before this one may have written
    /// metadata, which stay.
    pub fn set_metadata(&self, data: &[u8]) -> Result<()> {
        self.writer(&mut *self.sender()?)?.set_metadata(data)
    }

    /// Sends a request and returns its sequence number. The response, which carries the same number, comes by
    /// [`Self::receive`].
    ///
    /// # Errors
    ///
    /// As [`Writer::write`]; [`Error::RequestPending`] after [`Self::begin`]; [`Error::ReaderGone`] if the server has
    /// gone: connect anew.
    pub fn send(&self, request: &[u8]) -> Result<u64> {
        let mut sender = self.sender()?;
        let writer = self.begin_in(&mut sender, request.len())?;
        self.fill_and_commit(writer, request)
    }

    /// Sends a request whose response the returned [`Call`] waits for.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn submit(&self, request: &[u8]) -> Result<Call> {
        let mut sender = self.sender()?;
        let writer = self.begin_in(&mut sender, request.len())?;
        let call = self.expect(writer.next_sequence());
        call.sent(self.fill_and_commit(writer, request))
    }

    /// Sends a request and waits for its response; `None` if that has not come within `timeout`, be it late or never
    /// written. A late response is dropped.
    ///
    /// With a server of another implementation responses are matched by counting: there, one that is missing or doubled
    /// shifts all later ones.
    ///
    /// # Errors
    ///
    /// As [`Self::send`] and [`Self::receive`].
    pub fn call(&self, request: &[u8], timeout: Duration) -> Result<Option<Response>> {
        self.submit(request)?.wait(timeout)
    }

    /// Lends ring memory for a request of `size` bytes, to be filled in place. Until it is sent or dropped nothing else
    /// can be sent: other calls, of whatever thread, get [`Error::RequestPending`].
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn loan(&self, size: usize) -> Result<RequestMut<'_>> {
        let mut sender = self.sender()?;
        self.begin_in(&mut sender, size)?;
        let writer = sender.writer.take().ok_or_else(|| self.shared.closed())?;
        sender.lent = true;
        Ok(RequestMut::new(self, writer))
    }

    /// [`Self::loan`] without a borrow, for bindings: the request stays pending until [`Self::commit`] or
    /// [`Self::abort`]; meanwhile nothing else can be sent. Returns the sequence number that it gets.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn begin(&self, size: usize) -> Result<u64> {
        let mut sender = self.sender()?;
        Ok(self.begin_in(&mut sender, size)?.next_sequence())
    }

    /// The bytes of the pending request, which keep their address until commit or abort.
    pub fn with_pending<T>(&self, look: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
        lock(&self.shared.sender).writer.as_mut()?.pending().map(look)
    }

    /// Sends the first `len` bytes of the pending request and returns its sequence number.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`].
    pub fn commit(&self, len: usize) -> Result<u64> {
        self.commit_in(self.writer(&mut *self.sender()?)?, len)
    }

    /// Gives up the pending request; nothing is sent. `false`: there was none.
    #[allow(clippy::must_use_candidate, reason = "mostly, it does not matter whether there was one")]
    pub fn abort(&self) -> bool {
        self.sender().ok().is_some_and(|mut sender| sender.writer.as_mut().is_some_and(Writer::abort))
    }

    /// Keeps the memory of [`Self::with_pending`] mapped, for bindings that hand out views of it.
    #[must_use]
    pub fn keep_alive(&self) -> Option<Keepalive> {
        lock(&self.shared.sender).writer.as_ref().map(Writer::keep_alive)
    }

    /// The next response that no call waits for; `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_timeout`]; [`Error::WriterGone`] or [`Error::ReaderGone`] if the server has gone, once all its
    /// responses are read.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Response>> {
        self.shared.wait(timeout, Inbox::fetch_other)
    }

    /// Waits until more than `seen` responses have come, whoever they are for, and returns how many have; for bindings
    /// where one thread waits on behalf of many calls. `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Self::receive`].
    pub fn await_arrival(&self, seen: u64, timeout: Duration) -> Result<Option<u64>> {
        self.shared.wait(timeout, |inbox| (inbox.arrivals > seen).then_some(inbox.arrivals))
    }

    /// Whether the server reads requests and writes responses. It connects to a new client within a wait slice.
    #[must_use]
    pub fn is_server_connected(&self) -> bool {
        self.shared.requests.is_reader_connected() && self.shared.responses.is_writer_connected()
    }

    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.shared.channel
    }

    /// The response buffer: counters, use.
    #[must_use]
    pub fn response_buffer(&self) -> ReaderHandle {
        self.shared.responses.clone()
    }

    /// The request buffer: counters, use.
    #[must_use]
    pub fn request_buffer(&self) -> WriterHandle {
        self.shared.requests.clone()
    }

    /// Ends blocked calls and all later ones with [`Error::Closed`], and leaves the channel. Responses that were handed
    /// out stay readable. A [loan](Self::loan) that is not over keeps the place in the request buffer until it is; it
    /// cannot be sent any more. Dropping the client does the same.
    ///
    /// # Errors
    ///
    /// As [`Reader::close`].
    pub fn close(&self) -> Result<()> {
        let shared = &self.shared;
        if shared.responses.is_forked() {
            return Ok(());
        }
        shared.responses.interrupt();
        shared.requests.interrupt();
        let reader = lock(&shared.reader).take();
        let closed = reader.map_or(Ok(()), Reader::close);
        let writer = {
            let mut sender = lock(&shared.sender);
            sender.lent = false;
            sender.writer.take()
        };
        drop(writer);
        shared.arrived.notify_all();
        closed
    }

    /// The place of the request writer, if it may be touched.
    fn sender(&self) -> Result<MutexGuard<'_, Sender>> {
        if self.shared.requests.is_forked() {
            // A thread of the parent may have held the lock.
            return Err(Error::Forked { name: self.shared.requests.name().to_owned() });
        }
        Ok(lock(&self.shared.sender))
    }

    /// The request writer, if it is there.
    fn writer<'s>(&self, sender: &'s mut Sender) -> Result<&'s mut Writer> {
        match &mut sender.writer {
            Some(writer) => Ok(writer),
            None if sender.lent => Err(self.pending()),
            None => Err(self.shared.closed()),
        }
    }

    fn pending(&self) -> Error {
        Error::RequestPending { name: self.shared.channel.clone() }
    }

    fn begin_in<'s>(&self, sender: &'s mut Sender, size: usize) -> Result<&'s mut Writer> {
        let writer = self.writer(sender)?;
        if writer.pending().is_some() {
            return Err(self.pending());
        }
        writer.begin(size)?;
        Ok(writer)
    }

    fn fill_and_commit(&self, writer: &mut Writer, request: &[u8]) -> Result<u64> {
        if let Some(room) = writer.pending() {
            room.copy_from_slice(request);
        }
        self.commit_in(writer, request.len())
    }

    fn commit_in(&self, writer: &mut Writer, len: usize) -> Result<u64> {
        // First: the response may be there before the commit returns.
        self.shared.last.store(writer.next_sequence(), Ordering::Release);
        writer.commit(len)
    }

    /// Sends what a loan has filled, unless the client was closed meanwhile.
    pub(super) fn commit_lent(&self, writer: &mut Writer, len: usize) -> Result<u64> {
        if !self.sender()?.lent {
            return Err(self.shared.closed());
        }
        self.commit_in(writer, len)
    }

    /// A loan is over.
    pub(super) fn take_back(&self, mut writer: Writer) {
        writer.abort();
        // In a forked child, and once the client is closed, the writer is dropped.
        if let Ok(mut sender) = self.sender()
            && sender.lent
        {
            sender.lent = false;
            sender.writer = Some(writer);
        }
    }

    pub(super) fn expect(&self, sequence: u64) -> Call {
        lock(&self.shared.inbox).expect(sequence);
        Call { shared: Arc::clone(&self.shared), sequence }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Whoever wants to know closes by `close`.
        let _ = self.close();
    }
}

/// Waits until a server reads the channel's requests. Nothing is touched.
fn look_for_server(channel: &str, started: Instant, patience: Duration) -> Result<()> {
    let name = request_name(channel);
    loop {
        let missing = match observe::inspect(&name) {
            Ok(info) if info.reader.is_some_and(|reader| reader.alive) => return Ok(()),
            Ok(info) if info.reader.is_some() => {
                Error::NotReady { name: name.clone(), reason: "its server is dead; start a new one" }
            }
            Ok(_) => Error::NotReady { name: name.clone(), reason: "its server has closed it" },
            Err(Error::NotFound { name, .. }) => Error::NotFound { name, waited: started.elapsed() },
            Err(error) if started.elapsed() >= HALF_MADE => return Err(error),
            // It may be half made.
            Err(_) => {
                thread::sleep(PAUSE);
                continue;
            }
        };
        let waited = started.elapsed();
        if waited >= patience {
            return Err(missing);
        }
        thread::sleep(PAUSE.min(patience.saturating_sub(waited)));
    }
}

fn create_response_buffer(channel: &str, config: &ClientConfig) -> Result<Reader> {
    let name = response_name(channel);
    let started = Instant::now();
    loop {
        let buffer = BufferConfig::new(config.response_metadata_size, config.response_size)
            .mode(config.mode)
            .global(config.global)
            .wait(config.wait)
            // Reserved, but not mapped: a hot wrap keeps the server in the first few frames.
            .prefault(false)
            .free_sequences(true);
        match Reader::create(&name, buffer) {
            Err(Error::NoSpace { name, needed, available }) => {
                return Err(Error::NoResponseSpace { name, needed, available });
            }
            // A client that closes leaves its two buffers one after the other.
            Err(Error::ReaderAlreadyConnected { .. })
                if started.elapsed() < config.succession.max(config.connect_timeout) =>
            {
                thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

impl Shared {
    fn closed(&self) -> Error {
        Error::Closed { name: self.requests.name().to_owned() }
    }

    /// Waits until `fetch` finds something. One of the waiting threads reads for all.
    fn wait<T>(
        &self,
        timeout: Duration,
        mut fetch: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<Option<T>> {
        if self.responses.is_forked() {
            return Err(Error::Forked { name: self.responses.name().to_owned() });
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
        let mut frame = reader.read_timeout(slice)?;
        // A server that has stopped reading may still answer what it has read.
        if frame.is_none()
            && !self.responses.is_writer_connected()
            && let Some(loss) = self.requests.reader_loss(slice >= WAIT_SLICE / 2)
        {
            // What it has written before is still to be read.
            frame = reader.try_read()?;
            if frame.is_none() {
                return Err(loss);
            }
        }
        Ok(frame.map(|frame| self.response(frame)))
    }

    fn response(&self, frame: Frame) -> Response {
        let sequence = frame.sequence();
        // A server of another implementation counts its responses.
        let sequence =
            if self.stamped { sequence } else { self.first.wrapping_add(sequence).wrapping_sub(1) };
        Response { frame, sequence }
    }
}

/// A request under way. Dropping it gives up the response, which is dropped when it comes.
#[derive(Debug)]
pub struct Call {
    shared: Arc<Shared>,
    sequence: u64,
}

impl Call {
    /// The sequence number of the request.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Waits for the response; `None` after `timeout`, and then it may be waited for again. There is one response.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`].
    pub fn wait(&self, timeout: Duration) -> Result<Option<Response>> {
        self.shared.wait(timeout, |inbox| inbox.fetch(self.sequence))
    }

    pub(super) fn sent(self, outcome: Result<u64>) -> Result<Self> {
        if let Err(error) = outcome {
            lock(&self.shared.inbox).forget(self.sequence);
            return Err(error);
        }
        Ok(self)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.shared.responses.is_forked() {
            lock(&self.shared.inbox).abandon(self.sequence);
        }
    }
}

/// The response to a request: a view of shared memory; dropping it returns its space.
#[derive(Debug)]
pub struct Response {
    frame: Frame,
    sequence: u64,
}

impl Response {
    /// The sequence number of the request that this answers.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The payload, in shared memory.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.frame.data()
    }

    /// The frame itself, whose own sequence number is the server's count if the server is of another implementation.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.frame
    }
}

impl AsRef<[u8]> for Response {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}
