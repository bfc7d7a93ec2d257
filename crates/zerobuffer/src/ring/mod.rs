//! The protocol over an abstract region: cursors, placement, publishing, crediting, recovery. No OS
//! calls.
//!
//! A ring is in native form while a native writer writes for a native reader. Else it is in legacy
//! form, which is that of all other implementations. [`Producer`] and [`Consumer`] are the fronts
//! of both.
#![forbid(unsafe_code)]

mod consumer;
mod credit;
mod fault;
mod legacy;
pub(crate) mod metadata;
mod native;
mod producer;
mod shortage;

pub(crate) use consumer::Consumer;
pub(crate) use credit::Credit;
pub(crate) use fault::Fault;
pub(crate) use legacy::unread_frames;
pub(crate) use metadata::MetadataState;
pub(crate) use producer::{Attach, Producer, reader_movement};
pub(crate) use shortage::{Refusal, Shortage};
