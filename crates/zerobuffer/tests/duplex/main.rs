//! Duplex channels between processes: the scenarios of the protocol's feature files, order, deaths,
//! and other implementations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod agent;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod failures;
mod flood;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod interop;
mod life;
mod manners;
mod metadata;
mod pool;
mod room;
mod scenarios;
mod sequence;
mod several;

use common::{Name, Peer};
use std::time::Duration;
use zerobuffer::duplex::{Client, ClientConfig};

/// Longer than anything takes; only a fault meets it.
const LONG: Duration = Duration::from_secs(30);
/// A small response buffer: most tests need no more.
const SMALL: u64 = 1 << 20;

/// A channel whose buffers are gone when the test is over.
struct Channel {
    name: String,
    request: Name,
    response: Name,
}

impl Channel {
    fn new(tag: &str) -> Self {
        let base = Name::new(tag);
        let name = base.to_string();
        Self {
            request: Name::of(&format!("{name}_request")),
            response: Name::of(&format!("{name}_response")),
            name,
        }
    }

    fn connect(&self) -> Client {
        self.connect_with(SMALL)
    }

    fn connect_with(&self, response_size: u64) -> Client {
        let config = ClientConfig::default().response_size(response_size).connect_timeout(LONG);
        Client::connect_with(&self.name, config).unwrap()
    }

    #[track_caller]
    fn assert_gone(&self) {
        self.request.assert_gone();
        self.response.assert_gone();
    }
}

impl Drop for Channel {
    /// Removes what a server that was killed has left of its clients' channels.
    fn drop(&mut self) {
        for path in several::files(self) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A process that serves `channel`; further words are the agent's options.
fn server(channel: &Channel, handler: &str, options: &str) -> Peer {
    let mut server = agent::start();
    server.must(&format!("serve {} {handler} {options}", channel.name));
    server
}

/// Waits until `condition`, which another process brings about.
#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < LONG, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
