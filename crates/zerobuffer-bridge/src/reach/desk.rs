//! Where the requests of a channel leave this machine, and where their answers come back. Each
//! client gets those in the order of its requests.
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use zenoh::Session;
use zenoh::Wait as _;
use zenoh::bytes::ZBytes;
use zenoh::handlers::CallbackDrop;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, QueryTarget, Reply};
use zenoh::sample::Locality;
use zerobuffer::duplex::{HandlerError, Responder};
use zerobuffer::{Frame, WriterHandle};

use super::visit::Visit;
use crate::stop::LOOK;
use crate::wire::{Ask, Trouble};
use crate::{keys, say};

/// Requests of one client that may be under way.
const WINDOW: usize = 16;
/// The client's own time-out is what counts. The engine's only has to be longer.
const LONG: Duration = Duration::from_hours(240);
/// How long an answer waits here for room in the ring of a client that is one of several.
const ROOM: Duration = Duration::from_secs(5);
/// Between two looks for that room.
const ROOM_LOOK: Duration = Duration::from_millis(5);

enum Answer {
    Response(ZBytes),
    Trouble(Trouble),
}

impl Answer {
    /// Bytes of the client's ring that it takes, about.
    fn room(&self) -> u64 {
        match self {
            Answer::Response(bytes) => bytes.len() as u64 + 32,
            Answer::Trouble(_) => 0,
        }
    }
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
    pub(super) clients: u64,
}

/// One client of this machine.
struct Client {
    visit: Visit,
    ring: WriterHandle,
    /// Requests beyond those that may be under way. They keep their place in the request ring: its
    /// size bounds them.
    waiting: VecDeque<(Frame, Responder)>,
    pending: VecDeque<Pending>,
    /// Since when its next answer finds no room.
    full_since: Option<Instant>,
}

impl Client {
    /// Whether its next answer is there, and can be given to it without a wait.
    fn is_due(&mut self, waits_for_room: bool, now: Instant) -> bool {
        let Some(answer) = self.pending.front().and_then(|first| first.answer.as_ref()) else { return false };
        if !waits_for_room {
            return true;
        }
        let used = self.ring.utilization();
        let free = (1.0 - used) * self.ring.capacity() as f64;
        // One that fits no ring of this size is sent all the same: the client learns of it by that.
        let is_due =
            used == 0.0 || free >= answer.room() as f64 || now >= *self.full_since.get_or_insert(now) + ROOM;
        if is_due {
            self.full_since = None;
        }
        is_due
    }

    /// Requests that get no answer.
    fn left(&self) -> u64 {
        (self.waiting.len() + self.pending.len()) as u64
    }
}

#[derive(Default)]
struct State {
    /// By their channels.
    clients: BTreeMap<String, Client>,
    /// Of all requests.
    number: u64,
    counts: Counts,
    /// Of requests that came after the end: their clients are to learn of the end, and of nothing
    /// else.
    late: Vec<Responder>,
    over: bool,
}

impl State {
    /// The first client after `last` whose next answer can be given to it. Without one: whether one
    /// waits for room.
    fn due(&mut self, last: &str, several: bool) -> Result<String, bool> {
        let (waits_for_room, now) = (several && !self.over, Instant::now());
        let is_due = |client: &mut Client| client.is_due(waits_for_room, now);
        let after = (Bound::Excluded(last), Bound::Unbounded);
        let found =
            self.clients.range_mut::<str, _>(after).find_map(|(name, client)| is_due(client).then_some(name));
        if let Some(name) = found {
            return Ok(name.clone());
        }
        let found = self.clients.iter_mut().find_map(|(name, client)| is_due(client).then_some(name));
        found.cloned().ok_or_else(|| self.clients.values().any(|client| client.full_since.is_some()))
    }
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
    /// Several clients are served at the same time, by one thread: it waits for none of them.
    several: bool,
    state: Mutex<State>,
    changed: Condvar,
    /// The thread that has it sends: the order of requests is that in which they leave here.
    sending: Mutex<()>,
}

