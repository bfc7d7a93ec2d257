//! Handlers that are futures (feature `async`).

use super::{
    super::BoxError,
    Handler, Responder, Server,
    handler::{HandlerResult, panicked},
    run::Run,
};
use crate::{
    config::WAIT_SLICE,
    error::Result,
    reader::Frame,
    sync::{Arc, Mutex, lock},
};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Condvar,
    task::Poll,
    time::{Duration, Instant},
};

/// What [`Server::start_async`] gives to the executor: a future that handles one request.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long tasks are waited for once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

impl Server {
    /// As [`Self::start`], with a handler that is an `async` function. `spawn` hands each request's
    /// future to the caller's executor; any number of them run at a time, while the request ring
    /// has room. Responses go out in the order of the requests.
    ///
    /// A future that the executor drops is a request without an answer. [`Self::drain`] waits for
    /// the futures, and must not keep the executor from running them.
    ///
    /// ```
    /// # use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
    /// # let channel = format!("doc-start-async-{}", std::process::id());
    /// let server = Server::new(&channel, ServerConfig::default());
    /// // With tokio: `let spawn = move |task| drop(handle.spawn(task));`
    /// let spawn = |task| drop(std::thread::spawn(|| pollster::block_on(task)));
    /// server.start_async(spawn, |request, mut response| async move {
    ///     response.write_async(request.data()).await?;
    ///     Ok(())
    /// })?;
    /// # let client = Client::connect(&channel)?;
    /// # let patient = std::time::Duration::from_secs(5);
    /// # assert_eq!(client.call(b"abc", patient)?.data(), b"abc");
    /// # Ok::<(), zerobuffer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_async<S, H, F>(&self, spawn: S, handler: H) -> Result<()>
    where
        S: Fn(Task) + Send + Sync + 'static,
        H: Fn(Frame, Responder) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let begin = move |frame, responder, ending: Ending| match catch_unwind(AssertUnwindSafe(|| {
            handler(frame, responder)
        })) {
            Ok(future) => spawn(Box::pin(async move { ending.tell(caught(future).await) })),
            Err(panic) => ending.tell(Err(panicked(&*panic))),
        };
        self.run(Handler::Begin(Box::new(begin)))
    }
}

/// What the future says; a panic is a failure like others.
async fn caught(future: impl Future<Output = HandlerResult>) -> HandlerResult {
    let mut future = Box::pin(future);
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))
            .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
    })
    .await
}

/// Tells how a request's future has ended, once; dropped untold, that it was given up.
pub(super) struct Ending {
    run: Arc<Run>,
    tell: Option<Box<dyn FnOnce(Option<BoxError>) + Send>>,
}

impl Ending {
    pub(super) fn new(run: &Arc<Run>, tell: impl FnOnce(Option<BoxError>) + Send + 'static) -> Self {
        run.tasks.change(1);
        Self { run: Arc::clone(run), tell: Some(Box::new(tell)) }
    }

    fn tell(mut self, outcome: HandlerResult) {
        self.told(outcome.err());
    }

    fn told(&mut self, failed: Option<BoxError>) {
        if let Some(tell) = self.tell.take() {
            tell(failed);
            self.run.tasks.change(-1);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.told(None);
    }
}

/// How many futures have not ended.
#[derive(Default)]
pub(super) struct Tasks {
    count: Mutex<i64>,
    fewer: Condvar,
}

impl Tasks {
    fn change(&self, by: i64) {
        *lock(&self.count) += by;
        self.fewer.notify_all();
    }

    /// Waits until all have ended; not for long once the server `stops`. In slices: `meanwhile`
    /// does what tasks leave to a thread that may block.
    pub(super) fn wait(&self, stops: impl Fn() -> bool, meanwhile: impl Fn()) {
        let mut deadline = None;
        loop {
            meanwhile();
            let count = lock(&self.count);
            let now = Instant::now();
            if *count <= 0 || (stops() && now >= *deadline.get_or_insert(now + LAST_ANSWERS)) {
                return;
            }
            drop(self.fewer.wait_timeout(count, WAIT_SLICE));
        }
    }
}
