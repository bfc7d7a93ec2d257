//! How a handler answers: a writer for one response, which keeps the order and stamps the sequence
//! (D2).

#[cfg(feature = "async")]
mod future;
mod kept;
mod loan;

pub use loan::ResponseMut;

use super::{
    super::{
        BoxError,
        remote::{HandlerError, Refusal},
    },
    exchange::Exchange,
    turns::Turns,
};
use crate::{
    error::{Error, Result},
    layout::{FAILURE, FRAME_HEADER_SIZE},
    link::Keepalive,
    writer::{Outcome, Writer},
};
use std::{fmt, sync::Arc, time::Duration};

/// Answers one request, from any thread, during the handler or after it.
///
/// The first response is sent, in the order of the requests. A write waits until all earlier
/// requests are answered or given up. Further responses are dropped and reported. A responder that
/// is dropped without an answer is reported to the error handlers and to the client, once the
/// handler has returned. Then the next request has its turn.
pub struct Responder {
    turns: Arc<Turns>,
    /// In the order of responses.
    place: u64,
    sequence: u64,
    exchange: Arc<Exchange>,
    /// Here from the first use to the answer.
    writer: Option<Box<Writer>>,
    /// The place of a second answer, which goes nowhere.
    scratch: Option<Vec<u8>>,
    /// A response that is written before its turn, or before there is room, and its number.
    kept: Option<(u64, Vec<u8>)>,
    /// Metadata that are written with the response, before it.
    metadata: Option<Vec<u8>>,
    write_timeout: Option<Duration>,
}

impl Responder {
    pub(super) fn new(turns: &Arc<Turns>, place: u64, sequence: u64, exchange: &Arc<Exchange>) -> Self {
        Self {
            turns: Arc::clone(turns),
            place,
            sequence,
            exchange: Arc::clone(exchange),
            writer: None,
            scratch: None,
            kept: None,
            metadata: None,
            write_timeout: turns.write_timeout,
        }
    }

