//! The ring that a stream fills.
use std::ops::ControlFlow;
use std::time::Duration;

use zerobuffer::{Error, Owner, Patience, Writer, WriterConfig};

use super::lane::End;
use crate::path::Mark;
use crate::stop::Stop;
use crate::wire::{Hop, Opening};

/// The ring while it is filled: it stays so while the link is broken.
#[derive(Default)]
pub(super) struct Target {
    pub(super) writer: Option<Writer>,
    mark: Option<Mark>,
    metadata: Option<Vec<u8>>,
    path: Vec<Hop>,
    pub(super) run: u64,
    pub(super) sequence: u64,
}

impl Target {
    /// The reader of the ring sees that the stream has ended.
    pub(super) fn leave(&mut self) {
        self.writer = None;
        self.mark = None;
    }

    /// Whether it goes on as it is.
    pub(super) fn is_as(&self, opening: &Opening) -> bool {
        self.writer.is_some() && opening.metadata == self.metadata && opening.path == self.path
    }

    /// Another writer comes, and those who look for loops find the way that its stream has gone.
    pub(super) fn begin(
        &mut self,
        ring: &str,
        owner: Owner,
        opening: Opening,
        stop: &Stop,
    ) -> Result<(), End> {
        self.leave();
        // First: a bridge that sees the writer has to find the path.
        self.mark = Some(mark(ring, &opening)?);
        match connect(ring, owner, &opening, stop) {
            Ok(writer) => self.writer = Some(writer),
            Err(end) => {
                self.leave();
                return Err(end);
            }
        }
        (self.metadata, self.path) = (opening.metadata, opening.path);
        Ok(())
    }
}

fn mark(ring: &str, opening: &Opening) -> Result<Mark, End> {
    Mark::new(ring, &opening.path).map_err(|error| match error {
        Error::ReaderAlreadyConnected { pid, .. } => End::Taken(format!(
            "another bridge, process {pid}, fills the buffer '{ring}': a ring has one writer, so no second bridge fills it"
        )),
        error => End::Refused(format!("loops cannot be noticed: {error}")),
    })
}

fn connect(ring: &str, owner: Owner, opening: &Opening, stop: &Stop) -> Result<Writer, End> {
    let config = WriterConfig::default().owner(owner);
    let mut patience = Patience::at_most(Duration::from_millis(500));
    let mut writer = Writer::connect_within(ring, config, &mut patience).map_err(|error| match error {
        Error::NotFound { .. } | Error::NotReady { .. } => End::RingGone,
        Error::WriterAlreadyConnected { .. } => {
            End::Taken(format!("{error}: a ring has one writer, so no second bridge fills it"))
        }
        error => End::Refused(error.to_string()),
    })?;
    if let Some(metadata) = &opening.metadata {
        // The reader first takes what its last writer has left.
        let mut go_on = || if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut patience = Patience::forever().asking(&mut go_on);
        writer.set_metadata_with(metadata, &mut patience).map_err(|error| match error {
            Error::MetadataInUse { .. } => End::Stopped,
            Error::ReaderGone { .. } => End::RingGone,
            error => End::Refused(error.to_string()),
        })?;
    }
    Ok(writer)
}
