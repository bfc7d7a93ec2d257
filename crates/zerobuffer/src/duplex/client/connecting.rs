//! A client's way in: is there a server, and is the response buffer's name free?

use super::super::{ClientConfig, request_name, response_name};
use crate::{
    config::BufferConfig,
    error::{Error, Result},
    link::Patience,
    observe,
    reader::Reader,
};
use std::time::{Duration, Instant};

/// How long a server is given to finish the buffer that it is creating.
const HALF_MADE: Duration = Duration::from_millis(500);
/// Pause between two looks for a server.
pub(super) const RETRY_EVERY: Duration = Duration::from_millis(2);

/// Waits until a server reads the channel's requests, and says how large their ring is. Nothing is
/// touched.
pub(super) fn find_server(channel: &str, patience: &mut Patience<'_>) -> Result<u64> {
    let name = request_name(channel);
    let started = Instant::now();
    loop {
        let not_ready = |reason| Error::ServerNotReady { name: channel.to_owned(), reason };
        let (missing, grace) = match observe::inspect(&name) {
            Ok(info) if info.reader.is_some_and(|reader| reader.alive) => return Ok(info.payload_size),
            Ok(info) if info.reader.is_some() => {
                (not_ready("its server is dead; start a new one"), Duration::ZERO)
            }
            Ok(_) => (not_ready("its server has closed it"), Duration::ZERO),
            Err(error @ Error::NotFound { .. }) => (error, Duration::ZERO),
            Err(error) if started.elapsed() >= HALF_MADE => return Err(error),
            // It may be half made.
            Err(error) => (error, HALF_MADE),
        };
        if patience.pause(RETRY_EVERY, started + grace).is_break() {
            return Err(of_channel(channel, missing, patience));
        }
    }
}

/// What an error about the request buffer means to a client.
pub(super) fn of_channel(channel: &str, error: Error, patience: &Patience<'_>) -> Error {
    let name = channel.to_owned();
    match error {
        Error::NotFound { .. } => Error::NoServer { name, waited: patience.waited() },
        Error::NotReady { .. } => {
            Error::ServerNotReady { name, reason: "its server is just coming or going" }
        }
        other => other,
    }
}

/// Creates the response buffer, beside a request ring of so many bytes.
pub(super) fn create_response_buffer(
    channel: &str,
    config: &ClientConfig,
    requests: u64,
    patience: &mut Patience<'_>,
) -> Result<Reader> {
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
        let taken_by = match Reader::create(&name, buffer) {
            Err(Error::NoSpace { name, needed, available }) => {
                return Err(Error::NoResponseSpace { name, needed, available });
            }
            Err(Error::ReaderAlreadyConnected { pid, .. }) => pid,
            other => return other,
        };
        // A client that closes leaves its two buffers one after the other.
        if patience.pause(RETRY_EVERY, started + config.succession).is_break() {
            // What reads responses is a client.
            return Err(Error::ClientAlreadyConnected { name: channel.to_owned(), pid: taken_by });
        }
    }
}
