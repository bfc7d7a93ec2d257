//! A server's client.

use super::{
    super::Failure,
    handler::{HandlerResult, caught},
    run::Run,
    turns::Turns,
};
use crate::{error::Result, reader::Metadata, sync::lock};
use std::sync::Arc;

/// A client with a way back to it.
pub(super) struct Connected {
    pub(super) turns: Arc<Turns>,
    /// It is known to have written metadata.
    pub(super) knows_metadata: bool,
}

impl Connected {
    pub(super) fn new(turns: Arc<Turns>) -> Self {
        Self { turns, knows_metadata: false }
    }

    /// Before the client's first request. `seen`: its metadata, if they were looked at before.
    pub(super) fn begin(&mut self, run: &Run, seen: Option<Result<Option<Metadata>>>) {
        let handle = lock(&run.handle).clone();
        let metadata = seen.unwrap_or_else(|| handle.metadata());
        self.knows_metadata = !matches!(metadata, Ok(None));
        if let Ok(Some(metadata)) = &metadata {
            handle.keep_metadata(metadata);
        }
        let Some(on_init) = &run.config.on_init else { return };
        let outcome: HandlerResult = match metadata {
            Ok(metadata) => caught(|| on_init(metadata.as_deref())),
            Err(error) => Err(error.into()),
        };
        if let Err(source) = outcome {
            run.report(&Failure::Init { channel: run.channel.clone(), source });
        }
    }
}
