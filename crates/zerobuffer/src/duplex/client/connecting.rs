//! A client's way in: is there a server, and is the response buffer's name free?

use super::super::{ClientConfig, request_name, response_name};
use crate::{
    config::BufferConfig,
    error::{Error, Result},
    observe,
    reader::Reader,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a server is given to finish the buffer that it is creating.
const HALF_MADE: Duration = Duration::from_millis(500);
/// Pause between two looks for a server.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until a server reads the channel's requests, and says how large their ring is. Nothing is touched.
pub(super) fn look_for_server(channel: &str, started: Instant, patience: Duration) -> Result<u64> {
    let name = request_name(channel);
    loop {
        let missing = match observe::inspect(&name) {
            Ok(info) if info.reader.is_some_and(|reader| reader.alive) => return Ok(info.payload_size),
            Ok(info) if info.reader.is_some() => {
                Error::NotReady { name: name.clone(), reason: "its server is dead; start a new one" }
            }
            Ok(_) => Error::NotReady { name: name.clone(), reason: "its server has closed it" },
            Err(Error::NotFound { name, .. }) => {
                let waited = if patience.is_zero() { patience } else { started.elapsed() };
                Error::NotFound { name, waited }
            }
            Err(error) if started.elapsed() >= HALF_MADE => return Err(error),
            // It may be half made.
            Err(_) => {
                thread::sleep(PAUSE);
                continue;
            }
        };
        let waited = started.elapsed();
        if waited >= patience {
            return Err(missing);
        }
        thread::sleep(PAUSE.min(patience.saturating_sub(waited)));
    }
}

/// Creates the response buffer, beside a request ring of so many bytes.
pub(super) fn create_response_buffer(channel: &str, config: &ClientConfig, requests: u64) -> Result<Reader> {
    let name = response_name(channel);
    let started = Instant::now();
    loop {
        let mut buffer = BufferConfig::ring(config.responses_for(requests))
            .metadata(config.response_metadata_size)
            .global(config.global)
            .wait(config.wait)
            // Reserved, but not mapped: most channels use a small part of it.
            .prefault(false)
            .free_sequences(true);
        buffer.mode = config.mode;
        match Reader::create(&name, buffer) {
            Err(Error::NoSpace { name, needed, available }) => {
                return Err(Error::NoResponseSpace { name, needed, available });
            }
            // A client that closes leaves its two buffers one after the other.
            Err(Error::ReaderAlreadyConnected { .. })
                if started.elapsed() < config.succession.max(config.connect_timeout) =>
            {
                thread::sleep(PAUSE);
            }
            // What reads responses is a client.
            Err(Error::ReaderAlreadyConnected { pid, .. }) => {
                return Err(Error::ClientAlreadyConnected { name: channel.to_owned(), pid });
            }
            other => return other,
        }
    }
}
