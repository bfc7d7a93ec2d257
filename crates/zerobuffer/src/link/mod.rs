//! What both endpoints share.

mod accessors;
mod keepalive;
#[allow(clippy::module_inception, reason = "the folder is named after its main type")]
mod link;
pub(crate) mod owner;
mod patience;
mod peer;
#[cfg(feature = "async")]
pub(crate) mod reactor;
mod still;
mod waiter;

pub(crate) use accessors::{buffer_accessors, debug_line, handle_controls};
pub use keepalive::Keepalive;
pub(crate) use link::Link;
pub use patience::Patience;
pub(crate) use peer::Peer;
pub(crate) use still::Still;
pub(crate) use waiter::Waiter;
