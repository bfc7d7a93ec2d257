//! What both endpoints share.

mod keepalive;

pub use keepalive::Keepalive;
