//! Where the requests of a channel leave this machine, and where their answers come back. The
//! client gets those in the order of its requests.
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use zenoh::Session;
use zenoh::Wait as _;
use zenoh::bytes::ZBytes;
use zenoh::handlers::CallbackDrop;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, QueryTarget, Reply};
use zenoh::sample::Locality;
use zerobuffer::Frame;
use zerobuffer::duplex::{HandlerError, Responder};

use super::visit::Visit;
use crate::stop::LOOK;
use crate::wire::{Ask, Trouble};
use crate::{keys, say};

/// Requests that may be under way.
const WINDOW: usize = 16;
/// The client's own time-out is what counts. The engine's only has to be longer.
const LONG: Duration = Duration::from_hours(240);

enum Answer {
    Response(ZBytes),
    Trouble(Trouble),
}

/// A request whose client waits.
struct Pending {
    number: u64,
    responder: Responder,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) bytes: u64,
    pub(super) failed: u64,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Pending>,
    /// Of all requests.
    number: u64,
    visit: Option<Visit>,
    counts: Counts,
    over: bool,
}

pub(super) struct Desk {
    session: Session,
    channel: String,
    offerer: String,
    stream: String,
    call: String,
    /// Bytes of the largest request that the other bridge takes.
    requests: u64,
    /// Bytes of the largest response that this one takes.
    responses: u64,
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    pub(super) fn new(
        session: &Session,
        channel: &str,
        offerer: &str,
        stream: &str,
        requests: u64,
        responses: u64,
    ) -> Desk {
        Desk {
            session: session.clone(),
            channel: channel.to_owned(),
            offerer: offerer.to_owned(),
            stream: stream.to_owned(),
            call: keys::call(offerer, stream),
            requests,
            responses,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// No answer is waited for any more.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// After the server's end: now nobody hears what a responder that is dropped says.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        let (pending, visit) = (std::mem::take(&mut state.pending), state.visit.take());
        state.counts.failed += pending.len() as u64;
        drop(state);
        drop((pending, visit));
    }

    /// A client has its first request.
    pub(super) fn client_comes(&self, metadata: Option<&[u8]>) {
        self.client_goes();
        match Visit::begin(&self.session, &self.offerer, &self.stream, metadata) {
            Ok(visit) => self.lock().visit = Some(visit),
            Err(error) => {
                say::warn(&format!("{}: the engine does not announce a client: {error}", self.stream));
                self.end();
            }
        }
    }

    pub(super) fn client_goes(&self) {
        let mut state = self.lock();
        let (pending, visit) = (std::mem::take(&mut state.pending), state.visit.take());
        state.counts.failed += pending.len() as u64;
        drop(state);
        // The engine learns of it, and responders leave their turns, without the lock.
        drop((pending, visit));
        self.changed.notify_all();
    }

    /// A request of the client. This is the server's thread: the order of requests is that in which
    /// they leave here.
    pub(super) fn ask(self: &Arc<Desk>, request: Frame, responder: Responder) -> Result<(), HandlerError> {
        let length = request.len() as u64;
        if length > self.requests {
            let message =
                format!("a request of {length} bytes; the bridge at the server takes {}", self.requests);
            return Err(HandlerError::new("too-large", message));
        }
        let largest = responder.buffer().capacity().saturating_sub(16).min(self.responses);
        let mut state = self.lock();
        while state.pending.len() >= WINDOW && !state.over && responder.is_client_connected() {
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        let State { pending, number, visit, over, .. } = &mut *state;
        *number += 1;
        let number = *number;
        if *over {
            // The server is about to stop, which is what the client is to learn.
            pending.push_back(Pending { number, responder, answer: None });
            return Ok(());
        }
        // Without one the client has just left.
        let Some(visit) = visit else { return Ok(()) };
        let ask = visit.next(length, largest);
        pending.push_back(Pending { number, responder, answer: None });
        drop(state);
        if let Err(error) = self.send(request, &ask, number) {
            say::warn(&format!("{}: the engine does not send: {error}", self.stream));
            self.end();
        }
        Ok(())
    }

    fn send(self: &Arc<Desk>, request: Frame, ask: &Ask, number: u64) -> zenoh::Result<()> {
        let (hears, ends) = (Arc::clone(self), Arc::clone(self));
        let handler = CallbackDrop {
            callback: move |reply: Reply| hears.hear(number, reply),
            drop: move || ends.final_word(number),
        };
        self.session
            .get(self.call.as_str())
            // Lent, not copied: the ring gets its space back when the engine has sent it.
            .payload(Bytes::from_owner(request))
            .attachment(ask.encode())
            .target(QueryTarget::BestMatching)
            .consolidation(ConsolidationMode::None)
            .congestion_control(CongestionControl::Block)
            .priority(Priority::Data)
            .allowed_destination(Locality::Remote)
            .timeout(LONG)
            .with(handler)
            .wait()
    }

    /// The engine's thread: nothing is waited for.
    fn hear(&self, number: u64, reply: Reply) {
        let answer = match reply.into_result() {
            Ok(sample) => Answer::Response(sample.payload().clone()),
            Err(error) => Answer::Trouble(Trouble::decode(error.payload())),
        };
        let mut state = self.lock();
        if let Some(pending) = state.pending.iter_mut().find(|pending| pending.number == number) {
            pending.answer.get_or_insert(answer);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more comes for a request. Without an answer its server is gone or out of reach.
    fn final_word(&self, number: u64) {
        let state = self.lock();
        let lost = state.pending.iter().any(|pending| pending.number == number && pending.answer.is_none());
        drop(state);
        if lost {
            self.end();
        }
    }

    /// Gives the client its answers until the end.
    pub(super) fn post_all(&self) {
        loop {
            let mut state = self.lock();
            let is_due = |state: &State| state.pending.front().is_some_and(|first| first.answer.is_some());
            while !is_due(&state) && !state.over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // What has come before the end still gets to the client.
            if !is_due(&state) {
                return;
            }
            let Some(Pending { responder, answer: Some(answer), .. }) = state.pending.pop_front() else {
                return;
            };
            drop(state);
            self.changed.notify_all();
            let posted = self.post(responder, answer);
            let mut state = self.lock();
            match posted {
                Some(bytes) => {
                    (state.counts.answered, state.counts.bytes) =
                        (state.counts.answered + 1, state.counts.bytes + bytes)
                }
                None => state.counts.failed += 1,
            }
        }
    }

    /// Bytes of a response that the client has.
    fn post(&self, mut responder: Responder, answer: Answer) -> Option<u64> {
        match answer {
            Answer::Response(bytes) if !bytes.is_empty() => {
                // The client learns of what does not fit, or finds no room.
                let mut loan = responder.loan(bytes.len()).ok()?;
                let mut room = &mut loan[..];
                for slice in bytes.slices() {
                    let (target, rest) = std::mem::take(&mut room).split_at_mut_checked(slice.len())?;
                    target.copy_from_slice(slice);
                    room = rest;
                }
                loan.commit().ok().map(|_| bytes.len() as u64)
            }
            Answer::Response(_) => {
                let trouble = Trouble::new("bridge", "the other bridge has sent a response of 0 bytes");
                self.tell(&mut responder, trouble);
                None
            }
            Answer::Trouble(trouble) => {
                self.tell(&mut responder, trouble);
                None
            }
        }
    }

    fn tell(&self, responder: &mut Responder, trouble: Trouble) {
        let error = trouble.into_error(&self.channel, responder.sequence());
        let _ = responder.fail_with(&error);
    }
}
