//! One run of a server, from start to stop, as its owner sees it; a thread of its own serves.

mod connected;
mod service;

use super::{BoxError, Failure, ServerConfig, responder::Responder};
use crate::{
    error::{Error, Result},
    reader::Frame,
    reader::{Reader, ReaderHandle},
    sync::{Mutex, lock},
};
use service::Service;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

/// What is done with a request.
pub(super) enum Handler {
    Answer(Box<dyn Fn(Frame, Responder) -> Outcome + Send + Sync>),
    Edit(Box<dyn Fn(&mut Frame) -> Outcome + Send + Sync>),
}

type Outcome = Result<(), BoxError>;

/// How far a run has been asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Handle what has been sent, then end.
    Drain = 1,
    /// Take no further request.
    Now = 2,
}

/// How far that has come, for all who wait for something.
#[derive(Debug, Default)]
pub(super) struct StopFlag(AtomicU8);

impl StopFlag {
    fn ask(&self, how: Stop) {
        self.0.fetch_max(how as u8, Ordering::SeqCst);
    }

    pub(super) fn is_asked(&self, how: Stop) -> bool {
        self.0.load(Ordering::Acquire) >= how as u8
    }
}

/// What the server's owner and the serving thread share.
pub(super) struct Run {
    channel: String,
    config: ServerConfig,
    handler: Handler,
    stop: Arc<StopFlag>,
    reader: Mutex<Option<Reader>>,
    pub(super) handle: Mutex<ReaderHandle>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    ended: bool,
    /// The threads that call handlers: they must not wait for themselves.
    threads: Vec<ThreadId>,
}

impl Run {
    /// Creates the request buffer and starts to serve.
    pub(super) fn start(channel: &str, config: ServerConfig, handler: Handler) -> Result<Arc<Self>> {
        let run = Self::create(channel, config, handler)?;
        let serving = Arc::clone(&run);
        let thread = thread::Builder::new().name("zerobuffer-duplex".to_owned());
        let started = thread.spawn(move || Service::new(serving).serve());
        started.map_err(|source| Error::Os { operation: "start", object: "a thread".to_owned(), source })?;
        Ok(run)
    }

    /// With its request buffer, before anything serves.
    fn create(channel: &str, config: ServerConfig, handler: Handler) -> Result<Arc<Self>> {
        let reader = create(channel, &config)?;
        Ok(Arc::new(Self {
            channel: channel.to_owned(),
            config,
            handler,
            stop: Arc::default(),
            handle: Mutex::new(reader.handle()),
            reader: Mutex::new(Some(reader)),
            state: Mutex::new(State::default()),
            ended: Condvar::new(),
        }))
    }

    pub(super) fn ask_to_stop(&self, how: Stop) {
        self.stop.ask(how);
        if how == Stop::Now {
            // Wakes the serving thread; frames that were read stay readable.
            lock(&self.handle).interrupt();
        }
    }

    fn is_asked(&self, how: Stop) -> bool {
        self.stop.is_asked(how)
    }

    /// Whether requests are, or may still be, handled.
    pub(super) fn is_serving(&self) -> bool {
        !self.is_asked(Stop::Drain) && !lock(&self.state).ended
    }

    pub(super) fn has_ended(&self) -> bool {
        lock(&self.state).ended
    }

    /// Waits for the end; `false`: not within `timeout`. One of the run's own threads does not wait.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let state = lock(&self.state);
        if state.threads.contains(&thread::current().id()) {
            return state.ended;
        }
        let running = |state: &mut State| !state.ended;
        match timeout {
            Some(timeout) => {
                let waited = self.ended.wait_timeout_while(state, timeout, running);
                waited.unwrap_or_else(PoisonError::into_inner).0.ended
            }
            None => self.ended.wait_while(state, running).unwrap_or_else(PoisonError::into_inner).ended,
        }
    }

    pub(super) fn is_own_thread(&self) -> bool {
        lock(&self.state).threads.contains(&thread::current().id())
    }

    pub(super) fn is_forked(&self) -> bool {
        lock(&self.handle).is_forked()
    }

    /// Removes the request buffer, whose frames stay readable, although a handler may still be busy.
    pub(super) fn close_reader(&self) {
        let reader = lock(&self.reader).take();
        drop(reader);
    }

    fn call(&self, mut frame: Frame, mut responder: Responder) -> Outcome {
        match &self.handler {
            Handler::Answer(handler) => handler(frame, responder),
            Handler::Edit(handler) => {
                handler(&mut frame)?;
                responder.write(frame.data())?;
                Ok(())
            }
        }
    }

    fn report(&self, failure: &Failure) {
        if self.config.on_error.is_empty() {
            log::error!(target: "zerobuffer::duplex::server", "{failure}");
        }
        for handler in &self.config.on_error {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| handler(failure))) {
                log::error!(target: "zerobuffer::duplex::server", "error handler panicked: {}", text_of(&*panic));
            }
        }
    }
}

fn create(channel: &str, config: &ServerConfig) -> Result<Reader> {
    // Level 2: it tells clients of ours that responses bear the sequence of their request. A client of another
    // implementation that connects anew counts from 1 again.
    Reader::create(&super::request_name(channel), config.buffer.clone().free_sequences(true))
}

/// What a handler says; a panic is a failure like others.
fn caught(handler: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(handler))
        .unwrap_or_else(|panic| Err(format!("it panicked: {}", text_of(&*panic)).into()))
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
