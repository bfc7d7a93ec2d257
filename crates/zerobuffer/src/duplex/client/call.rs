//! A request under way, whose response somebody waits for.

use super::{response::Response, responses::Responses};
use crate::{error::Result, link::Patience, sync::Arc};
use std::time::Duration;

/// A request under way. Dropping it gives up the response, which is dropped when it comes.
#[derive(Debug)]
#[must_use = "the response of a call that is dropped is lost"]
pub struct Call {
    pub(super) responses: Arc<Responses>,
    sequence: u64,
}

impl Call {
    /// Before the request is sent: its response may come at once.
    pub(super) fn register(responses: &Arc<Responses>, sequence: u64) -> Self {
        responses.register(sequence);
        Self { responses: Arc::clone(responses), sequence }
    }

    /// The sequence number of the request.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Waits for the response; `None` after `timeout`, and then it may be waited for again. There
    /// is one response.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`](super::Client::receive).
    pub fn wait(&self, timeout: Duration) -> Result<Option<Response>> {
        self.wait_with(&mut Patience::at_most(timeout))
    }

    /// As [`Self::wait`], but waits as the patience says.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`].
    pub fn wait_with(&self, patience: &mut Patience<'_>) -> Result<Option<Response>> {
        self.responses.receive(patience, |inbox| inbox.fetch(self.sequence))
    }

    pub(super) fn sent(self, outcome: Result<u64>) -> Result<Self> {
        match outcome {
            Ok(_) => Ok(self),
            Err(error) => {
                self.responses.forget(self.sequence);
                Err(error)
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.responses.abandon(self.sequence);
    }
}
