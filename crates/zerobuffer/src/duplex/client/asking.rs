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
    /// The client on a channel that the server of `channel` has made for it, or on the plain one of
    /// a server that makes none. `None`: the entrance is taken all the time.
    pub(super) fn connect_to_own(
        channel: &str,
        config: &ClientConfig,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Self>> {
        let started = Instant::now();
        let mut queue = Queue::default();
        let mut wait = Wait::begin(started);
        let mut pause = RETRY_EVERY;
        loop {
            let looked = Instant::now();
            find_server(channel, patience)?;
            wait.leave_out(looked.elapsed());
            let missed = match ask(channel, config, patience, &mut queue) {
                Ok(None) => match Self::connect_to(channel, config, patience) {
                    // Another server has come in between, which has one.
                    result if matches!(find_entrance(channel), Ok(Some(_))) => {
                        drop(result);
                        closing(channel)
                    }
                    result => return result.map(Some),
                },
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
                    // It has had its turn at the entrance.
                    wait = Wait::begin(Instant::now());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            let until = wait.until(queue, now);
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

/// How long the entrance is tried.
struct Wait {
    started: Instant,
    /// What the queue was at last, and since when.
    last: Queue,
    since: Instant,
}

impl Wait {
    fn begin(now: Instant) -> Self {
        Self { started: now, last: Queue::default(), since: now }
    }

    /// Time without a server is none at its entrance.
    fn leave_out(&mut self, time: Duration) {
        self.started += time;
        self.since += time;
    }

    /// When it ends. The queue is `queue` now.
    fn until(&mut self, queue: Queue, now: Instant) -> Instant {
        if queue != self.last {
            (self.last, self.since) = (queue, now);
        }
        (self.since + ASKING).min(self.started + LONGEST_QUEUE)
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

/// The entrance of the channel's server; `None`: it has none.
fn find_entrance(channel: &str) -> Result<Option<BufferInfo>> {
    // Clients that do not know each other ask here, so a name that is too long is that of a server
    // without one. What another process has called so is none either.
    let server = |info: &BufferInfo| info.reader.filter(|reader| reader.alive).map(|reader| reader.pid);
    let there = observe::inspect(&request_name(&entrance::of(channel)));
    let plain = match observe::inspect(&request_name(channel)) {
        // It was there a moment ago. A server closes this one first.
        Err(Error::NotFound { .. }) => return Err(closing(channel)),
        plain => plain.ok().as_ref().and_then(server),
    };
    let is_entrance = |there: &BufferInfo| {
        (there.payload_size, there.metadata_size) == (entrance::RING, 0)
            && plain.is_some()
            && plain == server(there)
    };
    Ok(there.ok().filter(is_entrance))
}

/// Asks for a channel. `None`: the server has no entrance.
fn ask(
    channel: &str,
    config: &ClientConfig,
    patience: &mut Patience<'_>,
    queue: &mut Queue,
) -> Result<Option<String>> {
    let Some(there) = find_entrance(channel)? else { return Ok(None) };
    let entrance = entrance::of(channel);
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_queue_that_moves_is_waited_for_and_not_for_ever() {
        let started = Instant::now();
        let mut wait = Wait::begin(started);
        // One process with many clients, or one that asks without end.
        for second in 1..60 {
            let (queue, now) = (Queue { pid: 7, questions: second.into() }, started + SECOND * second);
            assert_eq!(wait.until(queue, now), (now + ASKING).min(started + LONGEST_QUEUE));
            assert!(now < wait.until(queue, now), "after {second} s");
        }
        let queue = Queue { pid: 7, questions: 60 };
        assert_eq!(wait.until(queue, started + SECOND * 60), started + SECOND * 60);
    }

    #[test]
    fn the_time_without_a_server_does_not_count() {
        let started = Instant::now();
        let mut wait = Wait::begin(started);
        let queue = Queue { pid: 7, questions: 3 };
        assert_eq!(wait.until(queue, started), started + ASKING);
        // Its clients have waited for the next server for long, and come all at once.
        wait.leave_out(SECOND * 100);
        assert_eq!(wait.until(queue, started + SECOND * 101), started + SECOND * 100 + ASKING);
        let next = Queue { pid: 8, questions: 1 };
        let now = started + SECOND * 102;
        assert_eq!(wait.until(next, now), now + ASKING);
        let late = started + SECOND * 159;
        assert_eq!(wait.until(Queue { pid: 9, questions: 2 }, late), started + SECOND * 160);
    }

    #[test]
    fn a_queue_that_stands_is_waited_for_as_long_as_a_question_may_take() {
        let started = Instant::now();
        let mut wait = Wait::begin(started);
        let queue = Queue { pid: 7, questions: 3 };
        let met = started + SECOND * 2;
        for second in 2..10 {
            assert_eq!(wait.until(queue, started + SECOND * second), met + ASKING);
        }
        // Another one is there.
        let later = started + SECOND * 10;
        assert_eq!(wait.until(Queue { pid: 8, ..queue }, later), later + ASKING);
    }
}
