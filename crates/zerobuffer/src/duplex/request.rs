//! A request that is written in place.

use super::{Call, Client};
use crate::{error::Result, writer::Writer};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::MutexGuard,
};

/// Ring memory for one request, filled in place and then sent; dropping it sends nothing. Other threads that send wait
/// for it.
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
pub struct RequestMut<'c> {
    client: &'c Client,
    sender: MutexGuard<'c, Option<Writer>>,
}

impl<'c> RequestMut<'c> {
    pub(super) fn new(client: &'c Client, sender: MutexGuard<'c, Option<Writer>>) -> Self {
        Self { client, sender }
    }

    /// The sequence number that the request gets.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sender.as_ref().map_or(0, Writer::next_sequence)
    }

    /// Sends the request and returns its sequence number; [`Client::receive`] gives the response.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`](crate::Writer::commit).
    pub fn send(mut self) -> Result<u64> {
        let len = self.len();
        self.client.commit_in(&mut self.sender, len)
    }

    /// Sends the request; [`Call::wait`] gives the response.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`](crate::Writer::commit).
    pub fn submit(mut self) -> Result<Call> {
        let len = self.len();
        let call = self.client.expect(self.sequence());
        let client = self.client;
        call.sent(client.commit_in(&mut self.sender, len))
    }
}

impl Deref for RequestMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.sender.as_ref().map(Writer::pending_bytes).unwrap_or_default()
    }
}

impl DerefMut for RequestMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.sender.as_mut().and_then(Writer::pending).unwrap_or_default()
    }
}

impl Drop for RequestMut<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.sender.as_mut() {
            writer.abort();
        }
    }
}

impl fmt::Debug for RequestMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMut").field("len", &self.len()).finish_non_exhaustive()
    }
}
