//! The answering end of a channel.

mod connected;
mod exchange;
mod handler;
mod pool;
mod responder;
mod run;
mod service;
mod several;
mod state;
mod stop;
#[cfg(feature = "async")]
mod task;
#[cfg(feature = "async")]
mod tasks;
mod turns;

pub use responder::{Responder, ResponseMut};
#[cfg(feature = "async")]
pub use task::Task;

use super::{BoxError, ServerConfig, config::within, request_name, response_name};
use crate::{
    error::{Error, Result},
    link::Patience,
    reader::{Frame, ReaderHandle},
    sync::{Arc, Mutex, lock},
    sys::{self, fork::Birth},
};
use handler::Handler;
use run::{Guests, Run, create_buffer};
use service::Service;
use several::Several;
use std::{
    fmt, iter,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};
use stop::Stop;

/// How long [`Server::stop`] waits for a handler that is running.
const STOP_PATIENCE: Duration = Duration::from_millis(150);

/// Answers requests: of one client after the other, or of [several](ServerConfig::clients) at the
/// same time.
///
/// ```
/// use zerobuffer::duplex::{Server, ServerConfig};
/// # use zerobuffer::duplex::{Client, ClientConfig};
/// # use std::time::Duration;
/// let channel = format!("doc-server-{}", std::process::id());
/// let server = Server::new(&channel, ServerConfig::default());
/// // A mutable server: the edited request is the response.
/// server.start_mutable(|request| {
///     request.data_mut().reverse();
///     Ok(())
/// })?;
/// # let client = Client::connect_with(&channel, ClientConfig::default().response_size(64 * 1024))?;
/// # assert_eq!(client.call(b"abc", Duration::from_secs(5))?.data(), b"cba");
/// assert!(server.is_running());
/// assert!(server.stop());
/// # Ok::<(), zerobuffer::Error>(())
/// ```
pub struct Server {
    channel: String,
    config: ServerConfig,
    /// Where it was first started. Asked before any lock: in a forked child a thread of the parent
    /// may hold that.
    birth: OnceLock<Birth>,
    run: Mutex<Option<Arc<Run>>>,
}

impl Server {
    /// A server of `channel`, which does nothing before it is started.
    #[must_use]
    pub fn new(channel: &str, config: ServerConfig) -> Self {
        Self { channel: channel.to_owned(), config, birth: OnceLock::new(), run: Mutex::new(None) }
    }

    /// Creates the request buffer, which exists when this returns, and serves from now on:
    /// `handler` gets each request and answers it by the [`Responder`]. The request's space is
    /// returned when its frame is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::ServerRunning`], [`Error::Forked`] in a child of the process that started the
    /// server before, and as [`Reader::create`](crate::Reader::create).
    pub fn start<H>(&self, handler: H) -> Result<()>
    where
        H: Fn(Frame, Responder) -> Result<(), BoxError> + Send + Sync + 'static,
    {
        self.run(Handler::Answer(Box::new(handler)))
    }

    /// As [`Self::start`]; `handler` edits each request in place, and the edited bytes are the
    /// response. If it fails, there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_mutable<H>(&self, handler: H) -> Result<()>
    where
        H: Fn(&mut Frame) -> Result<(), BoxError> + Send + Sync + 'static,
    {
        self.run(Handler::Edit(Box::new(handler)))
    }

    fn run(&self, handler: Handler) -> Result<()> {
        sys::check_name(&response_name(&self.channel))?;
        if self.is_forked() {
            return Err(Error::forked(&request_name(&self.channel)));
        }
        let _ = self.birth.set(Birth::now());
        let mut run = lock(&self.run);
        if run.as_ref().is_some_and(|run| run.is_serving()) {
            return Err(Error::ServerRunning { name: self.channel.clone() });
        }
        if let Some(last) = run.take() {
            end(&last);
        }
        *run = Some(start(&self.channel, self.config.clone(), handler)?);
        Ok(())
    }

