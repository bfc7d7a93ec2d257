//! What a duplex server and a duplex client may choose.

use super::Failure;
use crate::{
    config::{BufferConfig, Owner, WaitStrategy},
    error::Result,
};
use std::{fmt, num::NonZeroUsize, sync::Arc, thread, time::Duration};

pub(super) type OnError = Arc<dyn Fn(&Failure) + Send + Sync>;
pub(super) type OnInit = Arc<dyn Fn(Option<&[u8]>) -> Result<(), super::BoxError> + Send + Sync>;
/// What a thread's work is done within.
pub(super) type Around = Arc<dyn Fn(&mut (dyn FnMut() + Send)) + Send + Sync>;

/// Where handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProcessingMode {
    /// In one thread, one request after the other.
    #[default]
    SingleThread,
    /// In so many threads at once; responses still go out in request order.
    ThreadPool(NonZeroUsize),
}

impl ProcessingMode {
    /// A pool with one thread per processor, at least two.
    #[must_use]
    pub fn thread_pool() -> Self {
        let two = NonZeroUsize::MIN.saturating_add(1);
        Self::ThreadPool(thread::available_parallelism().unwrap_or(two).max(two))
    }
}

/// Behaviour of a [`Server`](super::Server).
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{BufferConfig, duplex::{ProcessingMode, ServerConfig}};
/// let config = ServerConfig::default()
///     .buffer(BufferConfig::ring(32 * 1024 * 1024).metadata(4096))
///     .mode(ProcessingMode::thread_pool())
///     .on_error(|failure| eprintln!("{failure}"));
/// # let _ = config;
/// ```
#[derive(Clone)]
pub struct ServerConfig {
    pub(super) buffer: BufferConfig,
    pub(super) mode: ProcessingMode,
    pub(super) owner: Owner,
    pub(super) persistent: bool,
    pub(super) clients: usize,
    pub(super) client_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) wait: WaitStrategy,
    pub(super) on_error: Vec<OnError>,
    pub(super) on_init: Option<OnInit>,
    pub(super) around: Option<Around>,
}

impl Default for ServerConfig {
    /// The default request buffer, one thread, one client after the other for ever, 5 s for a full
    /// response ring.
    fn default() -> Self {
        Self {
            buffer: BufferConfig::default(),
            mode: ProcessingMode::default(),
            owner: Owner::default(),
            persistent: true,
            clients: 0,
            client_timeout: None,
            write_timeout: Some(Duration::from_secs(5)),
            wait: WaitStrategy::default(),
            on_error: Vec::new(),
            on_init: None,
            around: None,
        }
    }
}

impl ServerConfig {
    /// How many clients [`Self::several_clients`] serves at the same time.
    pub const CLIENTS: usize = 64;

    /// Serves up to `most` clients at the same time, each on a channel of its own. 0, the default,
    /// serves one after the other, as all handlers can that keep what they know of *the* client.
    ///
    /// A [`Client`](super::Client) of such a server asks for a channel and gets one by itself. That
    /// is called `NAME+` and 16 digits, and is removed with its client. The channel `NAME`
    /// is what it always is: for one client that does not ask, such as one of another
    /// implementation.
    ///
    /// - The threads of [`Self::mode`] call the handlers of all clients; requests of one client are
    ///   answered in their order. [`Responder::channel`](super::Responder::channel) tells clients
    ///   apart.
    /// - A client that does not read its responses holds up nobody else. What its ring has no room
    ///   for is kept in memory, at most as much as the ring holds besides what is being handled.
    ///   It waits there for the [write timeout](Self::write_timeout); then it is dropped and
    ///   reported.
    /// - Such a server is [persistent](Self::persistent).
    #[must_use]
    pub fn clients(mut self, most: usize) -> Self {
        self.clients = most;
        self
    }

    /// [Serves](Self::clients) up to [`Self::CLIENTS`] clients at the same time.
    #[must_use]
    pub fn several_clients(self) -> Self {
        self.clients(Self::CLIENTS)
    }

    /// The request buffer, which the server creates. Its [`BufferConfig::global`] and
    /// [`ClientConfig::global`] are chosen apart: a channel between two sessions needs both.
    #[must_use]
    pub fn buffer(mut self, buffer: BufferConfig) -> Self {
        self.buffer = buffer;
        self
    }

    /// Where handlers run.
    #[must_use]
    pub fn mode(mut self, mode: ProcessingMode) -> Self {
        self.mode = mode;
        self
    }

    /// Whose clients are answered; [`Owner::Trusted`] by default. The [mode](BufferConfig::mode) of
    /// the request buffer chooses which users may send requests.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// Whether the server goes on when its client has gone (the default), or reports that and
    /// stops.
    #[must_use]
    pub fn persistent(mut self, on: bool) -> Self {
        self.persistent = on;
        self
    }

