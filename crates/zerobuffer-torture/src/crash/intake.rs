//! What a surviving reader takes: each frame is checked, some are held and checked again.

use super::victim::{PATTERN, check_metadata, may_hold};
use crate::pattern::Pattern;
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;
use zerobuffer::{Error, Frame, Reader};

/// The frames as they come in, some of them held.
pub(super) struct Intake {
    pub(super) pattern: Pattern,
    pub(super) expected: u64,
    pub(super) held: Vec<Frame>,
}

impl Intake {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, expected: 1, held: Vec::new() }
    }

    pub(super) fn check(&self, frame: &Frame) -> Result<()> {
        self.pattern.check(frame.data(), frame.sequence()).map_err(anyhow::Error::msg)
    }

    /// One read. `true`: there is no writer, and nothing left of the last one.
    pub(super) fn read(&mut self, reader: &mut Reader, timeout: Duration) -> Result<bool> {
        match reader.read_timeout(timeout) {
            Ok(Some(frame)) => {
                let sequence = frame.sequence();
                ensure!(sequence == self.expected, "frame {sequence} came, {} was expected", self.expected);
                self.check(&frame)?;
                if self.pattern.max == PATTERN.max {
                    // Legacy form has one block of metadata for all writers.
                    check_metadata(reader, sequence)?;
                }
                self.expected += 1;
                self.held.push(frame);
                if self.held.len() > 1 || !may_hold(self.pattern, sequence) {
                    self.release()?;
                }
                Ok(false)
            }
            Ok(None) => Ok(false),
            Err(Error::WriterGone { .. }) => Ok(true),
            Err(error) => Err(error).context("read"),
        }
    }

    /// The younger first; each still has its bytes.
    pub(super) fn release(&mut self) -> Result<()> {
        while let Some(frame) = self.held.pop() {
            self.check(&frame).context("while it was held")?;
        }
        Ok(())
    }
}
