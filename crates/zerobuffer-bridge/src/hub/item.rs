//! What a lane sends: openings, and frames.
use std::sync::Arc;

use crate::source::Payload;
use crate::wire::Opening;

/// How the stream is from some frame on.
#[derive(Debug, Default)]
pub(crate) struct Chapter {
    pub(crate) number: u64,
    pub(crate) run: u64,
    pub(crate) opening: Opening,
}

/// A frame that waits, or is under way.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) payload: Payload,
    pub(crate) sequence: u64,
    pub(crate) stamp: u64,
    pub(crate) chapter: Arc<Chapter>,
}

/// What is sent next.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) lost: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Open(Arc<Chapter>),
    Frame(Arc<Item>),
}
