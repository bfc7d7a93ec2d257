//! What a caller holds: a request under way, and its response.

use super::responses::Responses;
use crate::{error::Result, reader::Frame, sync::Arc};
use std::time::Duration;

/// A request under way. Dropping it gives up the response, which is dropped when it comes.
#[derive(Debug)]
pub struct Call {
    responses: Arc<Responses>,
    sequence: u64,
}

impl Call {
    /// Before the request is sent: its response may come at once.
    pub(in crate::duplex) fn register(responses: &Arc<Responses>, sequence: u64) -> Self {
        responses.register(sequence);
        Self { responses: Arc::clone(responses), sequence }
    }

    /// The sequence number of the request.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Waits for the response; `None` after `timeout`, and then it may be waited for again. There is one response.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`](super::Client::receive).
    pub fn wait(&self, timeout: Duration) -> Result<Option<Response>> {
        self.responses.wait(timeout, |inbox| inbox.fetch(self.sequence))
    }

    pub(in crate::duplex) fn sent(self, outcome: Result<u64>) -> Result<Self> {
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

/// The response to a request: a view of shared memory; dropping it returns its space.
#[derive(Debug)]
pub struct Response {
    frame: Frame,
    sequence: u64,
}

impl Response {
    pub(super) fn new(frame: Frame, sequence: u64) -> Self {
        Self { frame, sequence }
    }

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
