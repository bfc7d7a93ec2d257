//! What a server has answered.

use crate::reader::Frame;

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
