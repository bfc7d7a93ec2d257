//! Handlers that are futures (feature `async`).

use super::{
    super::BoxError,
    Handler, Responder, Server,
    handler::{HandlerResult, panicked},
    tasks::Ending,
};
use crate::{error::Result, reader::Frame};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

/// What [`Server::start_async`] gives to the executor: a future that handles one request.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

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
            Ok(future) => spawn(Box::pin(async move { ending.tell(caught(future).await.err()) })),
            Err(panic) => ending.tell(Some(panicked(&*panic))),
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
