//! What a server has answered.

use super::super::remote::Refusal;
use crate::{error::Error, reader::Frame};
use std::ops::{Deref, DerefMut};

/// The response to a request: a view of shared memory; dropping it returns its space.
#[derive(Debug)]
pub struct Response {
    frame: Frame,
    sequence: u64,
    /// It says that the request has no answer.
    refuses: bool,
}

impl Response {
    pub(super) fn new(frame: Frame, sequence: u64, refuses: bool) -> Self {
        Self { frame, sequence, refuses }
    }

    /// `Err`: the server says that the request has no answer.
    pub(super) fn or_failure(self, channel: &str) -> Result<Self, Error> {
        if !self.refuses {
            return Ok(self);
        }
        Err(Refusal::decode(self.frame.data()).into_error(channel, self.sequence))
    }

    /// Payload bytes.
    pub(super) fn len(&self) -> u64 {
        self.frame.data().len() as u64
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

    /// The payload, to be edited in place. The server never looks at it again.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.frame.data_mut()
    }

    /// The frame itself, whose own sequence number is the server's count if the server is of
    /// another implementation.
    pub fn into_frame(self) -> Frame {
        self.frame
    }
}

impl Deref for Response {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data()
    }
}

impl DerefMut for Response {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl AsMut<[u8]> for Response {
    fn as_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl AsRef<[u8]> for Response {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}