impl Desk {
    pub(super) fn new(
        session: &Session,
        channel: &str,
        offerer: &str,
        stream: &str,
        (requests, responses): (u64, u64),
        several: bool,
    ) -> Desk {
        Desk {
            session: session.clone(),
            channel: channel.to_owned(),
            offerer: offerer.to_owned(),
            stream: stream.to_owned(),
            call: keys::call(offerer, stream),
            requests,
            responses,
            several,
            state: Mutex::default(),
            changed: Condvar::new(),
            sending: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts { clients: state.clients.len() as u64, ..state.counts }
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
        let (clients, late) = (std::mem::take(&mut state.clients), std::mem::take(&mut state.late));
        state.counts.failed += clients.values().map(Client::left).sum::<u64>() + late.len() as u64;
        drop(state);
        drop((clients, late));
    }

    /// The client of that channel has left.
    pub(super) fn client_goes(&self, channel: &str) {
        let mut state = self.lock();
        let client = state.clients.remove(channel);
        state.counts.failed += client.as_ref().map_or(0, Client::left);
        drop(state);
        // The engine learns of it, and responders leave their turns, without the lock.
        drop(client);
        self.changed.notify_all();
    }

    /// Clients that left while one of their requests was on its way to here.
    pub(super) fn sweep(&self) {
        if !self.several {
            return;
        }
        let state = self.lock();
        let has_left = |(_, client): &(&String, &Client)| !client.ring.is_reader_connected();
        let left: Vec<_> =
            state.clients.iter().filter(has_left).map(|(channel, _)| channel.clone()).collect();
        drop(state);
        left.iter().for_each(|channel| self.client_goes(channel));
    }

    /// A request of a client. This is the server's thread.
    pub(super) fn ask(self: &Arc<Desk>, request: Frame, responder: Responder) -> Result<(), HandlerError> {
        let length = request.len() as u64;
        if length > self.requests {
            let message =
                format!("a request of {length} bytes; the bridge at the server takes {}", self.requests);
            return Err(HandlerError::new("too-large", message));
        }
        if !self.is_met(&responder)? {
            return Ok(());
        }
        let channel = responder.channel().to_owned();
        let mut state = self.lock();
        let is_busy =
            |state: &State| state.clients.get(&channel).is_some_and(|client| client.pending.len() >= WINDOW);
        while !self.several && is_busy(&state) && !state.over && responder.is_client_connected() {
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.over {
            // The server is about to stop, which is what the client is to learn.
            state.late.push(responder);
            return Ok(());
        }
        // Without one the client has just left.
        let Some(client) = state.clients.get_mut(&channel) else { return Ok(()) };
        client.waiting.push_back((request, responder));
        drop(state);
        self.send_on(&channel);
        Ok(())
    }

    /// Announces the client with its first request. `false`: it has left.
    fn is_met(&self, responder: &Responder) -> Result<bool, HandlerError> {
        let state = self.lock();
        if state.over || state.clients.contains_key(responder.channel()) {
            return Ok(true);
        }
        drop(state);
        if !responder.is_client_connected() {
            return Ok(false);
        }
        let metadata = responder.requests().metadata();
        let metadata = metadata.map_err(|error| HandlerError::new("bridge", error.to_string()))?;
        match Visit::begin(&self.session, &self.offerer, &self.stream, metadata.as_deref()) {
            Ok(visit) => {
                let client = Client {
                    visit,
                    ring: responder.buffer(),
                    waiting: VecDeque::new(),
                    pending: VecDeque::new(),
                    full_since: None,
                };
                self.lock().clients.insert(responder.channel().to_owned(), client);
            }
            Err(error) => {
                say::warn(&format!("{}: the engine does not announce a client: {error}", self.stream));
                self.end();
            }
        }
        Ok(true)
    }

    /// Sends the next requests of that client, as many as may be under way.
    fn send_on(self: &Arc<Desk>, channel: &str) {
        let _turn = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut state = self.lock();
            if state.over {
                return;
            }
            let State { clients, number, .. } = &mut *state;
            let Some(client) = clients.get_mut(channel) else { return };
            if client.pending.len() >= WINDOW {
                return;
            }
            let Some((request, responder)) = client.waiting.pop_front() else { return };
            *number += 1;
            let number = *number;
            let largest = responder.buffer().capacity().saturating_sub(16).min(self.responses);
            let ask = client.visit.next(request.len() as u64, largest);
            client.pending.push_back(Pending { number, responder, answer: None });
            drop(state);
            if let Err(error) = self.send(request, &ask, number) {
                say::warn(&format!("{}: the engine does not send: {error}", self.stream));
                return self.end();
            }
        }
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
        let mut pending = state.clients.values_mut().flat_map(|client| &mut client.pending);
        if let Some(pending) = pending.find(|pending| pending.number == number) {
            pending.answer.get_or_insert(answer);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more comes for a request. Without an answer its server is gone or out of reach.
    fn final_word(&self, number: u64) {
        let state = self.lock();
        let mut pending = state.clients.values().flat_map(|client| &client.pending);
        let lost = pending.any(|pending| pending.number == number && pending.answer.is_none());
        drop(state);
        if lost {
            self.end();
        }
    }

    /// Gives the clients their answers until the end, in turn.
    pub(super) fn post_all(self: &Arc<Desk>) {
        let mut last = String::new();
        loop {
            let mut state = self.lock();
            let channel = loop {
                match state.due(&last, self.several) {
                    Ok(channel) => break channel,
                    // What has come before the end still gets to the client.
                    Err(_) if state.over => return,
                    Err(true) => {
                        let waited = self.changed.wait_timeout(state, ROOM_LOOK);
                        state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    }
                    Err(false) => {
                        state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            let first = state.clients.get_mut(&channel).and_then(|client| client.pending.pop_front());
            drop(state);
            last = channel;
            let Some(Pending { responder, answer: Some(answer), .. }) = first else { continue };
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
            drop(state);
            if self.several {
                self.send_on(&last);
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