    /// Takes no further request and closes the channel's buffers; within 200 ms, also from a
    /// handler.
    ///
    /// A handler that is running then is left alone: it may finish and answer, and the response
    /// buffer is closed after it. Requests that were not begun are dropped. `false`: such a handler
    /// is still busy.
    #[allow(
        clippy::must_use_candidate,
        reason = "most callers want the server to stop, whatever is still running"
    )]
    pub fn stop(&self) -> bool {
        let Some(run) = self.current() else { return true };
        end(&run)
    }

    /// Handles all requests that have been sent, then stops. `false`: they were not all handled
    /// within `timeout`, and the server was stopped as by [`Self::stop`]. Also `false` if this is
    /// called from a handler; then it drains after that.
    #[allow(clippy::must_use_candidate, reason = "as for `stop`")]
    pub fn drain(&self, timeout: Duration) -> bool {
        // One and the same, also if another thread starts the server again meanwhile.
        let Some(run) = self.current() else { return true };
        if !begin_drain(&run) {
            return false;
        }
        let drained = run.wait(&mut Patience::at_most(timeout));
        if !drained {
            end(&run);
        }
        drained
    }

    /// Begins what [`Self::drain`] does, for callers that [wait](Self::wait) in their own way.
    /// `false`: this is called from a handler, which must not wait.
    #[allow(clippy::must_use_candidate, reason = "outside handlers it is true")]
    pub fn begin_drain(&self) -> bool {
        self.current().is_none_or(|run| begin_drain(&run))
    }

    /// Waits until the server has stopped by itself or by another thread; `false`: it has not
    /// within `timeout`.
    #[allow(clippy::must_use_candidate, reason = "a wait for ever has no news")]
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.wait_with(&mut Patience::for_timeout(timeout))
    }

    /// As [`Self::wait`], until the patience ends.
    #[allow(clippy::must_use_candidate, reason = "as for `wait`")]
    pub fn wait_with(&self, patience: &mut Patience<'_>) -> bool {
        self.current().is_none_or(|run| run.wait(patience))
    }

    /// Whether the server takes requests.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.current().is_some_and(|run| run.is_serving())
    }

    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The request buffer: the client's metadata, counters. `None` while the server is stopped,
    /// also if a handler is still busy.
    #[must_use]
    pub fn request_buffer(&self) -> Option<ReaderHandle> {
        self.current().filter(|run| !run.is_asked(Stop::Now)).and_then(|run| buffer(&run))
    }

    /// The buffer of the requests that handlers have, also after [`Self::stop`]. For bindings.
    #[doc(hidden)]
    #[must_use]
    pub fn handled_buffer(&self) -> Option<ReaderHandle> {
        self.current().and_then(|run| buffer(&run))
    }

    /// [That of the server](Self::request_buffer), and those of all clients with channels of their
    /// own (see [`ServerConfig::clients`]), connected or about to be. Empty while the server is
    /// stopped.
    #[must_use]
    pub fn request_buffers(&self) -> Vec<ReaderHandle> {
        let Some(run) = self.current().filter(|run| !run.is_asked(Stop::Now)) else { return Vec::new() };
        let Some(plain) = buffer(&run) else { return Vec::new() };
        let own = run.guests.as_ref().map(|guests| guests.request_buffers()).unwrap_or_default();
        iter::once(plain).chain(own).collect()
    }

    /// Requests of this run, and their bytes, from clients that had channels of their own and have
    /// gone.
    #[doc(hidden)]
    #[must_use]
    pub fn past_requests(&self) -> (u64, u64) {
        self.current().and_then(|run| run.guests.as_ref().map(|guests| guests.past())).unwrap_or_default()
    }

    /// The last run, unless it is of the parent of this process.
    fn current(&self) -> Option<Arc<Run>> {
        if self.is_forked() { None } else { lock(&self.run).clone() }
    }

    fn is_forked(&self) -> bool {
        self.birth.get().is_some_and(|birth| birth.is_forked())
    }
}

/// Creates the request buffer and starts to serve.
fn start(channel: &str, mut config: ServerConfig, handler: Handler) -> Result<Arc<Run>> {
    let handler = Arc::new(handler);
    let guests: Option<Box<dyn Guests>> = if config.clients > 0 {
        config.persistent = true;
        // First: a client that finds the request buffer knows whether there is an entrance.
        let several = Several::create(channel, &config, &handler);
        // Of another server the error has the name that the user knows.
        let several = several.map_err(|error| create_buffer(channel, &config).err().unwrap_or(error))?;
        Some(Box::new(several))
    } else {
        None
    };
    let run = Run::create(channel, config, handler, guests)?;
    let serving = Arc::clone(&run);
    let thread = thread::Builder::new().name("zerobuffer-duplex".to_owned());
    let around = run.config.around.clone();
    let serve = move || {
        Service::new(serving).serve();
    };
    let started = thread.spawn(move || within(around.as_ref(), serve));
    started.map_err(|source| Error::Os { operation: "start", object: "a thread".to_owned(), source })?;
    Ok(run)
}

/// The request buffer of a run that has not ended.
fn buffer(run: &Run) -> Option<ReaderHandle> {
    (!run.has_ended()).then(|| lock(&run.handle).clone())
}

/// `false`: this is called from a handler, which must not wait.
fn begin_drain(run: &Run) -> bool {
    run.ask_to_stop(Stop::Drain);
    !run.is_own_thread()
}

/// Ends a run as [`Server::stop`] says.
fn end(run: &Run) -> bool {
    run.ask_to_stop(Stop::Now);
    let started = Instant::now();
    let ended = run.wait(&mut Patience::at_most(STOP_PATIENCE));
    log::debug!(target: "zerobuffer::duplex::server", "stopping took {:?}, ended: {ended}", started.elapsed());
    // The name is free at once, whatever a handler is still doing; the frame that it has stays
    // readable.
    run.close_reader();
    ended
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("channel", &self.channel)
            .field("running", &self.is_running())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
