//! The C library: `zerobuffer.h`.
//!
//! A handle is a number that looks like a pointer (`slots.rs`). It has the number of a place in a
//! table, of its generation and of its kind. It is never followed, so a closed, doubly released or
//! foreign one gives a status. Only memory that the caller describes (texts, data, places for
//! results) is followed, which is what the `# Safety` sections are about.
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(non_camel_case_types, reason = "the names of the C interface")]
#![allow(clippy::inline_always, reason = "measured: a frame that is moved costs as much as the call")]
#![allow(clippy::doc_markdown, reason = "the comments become those of the header")]

mod arguments;
mod bias;
mod border;
mod broadcaster;
mod client;
mod event;
mod fault;
mod frame;
mod last_error;
mod logging;
mod newest;
mod observe;
mod options;
mod reader;
mod responder;
mod server;
mod slots;
mod stat;
mod status;
mod table;
mod tap;
mod version;
mod writer;

pub use broadcaster::*;
pub use client::*;
pub use frame::*;
pub use last_error::zb_last_error;
pub use logging::*;
pub use newest::*;
pub use observe::*;
pub use options::*;
pub use reader::*;
pub use responder::*;
pub use server::*;
pub use stat::*;
pub use status::*;
pub use tap::*;
pub use version::*;
pub use writer::*;
