//! A server's client.

use super::{
    super::{Failure, config::OnInit},
    handler::{HandlerResult, caught},
    pool::{JobEnd, Share},
    run::Run,
    stop::Stop,
    turns::Turns,
};
use crate::{config::WAIT_SLICE, error::Result, reader::Metadata, sync::lock};
use std::sync::{Arc, mpsc};

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
    /// `pool` calls the application if its threads are the only ones that may.
    pub(super) fn begin(
        &mut self,
        run: &Arc<Run>,
        seen: Option<Result<Option<Metadata>>>,
        pool: Option<&Share>,
    ) {
        let handle = lock(&run.handle).clone();
        let metadata = seen.unwrap_or_else(|| handle.metadata());
        self.knows_metadata = !matches!(metadata, Ok(None));
        if let Ok(Some(metadata)) = &metadata {
            handle.keep_metadata(metadata);
        }
        let Some(on_init) = &run.config.on_init else { return };
        let outcome: HandlerResult = match (metadata, pool) {
            (Ok(metadata), Some(pool)) => called_by(pool, run, on_init, metadata.as_deref()),
            (Ok(metadata), None) => caught(|| on_init(metadata.as_deref())),
            (Err(error), _) => Err(error.into()),
        };
        if let Err(source) = outcome {
            run.report(&Failure::Init { channel: run.channel.clone(), source });
        }
    }
}

/// Calls the application on a thread of the pool, and waits for that.
fn called_by(pool: &Share, run: &Arc<Run>, on_init: &OnInit, metadata: Option<&[u8]>) -> HandlerResult {
    let (on_init, metadata) = (Arc::clone(on_init), metadata.map(<[u8]>::to_vec));
    let (told, outcome) = mpsc::channel();
    let stopping = Arc::clone(run);
    pool.run(move |fate| {
        if fate == JobEnd::Handled && !stopping.is_asked(Stop::Now) {
            // The receiver waits.
            let _ = told.send(caught(|| on_init(metadata.as_deref())));
        }
    });
    loop {
        match outcome.recv_timeout(WAIT_SLICE) {
            // A handler that is busy may be so for long.
            Err(mpsc::RecvTimeoutError::Timeout) if run.is_asked(Stop::Now) => pool.cancel(),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(outcome) => return outcome,
        }
    }
}
