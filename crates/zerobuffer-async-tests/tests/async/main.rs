//! Futures: the same suite under several executors, cancellation, deaths, forks, sandboxes, and
//! what waiting costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

#[path = "../../../zerobuffer/tests/duplex/agent.rs"]
mod agent;
mod bindings;
mod cancel;
#[path = "../../../zerobuffer/tests/common/mod.rs"]
mod common;
mod duplex;
mod events;
#[allow(unreachable_pub, reason = "they are programs of their own")]
mod examples;
mod executor;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod idle;
mod misuse;
mod refusals;
#[cfg(target_os = "linux")]
mod sandbox;
mod suite;
mod turns;
mod wakers;

use std::time::Duration;
use zerobuffer::{BufferConfig, Reader, Writer};

/// Longer than anything takes; only a fault meets it.
const LONG: Duration = Duration::from_secs(60);

/// Two ends of a ring of so many bytes.
fn pair(name: &str, ring: u64) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(ring).metadata(0)).unwrap();
    (reader, Writer::connect(name).unwrap())
}
