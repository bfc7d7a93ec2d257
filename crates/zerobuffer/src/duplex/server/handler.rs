//! What a server does with a request: the application's function, and what becomes of its panics.

use super::{
    super::{BoxError, remote::Panicked},
    responder::Responder,
};
use crate::reader::Frame;
use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// How the application's function ended.
pub(super) type HandlerResult = Result<(), BoxError>;

/// The function that answers requests.
pub(super) enum Handler {
    /// It writes the response.
    Answer(Box<dyn Fn(Frame, Responder) -> HandlerResult + Send + Sync>),
    /// It edits the request, which then is the response.
    Edit(Box<dyn Fn(&mut Frame) -> HandlerResult + Send + Sync>),
    /// It begins a future that writes the response, and reports its end.
    #[cfg(feature = "async")]
    Begin(Box<dyn Fn(Frame, Responder, super::tasks::Ending) + Send + Sync>),
}

impl Handler {
    /// Has one request answered; a panic is a failure like others.
    pub(super) fn call(&self, mut frame: Frame, mut responder: Responder) -> HandlerResult {
        caught(|| match self {
            Self::Answer(handler) => handler(frame, responder),
            Self::Edit(handler) => {
                handler(&mut frame)?;
                responder.write(frame.data())?;
                Ok(())
            }
            // It is begun, not called.
            #[cfg(feature = "async")]
            Self::Begin(_) => Ok(()),
        })
    }
}

/// What an application's function says.
pub(super) fn caught(function: impl FnOnce() -> HandlerResult) -> HandlerResult {
    catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|panic| {
        let said = panicked(&*panic);
        // Its drop is the application's code, and this thread is there for other requests too.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            mem::forget(another);
        }
        Err(said)
    })
}

/// A panic as an error.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> BoxError {
    Panicked(text_of(panic).to_owned()).into()
}

/// What a panic says.
pub(super) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
