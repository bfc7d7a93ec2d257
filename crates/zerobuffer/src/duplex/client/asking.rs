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
    observe::{self, BufferInfo},
};
use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

/// How long another one that asks is waited for, and the answer.
const ASKING: Duration = Duration::from_secs(5);
/// How long all of them are waited for.
const LONGEST_QUEUE: Duration = Duration::from_secs(60);
/// How long one wait for the answer is, before the hook is asked.
const SLICE: Duration = Duration::from_millis(50);
/// Pause before the next attempt where another one asks, at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);
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
        let mut queue = Queue::default();
        // What the queue was, and since when.
        let (mut last, mut since) = (Queue::default(), started);
        let mut pause = RETRY_EVERY;
        loop {
            find_server(channel, patience)?;
            let missed = match ask(channel, config, patience, &mut queue) {
                Ok(None) => return Ok(None),
                // It was there when the server answered. If it is there no more, no wait brings it
                // back: the next server makes another one.
                Ok(Some(own)) => match Self::connect_to(&own, config, &mut at_once()) {
                    Err(error) if is_passing(&error) => error,
                    other => return other.map(Some),
                },
                Err(error) if is_passing(&error) => error,
                // The client's own predecessor may be about to leave.
                Err(error @ Error::TooManyClients { .. }) => {
                    if patience.pause(UNTIL_A_PLACE, started + config.succession).is_break() {
                        return Err(error);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            if queue != last {
                (last, since) = (queue, now);
            }
            let until = (since + ASKING).min(started + LONGEST_QUEUE);
            // Many that come at once leave each other the processor.
            let by_chance = u32::try_from(RandomState::new().hash_one(now) % 8).unwrap_or(0);
            pause = (2 * pause).min(LONGEST_PAUSE);
            if now < until && patience.pause(pause * (4 + by_chance) / 8, until).is_continue() {
                continue;
            }
            let Error::ClientAlreadyConnected { pid, .. } = missed else { return Err(missed) };
            log::warn!(target: "zerobuffer::duplex::client", "channel '{channel}': {pid} asks for a channel, and does not go on; the plain one is taken");
            return Ok(None);
        }
    }
}

/// The client that is at the entrance, and the questions before. Where both stay as they are, that
/// client does not go on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Queue {
    pid: u64,
    questions: u64,
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
fn ask(
    channel: &str,
    config: &ClientConfig,
    patience: &mut Patience<'_>,
    queue: &mut Queue,
) -> Result<Option<String>> {
    let entrance = entrance::of(channel);
    // Clients that do not know each other ask here, so a name that is too long is that of a server
    // without one. What another process has called so is none either.
    let server = |info: &BufferInfo| info.reader.filter(|reader| reader.alive).map(|reader| reader.pid);
    let there = observe::inspect(&request_name(&entrance));
    let plain = match observe::inspect(&request_name(channel)) {
        // It was there a moment ago. A server closes this one first.
        Err(Error::NotFound { .. }) => return Err(closing(channel)),
        plain => plain.ok().as_ref().and_then(server),
    };
    let Ok(there) = there else { return Ok(None) };
    let is_entrance = (there.payload_size, there.metadata_size) == (entrance::RING, 0);
    if plain.is_none() || plain != server(&there) || !is_entrance {
        return Ok(None);
    }
    queue.questions = there.last_sequence;
    // Looking costs less than trying, and many may come at once.
    if let Some(other) = there.writer.filter(|writer| writer.alive) {
        queue.pid = other.pid;
        return Err(Error::ClientAlreadyConnected { name: entrance, pid: other.pid });
    }
    let asking = ClientConfig {
        response_metadata_size: 0,
        response_size: Some(RESPONSE_RING),
        succession: Duration::ZERO,
        write_timeout: Some(Duration::ZERO),
        ..config.clone()
    };
    let client = Client::connect_to(&entrance, &asking, &mut at_once())?;
    let call = client.submit(entrance::ASK)?;
    let asked = Instant::now();
    let answer = loop {
        if let Some(answer) = call.wait(SLICE)? {
            break answer;
        }
        if asked.elapsed() >= ASKING || patience.pause(Duration::ZERO, asked + ASKING).is_break() {
            let (name, waited) = (channel.to_owned(), asked.elapsed());
            return Err(Error::NoResponse { name, request: call.sequence(), waited });
        }
    };
    match entrance::read(channel, answer.data()) {
        Some(Answer::Channel(own)) => Ok(Some(own)),
        Some(Answer::Closing) => Err(closing(channel)),
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

fn at_once() -> Patience<'static> {
    Patience::at_most(Duration::ZERO)
}

fn closing(channel: &str) -> Error {
    Error::ServerNotReady { name: channel.to_owned(), reason: "its server is just coming or going" }
}
