//! A request that is written in place.

use super::{call::Call, outbox::Outbox};
use crate::{
    error::{Error, Result},
    writer::Writer,
};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// Ring memory for one request, filled in place and then sent; dropping it sends nothing. Meanwhile
/// nothing else can be sent.
///
/// ```
/// # use std::time::Duration;
/// # use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
/// # let channel = format!("doc-request-{}", std::process::id());
/// # let server = Server::new(&channel, ServerConfig::default());
/// # server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?))?;
/// # let client = Client::connect_with(&channel, ClientConfig::default().response_size(64 * 1024))?;
/// let mut request = client.loan(3)?;
/// request.copy_from_slice(b"abc");
/// let call = request.submit()?;
/// assert_eq!(call.wait(Duration::from_secs(5))?.unwrap().data(), b"abc");
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[must_use = "a loan that is dropped sends nothing"]
pub struct RequestMut<'c> {
    outbox: &'c Outbox,
    /// The client's, until this is dropped; `None` only then.
    writer: Option<Writer>,
}

impl<'c> RequestMut<'c> {
    pub(super) fn new(outbox: &'c Outbox, writer: Writer) -> Self {
        Self { outbox, writer: Some(writer) }
    }

    /// The sequence number that the request gets.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::next_sequence)
    }

    /// Sends the request and returns its sequence number;
    /// [`Client::receive`](super::Client::receive) gives the response.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`](crate::Writer::commit); [`Error::Closed`] once the client is closed.
    pub fn send(mut self) -> Result<u64> {
        self.commit()
    }

    /// Sends the request; [`Call::wait`] gives the response.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn submit(mut self) -> Result<Call> {
        let call = self.outbox.register(self.sequence());
        call.sent(self.commit())
    }

    fn commit(&mut self) -> Result<u64> {
        let len = self.len();
        match &mut self.writer {
            Some(writer) => self.outbox.commit_lent(writer, len),
            None => Err(Error::NothingPending { name: self.outbox.channel().to_owned() }),
        }
    }
}

impl Deref for RequestMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.writer.as_ref().map(Writer::pending_bytes).unwrap_or_default()
    }
}

impl DerefMut for RequestMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.writer.as_mut().and_then(Writer::pending).unwrap_or_default()
    }
}

impl AsRef<[u8]> for RequestMut<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for RequestMut<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Drop for RequestMut<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.outbox.take_back(writer);
        }
    }
}

impl fmt::Debug for RequestMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMut").field("len", &self.len()).finish_non_exhaustive()
    }
}
