//! The protocol over an abstract region: cursors, placement, publishing, crediting, recovery. No OS calls.
#![forbid(unsafe_code)]

mod consumer;
mod credit;
mod fault;
mod placement;
mod producer;
mod recovery;

pub(crate) use consumer::Consumer;
pub(crate) use credit::Credit;
pub(crate) use fault::Fault;
pub(crate) use producer::{Producer, Refusal, Shortage, Step};
pub(crate) use recovery::next_sequence;

/// Stands in `writer_pid` for "the dead writer's entry is being removed": no process has this number (W10).
pub(crate) const TOMBSTONE: u64 = 0x7fff_ffff;