    /// The sequence number of the request.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether a response was sent. A further one is dropped.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.exchange.is_answered()
    }

    /// Sends `data` as the response.
    ///
    /// # Errors
    ///
    /// As [`Writer::write`](crate::Writer::write), but [`Error::ResponseTooLarge`] for what does
    /// not fit. [`Error::ReaderGone`] if the client has gone. [`Error::Full`] if the response ring
    /// stayed full for the write timeout. [`Error::Closed`] if the server stops meanwhile.
    pub fn write(&mut self, data: &[u8]) -> Result<Outcome> {
        if self.is_answered() {
            self.exchange.count_answer();
            return Ok(Outcome::Dropped);
        }
        self.begin(data.len())?;
        if let Some(room) = self.pending() {
            room.copy_from_slice(data);
        }
        self.commit(data.len()).map(|sequence| Outcome::Sent { sequence })
    }

    /// As [`Self::write`], for bindings whose thread must not wait: `None` if it would have to, for
    /// its turn or for room.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    #[doc(hidden)]
    pub fn try_write(&mut self, data: &[u8]) -> Result<Option<Outcome>> {
        if self.is_answered() || self.turns.keeps {
            return self.write(data).map(Some);
        }
        let writer = match self.writer.take() {
            Some(writer) => Some(writer),
            None => self.turns.try_turn(self.place)?,
        };
        let Some(mut writer) = writer else { return Ok(None) };
        writer.stamp(self.sequence);
        let begun = writer.try_begin(data.len());
        self.writer = Some(writer);
        match begun {
            Err(Error::Full { .. }) => return Ok(None),
            begun => begun.map_err(|error| self.explain(error))?,
        }
        if let Some(room) = self.pending() {
            room.copy_from_slice(data);
        }
        self.commit(data.len()).map(|sequence| Some(Outcome::Sent { sequence }))
    }

    /// Lends `size` bytes of the response ring, to be filled in place and committed; dropping it
    /// sends nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn loan(&mut self, size: usize) -> Result<ResponseMut<'_>> {
        self.begin(size)?;
        Ok(ResponseMut { responder: self })
    }

    /// [`Self::loan`] without a borrow, for bindings: the response stays pending until
    /// [`Self::commit`], [`Self::abort`] or the next use, which abandons it. For a second answer
    /// the bytes are private memory.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    #[doc(hidden)]
    pub fn begin(&mut self, size: usize) -> Result<()> {
        if self.is_answered() {
            self.scratch = Some(vec![0; size]);
            return Ok(());
        }
        let sequence = self.sequence;
        self.begin_as(sequence, size)
    }

    fn begin_as(&mut self, sequence: u64, size: usize) -> Result<()> {
        if self.turns.keeps {
            return self.begin_or_keep(sequence, size);
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.turns.wait_for_turn(self.place)?,
        };
        writer.stamp(sequence);
        let begun = self.turns.begin(&mut writer, size, self.write_timeout);
        self.writer = Some(writer);
        begun.map_err(|error| self.explain(error))
    }

    /// What does not fit is reported to the client as well, whatever the handler makes of it.
    fn explain(&self, error: Error) -> Error {
        let Error::FrameTooLarge { size, max, .. } = error else { return error };
        let too_large = || Error::ResponseTooLarge {
            name: self.turns.channel.clone(),
            request: self.sequence,
            size,
            max,
        };
        self.exchange.did_not_fit(Refusal::from_error(&too_large().into()));
        too_large()
    }

    /// Tells the client that there is no answer, and why: its
    /// [`Client::call`](crate::duplex::Client::call) gives [`Error::Remote`]. This counts as the
    /// answer, so nothing is reported. A client of another implementation cannot learn of it; then
    /// this is [`Outcome::Dropped`], as it is after an answer.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn fail(&mut self, failure: &HandlerError) -> Result<Outcome> {
        let Some(payload) = self.refusal(failure) else { return Ok(Outcome::Dropped) };
        self.begin_as(self.sequence | FAILURE, payload.len())?;
        self.refuse(&payload)
    }

    /// As [`Self::fail`], for an error of any kind: the client learns of it as of one that the
    /// handler returns. For those who answer after the handler has returned.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn fail_with(&mut self, error: &BoxError) -> Result<Outcome> {
        let Some(payload) = self.encoded(&Refusal::from_error(error)) else {
            return Ok(Outcome::Dropped);
        };
        self.begin_as(self.sequence | FAILURE, payload.len())?;
        self.refuse(&payload)
    }

    /// What the client is sent; `None`: it is answered, or cannot learn of a failure.
    fn refusal(&self, failure: &HandlerError) -> Option<Vec<u8>> {
        self.encoded(&Refusal::of(failure.clone()))
    }

    fn encoded(&self, refusal: &Refusal) -> Option<Vec<u8>> {
        if self.is_answered() {
            self.exchange.count_answer();
            return None;
        }
        let max = self.turns.handle.capacity().saturating_sub(FRAME_HEADER_SIZE);
        self.turns.stamps.then(|| refusal.encode(max))
    }

    fn refuse(&mut self, payload: &[u8]) -> Result<Outcome> {
        if let Some(room) = self.pending() {
            room.copy_from_slice(payload);
        }
        self.commit(payload.len())?;
        Ok(Outcome::Sent { sequence: self.sequence })
    }

    /// The bytes of the pending response. Their address stays the same until commit or abort.
    #[doc(hidden)]
    pub fn pending(&mut self) -> Option<&mut [u8]> {
        if let Some(scratch) = &mut self.scratch {
            return Some(scratch);
        }
        if let Some((_, kept)) = &mut self.kept {
            return Some(kept);
        }
        self.writer.as_mut()?.pending()
    }

    /// Sends the first `len` bytes of the pending response and returns the sequence number that it
    /// carries.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`](crate::Writer::commit).
    #[doc(hidden)]
    pub fn commit(&mut self, len: usize) -> Result<u64> {
        if self.scratch.take().is_some() {
            self.exchange.count_answer();
            return Ok(self.sequence);
        }
        if let Some((number, response)) = self.kept.take() {
            return self.commit_kept(number, response, len);
        }
        let Some(writer) = &mut self.writer else {
            return Err(Error::NothingPending { name: self.turns.handle.name().to_owned() });
        };
        let sequence = writer.commit(len)?;
        self.exchange.count_answer();
        if let Some(writer) = self.writer.take() {
            self.turns.give_back(self.place, writer);
        }
        Ok(sequence)
    }

    /// Gives up the pending response; nothing is sent, and another one may be. `false`: there was
    /// none.
    #[doc(hidden)]
    pub fn abort(&mut self) -> bool {
        self.scratch.take().is_some()
            || self.kept.take().is_some()
            || self.writer.as_mut().is_some_and(|writer| writer.abort())
    }

    /// Changes how long this response waits for space in the response ring; `None` waits for ever.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    /// Writes the response buffer's metadata, once per client.
    ///
    /// A server of several clients waits for none of them. Metadata whose turn has not come go out
    /// with the response; the error handlers learn if that fails.
    ///
    /// # Errors
    ///
    /// As [`Writer::set_metadata`](crate::Writer::set_metadata), and [`Error::NothingPending`]
    /// after the answer.
    pub fn set_metadata(&mut self, data: &[u8]) -> Result<()> {
        if self.is_answered() {
            return Err(Error::NothingPending { name: self.turns.handle.name().to_owned() });
        }
        if self.turns.keeps {
            return self.set_or_keep_metadata(data);
        }
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.turns.wait_for_turn(self.place)?,
        };
        self.writer.insert(writer).set_metadata(data)
    }

    /// Keeps the memory of [`Self::pending`] mapped, for bindings that hand out views of it.
    #[doc(hidden)]
    #[must_use]
    pub fn keep_alive(&self) -> Option<Keepalive> {
        self.writer.as_ref().map(|writer| writer.keep_alive())
    }

    /// Whether the client is alive and still owns the response buffer.
    #[must_use]
    pub fn is_client_connected(&self) -> bool {
        self.turns.handle.is_reader_connected()
    }

    /// The channel that the request came on: that of the server, or one of a client's own (see
    /// [`ServerConfig::clients`](crate::duplex::ServerConfig::clients)).
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.turns.channel
    }

    /// The buffer that the request came in, for bindings.
    #[doc(hidden)]
    #[must_use]
    pub fn requests(&self) -> crate::ReaderHandle {
        self.turns.requests.clone()
    }

    /// The response buffer: name, sizes, counters.
    #[must_use]
    pub fn buffer(&self) -> crate::WriterHandle {
        self.turns.handle.clone()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.turns.is_forked() {
            return;
        }
        if let Some(mut writer) = self.writer.take() {
            writer.abort();
            self.turns.lay_down(writer);
        }
        self.exchange.dropped(&self.turns, self.place, self.sequence);
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("channel", &self.turns.channel)
            .field("sequence", &self.sequence)
            .field("answered", &self.is_answered())
            .finish_non_exhaustive()
    }
}
