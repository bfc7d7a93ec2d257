//! One run of a server, from start to stop: what its owner and the serving thread share.

use super::{
    super::{Failure, ServerConfig, config::OnError, request_name},
    handler::{Handler, text_of},
    pool::Share,
    stop::{Stop, StopFlag},
};
use crate::{
    error::Result,
    link::Patience,
    reader::{Reader, ReaderHandle},
    sync::{Mutex, lock},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, OnceLock, PoisonError},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

/// How long a wait sleeps that has no end and no hook.
const LONG: Duration = Duration::from_secs(3600);

/// Clients that are served besides, each on a channel of its own.
pub(super) trait Guests: Send + Sync {
    /// Lets clients in, whose handlers `pool` calls.
    fn open(&self, pool: Share) -> Result<()>;

    /// Nobody is let in any more, and those that are in are served to the end, or not.
    fn ask_to_stop(&self, how: Stop);

    /// Waits until no client is left, once nobody is let in.
    fn wait(&self);

    /// Removes all request buffers, whose frames stay readable.
    fn close_readers(&self);

    /// Whether a client has, or gets, a channel of its own.
    fn is_in_use(&self) -> bool;

    /// Whether this thread serves one of them.
    fn is_own_thread(&self) -> bool;

    /// The request buffers of the clients that are there.
    fn request_buffers(&self) -> Vec<ReaderHandle>;

    /// Frames and bytes of the requests of clients that have gone.
    fn past(&self) -> (u64, u64);
}

/// What the server's owner and the serving thread share.
pub(super) struct Run {
    pub(super) channel: String,
    pub(super) config: ServerConfig,
    pub(super) handler: Arc<Handler>,
    /// Those that have channels of their own.
    pub(super) guests: Option<Box<dyn Guests>>,
    /// When its request buffer was made first.
    pub(super) made: Instant,
    /// The part of another run's pool that this one uses.
    lent: OnceLock<Share>,
    pub(super) stop: Arc<StopFlag>,
    pub(super) reader: Mutex<Option<Reader>>,
    pub(super) handle: Mutex<ReaderHandle>,
    progress: Mutex<Progress>,
    ended: Condvar,
    /// Futures of handlers that have not ended.
    #[cfg(feature = "async")]
    pub(super) tasks: Arc<super::tasks::Tasks>,
}

#[derive(Default)]
struct Progress {
    ended: bool,
    /// The threads that call handlers: they must not wait for themselves.
    threads: Vec<ThreadId>,
}

impl Run {
    /// With its request buffer, before anything serves.
    pub(super) fn create(
        channel: &str,
        config: ServerConfig,
        handler: Arc<Handler>,
        guests: Option<Box<dyn Guests>>,
    ) -> Result<Arc<Self>> {
        let reader = create_buffer(channel, &config)?;
        Ok(Arc::new(Self {
            channel: channel.to_owned(),
            config,
            handler,
            guests,
            made: Instant::now(),
            lent: OnceLock::new(),
            stop: Arc::default(),
            handle: Mutex::new(reader.handle()),
            reader: Mutex::new(Some(reader)),
            progress: Mutex::new(Progress::default()),
            ended: Condvar::new(),
            #[cfg(feature = "async")]
            tasks: Arc::default(),
        }))
    }

    /// Has handlers called by a pool that is another run's.
    pub(super) fn lend(&self, share: Share) {
        let _ = self.lent.set(share);
    }

    pub(super) fn lent(&self) -> Option<&Share> {
        self.lent.get()
    }

    /// Whether its handlers' threads are there for other clients too.
    pub(super) fn shares_threads(&self) -> bool {
        self.guests.is_some() || self.lent.get().is_some()
    }

    pub(super) fn ask_to_stop(&self, how: Stop) {
        self.stop.ask(how);
        if let Some(guests) = &self.guests {
            guests.ask_to_stop(how);
        }
        if how == Stop::Now {
            // Wakes the serving thread; frames that were read stay readable.
            lock(&self.handle).interrupt();
        }
    }

    pub(super) fn is_asked(&self, how: Stop) -> bool {
        self.stop.is_asked(how)
    }

    /// Whether requests are, or may still be, handled.
    pub(super) fn is_serving(&self) -> bool {
        !self.is_asked(Stop::Drain) && !lock(&self.progress).ended
    }

    pub(super) fn has_ended(&self) -> bool {
        lock(&self.progress).ended
    }

    /// Waits for the end; `false`: it has not come while there was patience. One of the run's own
    /// threads does not wait.
    pub(super) fn wait(&self, patience: &mut Patience<'_>) -> bool {
        let mut now = Instant::now();
        patience.begin(now);
        loop {
            if self.is_own_thread() {
                return self.has_ended();
            }
            let progress = lock(&self.progress);
            let left = patience.until(now + LONG).saturating_duration_since(now);
            let waited = self.ended.wait_timeout_while(progress, left, |progress| !progress.ended);
            if waited.unwrap_or_else(PoisonError::into_inner).0.ended {
                return true;
            }
            now = Instant::now();
            if patience.ends(now) {
                return false;
            }
        }
    }

    /// The threads that call handlers.
    pub(super) fn set_threads(&self, threads: Vec<ThreadId>) {
        lock(&self.progress).threads = threads;
    }

    /// The serving thread has done its last.
    pub(super) fn end(&self) {
        lock(&self.progress).ended = true;
        self.ended.notify_all();
    }

    /// Whether this thread calls handlers, or tells error handlers of a client.
    pub(super) fn is_own_thread(&self) -> bool {
        lock(&self.progress).threads.contains(&thread::current().id())
            || self.guests.as_ref().is_some_and(|guests| guests.is_own_thread())
    }

    /// Removes the request buffer of the plain channel.
    pub(super) fn close_own_reader(&self) {
        let reader = lock(&self.reader).take();
        drop(reader);
    }

    /// Removes the request buffer, whose frames stay readable, although a handler may still be
    /// busy.
    pub(super) fn close_reader(&self) {
        self.close_own_reader();
        if let Some(guests) = &self.guests {
            guests.close_readers();
        }
    }

    pub(super) fn report(&self, failure: &Failure) {
        report(&self.config.on_error, failure);
    }
}

/// Tells the application of a failure.
pub(super) fn report(handlers: &[OnError], failure: &Failure) {
    if handlers.is_empty() {
        log::error!(target: "zerobuffer::duplex::server", "{failure}");
    }
    for handler in handlers {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| handler(failure))) {
            log::error!(target: "zerobuffer::duplex::server", "error handler panicked: {}", text_of(&*panic));
        }
    }
}

pub(super) fn create_buffer(channel: &str, config: &ServerConfig) -> Result<Reader> {
    // Level 2: it tells native clients that responses bear the sequence of their request. A client
    // of another implementation that connects anew counts from 1 again.
    Reader::create(&request_name(channel), config.buffer.clone().free_sequences(true))
}
