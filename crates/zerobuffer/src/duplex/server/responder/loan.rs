//! Response memory that is lent.

use super::Responder;
use crate::error::Result;
use std::ops::{Deref, DerefMut};

/// Response memory, filled in place and then committed; dropping it sends nothing.
#[derive(Debug)]
#[must_use = "a loan that is dropped sends nothing"]
pub struct ResponseMut<'r> {
    pub(super) responder: &'r mut Responder,
}

impl ResponseMut<'_> {
    /// Sends the whole response.
    ///
    /// # Errors
    ///
    /// As [`Responder::write`].
    pub fn commit(self) -> Result<u64> {
        let len = self.len();
        self.commit_len(len)
    }

    /// Sends the first `len` bytes, 1 to all.
    ///
    /// # Errors
    ///
    /// As [`Responder::write`], and [`Error::InvalidCommit`](crate::Error::InvalidCommit).
    pub fn commit_len(self, len: usize) -> Result<u64> {
        self.responder.commit(len)
    }
}

impl Deref for ResponseMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match (&self.responder.scratch, &self.responder.kept) {
            (Some(scratch), _) => scratch,
            (None, Some((_, kept))) => kept,
            (None, None) => {
                self.responder.writer.as_ref().map(|writer| writer.pending_bytes()).unwrap_or_default()
            }
        }
    }
}

impl DerefMut for ResponseMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.responder.pending().unwrap_or_default()
    }
}

impl AsRef<[u8]> for ResponseMut<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for ResponseMut<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Drop for ResponseMut<'_> {
    fn drop(&mut self) {
        self.responder.abort();
    }
}
