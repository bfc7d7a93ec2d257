//! Answering without blocking.

use super::{Responder, ResponseMut};
use crate::{
    duplex::remote::HandlerError,
    error::{Error, Result},
    layout::FAILURE,
    writer::{Outcome, Writer},
};
use std::{future::poll_fn, sync::Arc, task::Poll};

impl Responder {
    /// As [`Self::write`]: waits for its turn, and for room, without blocking. A future that is
    /// dropped has sent nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub async fn write_async(&mut self, data: &[u8]) -> Result<Outcome> {
        if self.is_answered() {
            self.exchange.count_answer();
            return Ok(Outcome::Dropped);
        }
        self.begin_async(self.sequence, data.len()).await?;
        if let Some(room) = self.pending() {
            room.copy_from_slice(data);
        }
        self.commit(data.len()).map(|sequence| Outcome::Sent { sequence })
    }

    /// As [`Self::loan`], without blocking. A future that is dropped has sent nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub async fn loan_async(&mut self, size: usize) -> Result<ResponseMut<'_>> {
        if self.is_answered() {
            self.scratch = Some(vec![0; size]);
        } else {
            self.begin_async(self.sequence, size).await?;
        }
        Ok(ResponseMut { responder: self })
    }

    async fn turn_async(&mut self) -> Result<Box<Writer>> {
        let (turns, place) = (&self.turns, self.place);
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => poll_fn(|context| turns.poll_turn(context, place)).await,
        }
    }

    async fn begin_async(&mut self, sequence: u64, size: usize) -> Result<()> {
        let turns = Arc::clone(&self.turns);
        let writer = self.turn_async().await?;
        // At once: a future that is dropped leaves the writer with the responder.
        let writer = self.writer.insert(writer);
        writer.stamp(sequence);
        writer.set_write_timeout(self.write_timeout);
        let mut wait = None;
        let begun = poll_fn(|context| {
            if turns.is_stopping() {
                return Poll::Ready(Err(turns.closed()));
            }
            writer.poll_begin(context, size, &mut wait)
        });
        let begun = begun.await;
        begun.map_err(|error| self.explain(error))
    }

    /// As [`Self::fail`], without blocking. A future that is dropped has sent nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub async fn fail_async(&mut self, failure: &HandlerError) -> Result<Outcome> {
        let Some(payload) = self.refusal(failure) else { return Ok(Outcome::Dropped) };
        self.begin_async(self.sequence | FAILURE, payload.len()).await?;
        self.refuse(&payload)
    }

    /// As [`Self::set_metadata`], without blocking.
    ///
    /// # Errors
    ///
    /// As [`Self::set_metadata`].
    pub async fn set_metadata_async(&mut self, data: &[u8]) -> Result<()> {
        if self.is_answered() {
            return Err(Error::NothingPending { name: self.turns.handle.name().to_owned() });
        }
        let writer = self.turn_async().await?;
        self.writer.insert(writer).set_metadata(data)
    }
}