    /// After how long without a client [`Failure::NoClient`] is reported, once; a server that is
    /// not persistent then stops. `None`, the default, waits for ever.
    #[must_use]
    pub fn client_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.client_timeout = timeout;
        self
    }

    /// How long a response waits for space in the response ring; `None` waits for ever.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How the server waits for space in the response ring; for requests, see
    /// [`BufferConfig::wait`].
    #[must_use]
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }

    /// Adds a function that is called for every failure, on the thread where it happens. A panic in
    /// it is caught.
    #[must_use]
    pub fn on_error(mut self, handler: impl Fn(&Failure) + Send + Sync + 'static) -> Self {
        self.on_error.push(Arc::new(handler));
        self
    }

    /// A function that gets the client's metadata, `None` if it has written none: once per client,
    /// before the handler gets its first request. An error is reported, and the request is handled
    /// all the same.
    #[must_use]
    pub fn on_init(
        mut self,
        handler: impl Fn(Option<&[u8]>) -> Result<(), super::BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.on_init = Some(Arc::new(handler));
        self
    }

    /// For bindings to languages that keep a state for each thread. Every thread that calls
    /// handlers does all its work within `around`, which is to call what it is given.
    #[doc(hidden)]
    #[must_use]
    pub fn around_threads(
        mut self,
        around: impl Fn(&mut (dyn FnMut() + Send)) + Send + Sync + 'static,
    ) -> Self {
        self.around = Some(Arc::new(around));
        self
    }
}

/// Does a thread's work within what [`ServerConfig::around_threads`] says; once, whatever that
/// does.
pub(super) fn within(around: Option<&Around>, work: impl FnOnce() + Send) {
    let mut work = Some(work);
    let mut once = || {
        if let Some(work) = work.take() {
            work();
        }
    };
    if let Some(around) = around {
        around(&mut once);
    }
    once();
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("buffer", &self.buffer)
            .field("mode", &self.mode)
            .field("owner", &self.owner)
            .field("persistent", &self.persistent)
            .field("clients", &self.clients)
            .field("client_timeout", &self.client_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("wait", &self.wait)
            .field("error_handlers", &self.on_error.len())
            .field("on_init", &self.on_init.is_some())
            .finish_non_exhaustive()
    }
}

/// Behaviour of a [`Client`](super::Client).
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::duplex::ClientConfig;
/// let config = ClientConfig::default()
///     .response_size(8 * 1024 * 1024)
///     .connect_timeout(Duration::from_secs(10));
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(super) response_metadata_size: u64,
    pub(super) response_size: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) owner: Owner,
    pub(super) global: bool,
    pub(super) own_channel: bool,
    pub(super) connect_timeout: Duration,
    pub(super) succession: Duration,
    pub(super) write_timeout: Option<Duration>,
    pub(super) wait: WaitStrategy,
}

impl Default for ClientConfig {
    /// A response ring as large as the request ring, at most 256 MiB, with 4096 bytes of metadata,
    /// for the own user alone. The client does not wait for a server, and 5 s for a full request
    /// ring.
    fn default() -> Self {
        Self {
            response_metadata_size: 4096,
            response_size: None,
            mode: None,
            owner: Owner::default(),
            global: false,
            own_channel: true,
            connect_timeout: Duration::ZERO,
            succession: Duration::from_millis(500),
            write_timeout: Some(Duration::from_secs(5)),
            wait: WaitStrategy::default(),
        }
    }
}

/// The largest response ring that the default makes.
const MOST_RESPONSES: u64 = 256 * 1024 * 1024;

impl ClientConfig {
    /// Bytes of the response ring, beside a request ring of so many.
    pub(super) fn responses_for(&self, requests: u64) -> u64 {
        self.response_size.unwrap_or(requests.min(MOST_RESPONSES))
    }

    /// Bytes of the response ring, which the client creates and reserves at once; the largest
    /// response is 16 bytes less. Without this call it is as large as the server's request ring, at
    /// most 256 MiB.
    #[must_use]
    pub fn response_size(mut self, bytes: u64) -> Self {
        self.response_size = Some(bytes);
        self
    }

    /// Bytes of the response buffer's metadata block.
    #[must_use]
    pub fn response_metadata_size(mut self, bytes: u64) -> Self {
        self.response_metadata_size = bytes;
        self
    }

    /// Permission bits of the response buffer: see [`BufferConfig::mode`].
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Whose servers the client sends requests to; [`Owner::Trusted`] by default.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// Whether a server of another session can find the response buffer: see
    /// [`BufferConfig::global`].
    #[must_use]
    pub fn global(mut self, on: bool) -> Self {
        self.global = on;
        self
    }

    /// Whether the client asks a server of [several clients](ServerConfig::clients) for a channel
    /// of its own (the default). Without it the client takes the plain channel, which has room for
    /// one; so it does at any other server.
    #[must_use]
    pub fn own_channel(mut self, on: bool) -> Self {
        self.own_channel = on;
        self
    }

    /// How long to wait for the server to appear, and for a place among its
    /// [clients](ServerConfig::clients).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long another client is given to leave the channel, if that is longer than the connect
    /// timeout; 500 ms by default. For callers that connect in several short attempts.
    #[must_use]
    pub fn succession(mut self, patience: Duration) -> Self {
        self.succession = patience;
        self
    }

    /// How long a request waits for space in the request ring; `None` waits for ever.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How the client waits, for space and for responses.
    #[must_use]
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }
}
