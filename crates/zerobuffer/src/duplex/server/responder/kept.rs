//! Responses that are written before their turn, or before there is room.
//!
//! The thread that calls handlers is there for several clients, so it waits for none of them.

use super::Responder;
use crate::{
    error::{Error, Result},
    layout::FRAME_HEADER_SIZE,
};
use std::time::Duration;

impl Responder {
    /// As [`Self::begin_as`], without a wait: what can only be sent later is written to private
    /// memory.
    pub(super) fn begin_or_keep(&mut self, sequence: u64, size: usize) -> Result<()> {
        self.kept = None;
        let writer = match self.writer.take() {
            Some(writer) => Some(writer),
            None => self.turns.try_turn(self.place)?,
        };
        let name = || self.turns.handle.name().to_owned();
        let Some(mut writer) = writer else {
            let max = self.turns.handle.capacity().saturating_sub(FRAME_HEADER_SIZE);
            if size == 0 {
                return Err(Error::EmptyFrame { name: name() });
            }
            if size as u64 > max {
                return Err(self.explain(Error::FrameTooLarge { name: name(), size: size as u64, max }));
            }
            self.kept = Some((sequence, vec![0; size]));
            return Ok(());
        };
        if let Some(metadata) = self.metadata.take() {
            self.turns.send_metadata(&mut writer, sequence, &metadata);
        }
        writer.stamp(sequence);
        match self.turns.begin(&mut writer, size, Some(Duration::ZERO)) {
            Err(Error::Full { .. }) => {
                self.kept = Some((sequence, vec![0; size]));
                self.turns.lay_down(writer);
                Ok(())
            }
            begun => {
                self.writer = Some(writer);
                begun.map_err(|error| self.explain(error))
            }
        }
    }

    /// Writes metadata now if this request has its turn, else with the response.
    pub(super) fn set_or_keep_metadata(&mut self, data: &[u8]) -> Result<()> {
        let name = || self.turns.handle.name().to_owned();
        let writer = match self.writer.take() {
            Some(writer) => Some(writer),
            None => self.turns.try_turn(self.place)?,
        };
        if let Some(mut writer) = writer {
            let set = writer.set_metadata(data);
            if self.kept.is_some() {
                self.turns.lay_down(writer);
            } else {
                self.writer = Some(writer);
            }
            return set;
        }
        let (size, max) = (data.len() as u64, self.turns.handle.metadata_capacity().saturating_sub(8));
        if size > max || max == 0 {
            return Err(Error::MetadataTooLarge { name: name(), size, max });
        }
        if self.metadata.is_some() {
            return Err(Error::MetadataAlreadyWritten { name: name() });
        }
        self.metadata = Some(data.to_vec());
        Ok(())
    }

    pub(super) fn commit_kept(&mut self, number: u64, mut response: Vec<u8>, len: usize) -> Result<u64> {
        let loaned = response.len();
        if !(1..=loaned).contains(&len) {
            self.kept = Some((number, response));
            let name = self.turns.handle.name().to_owned();
            let reason = "a response has 1 byte to all that were lent";
            return Err(Error::InvalidCommit { name, len: len as u64, loaned: loaned as u64, reason });
        }
        response.truncate(len);
        self.exchange.count_answer();
        self.turns.keep(self.place, number, response, self.metadata.take());
        Ok(self.sequence)
    }
}
