//! How a client comes to a channel of its own (D10).

use super::{
    super::{
        ClientConfig,
        entrance::{self, Answer},
        request_name,
    },
    Client,
    connecting::{RETRY_EVERY, find_server},
};
use crate::{
    error::{Error, Result},
    link::Patience,
    observe,
};
use std::time::{Duration, Instant};

/// How long others that ask are waited for, and the answer.
const ASKING: Duration = Duration::from_secs(5);
/// How long one wait for the answer is, before the hook is asked.
const SLICE: Duration = Duration::from_millis(50);
/// Pause before the next question for a place.
const UNTIL_A_PLACE: Duration = Duration::from_millis(20);
/// Bytes of the ring that takes the answer.
const RESPONSE_RING: u64 = 4096;

impl Client {
    /// The client on a channel that the server of `channel` has made for it. `None`: the server
    /// makes none, so there is the plain channel.
    pub(super) fn connect_to_own(
        channel: &str,
        config: &ClientConfig,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Self>> {
        let started = Instant::now();
        loop {
            find_server(channel, patience)?;
            let missed = match ask(channel, config, patience) {
                Ok(None) => return Ok(None),
                Ok(Some(own)) => match Self::connect_to(&own, config, patience) {
                    // It was given up meanwhile: this process was stopped for long, or the server.
                    Err(error) if is_passing(&error) => error,
                    other => return other.map(Some),
                },
                Err(error) if is_passing(&error) => error,
                Err(error @ Error::TooManyClients { .. }) => {
                    if patience.pause(UNTIL_A_PLACE, Instant::now()).is_break() {
                        return Err(error);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if patience.pause(RETRY_EVERY, started + ASKING).is_break() {
                if let Error::ClientAlreadyConnected { pid, .. } = missed {
                    log::warn!(target: "zerobuffer::duplex::client", "channel '{channel}': {pid} asks for a channel, and does not go on; the plain one is taken");
                    return Ok(None);
                }
                return Err(missed);
            }
        }
    }
}

/// Whether a next attempt may be met by another answer.
fn is_passing(error: &Error) -> bool {
    error.is_peer_gone()
        || matches!(
            error,
            Error::NoServer { .. }
                | Error::ServerNotReady { .. }
                | Error::NotReady { .. }
                | Error::ClientAlreadyConnected { .. }
                | Error::WriterAlreadyConnected { .. }
                | Error::CrashNotNoticed { .. }
                | Error::NoResponse { .. }
        )
}

/// Asks for a channel. `None`: the server has no entrance.
fn ask(channel: &str, config: &ClientConfig, patience: &mut Patience<'_>) -> Result<Option<String>> {
    let entrance = entrance::of(channel);
    // Clients that do not know each other ask here, so a name that is too long is that of a server
    // without one. What another process has called so is none either.
    let server = |channel: &str| {
        let reader = observe::inspect(&request_name(channel)).ok()?.reader?;
        reader.alive.then_some(reader.pid)
    };
    let asked = server(&entrance);
    if asked.is_none() || asked != server(channel) {
        return Ok(None);
    }
    let asking = ClientConfig {
        response_metadata_size: 0,
        response_size: Some(RESPONSE_RING),
        succession: Duration::ZERO,
        write_timeout: Some(Duration::ZERO),
        ..config.clone()
    };
    let client = Client::connect_to(&entrance, &asking, &mut Patience::at_most(Duration::ZERO))?;
    let call = client.submit(entrance::ASK)?;
    let asked = Instant::now();
    let answer = loop {
        if let Some(answer) = call.wait(SLICE)? {
            break answer;
        }
        if patience.pause(Duration::ZERO, asked + ASKING).is_break() {
            let (name, waited) = (channel.to_owned(), asked.elapsed());
            return Err(Error::NoResponse { name, request: call.sequence(), waited });
        }
    };
    match entrance::read(channel, answer.data()) {
        Some(Answer::Channel(own)) => Ok(Some(own)),
        Some(Answer::Full { clients, most }) => {
            Err(Error::TooManyClients { name: channel.to_owned(), clients, most })
        }
        None => Err(Error::Remote {
            name: channel.to_owned(),
            request: call.sequence(),
            kind: "channel".to_owned(),
            message: "what the server said to the question for a channel is not understood".to_owned(),
            detail: String::new(),
        }),
    }
}
