//! A client of another machine: its requests that are under way, and the threads that send and
//! answer them.
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use zenoh::Wait as _;
use zenoh::query::Query;
use zerobuffer::Error;
use zerobuffer::duplex::Call;

use super::desk::{Asked, Desk, MOST_ASKS};
use crate::say;
use crate::stop::LOOK;
use crate::wire::Trouble;

/// A request that the server has.
struct Pending {
    call: Call,
    query: Query,
    largest: u64,
}

#[derive(Default)]
struct State {
    /// Those that wait for this client's own line.
    asked: VecDeque<Asked>,
    pending: VecDeque<Pending>,
    /// The last request that came.
    number: u64,
    /// Requests that came and have no answer.
    open: usize,
    /// Those of them that the server has.
    given: usize,
    metadata: Option<Vec<u8>>,
    /// A thread gives the server its requests, by a line of its own.
    sends: bool,
    /// A thread answers them.
    answers: bool,
    /// The server has closed its channel. Requests from now on are refused.
    closed: bool,
    over: bool,
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Granted,
    /// This one was too much.
    GivenUp,
    /// An earlier one was, or the client has left.
    Over,
}

pub(super) struct Visitor {
    pub(super) session: u64,
    state: Mutex<State>,
    changed: Condvar,
}

impl Visitor {
    pub(super) fn new(session: u64) -> Visitor {
        Visitor { session, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the next request, and there is room for it. Else this client is given up.
    pub(super) fn admits(&self, number: u64) -> Admission {
        let mut state = self.lock();
        if state.over {
            return Admission::Over;
        }
        if number != state.number + 1 || state.open >= MOST_ASKS {
            state.over = true;
            self.changed.notify_all();
            return Admission::GivenUp;
        }
        state.number = number;
        state.open += 1;
        Admission::Granted
    }

    /// A request has its answer.
    pub(super) fn forget(&self) {
        self.lock().open -= 1;
    }

    /// What came with the first request.
    pub(super) fn keep_metadata(&self, metadata: Option<Vec<u8>>) {
        let mut state = self.lock();
        state.metadata = state.metadata.take().or(metadata);
    }

    pub(super) fn metadata(&self) -> Option<Vec<u8>> {
        self.lock().metadata.clone()
    }

    /// How many it has.
    pub(super) fn threads(&self) -> usize {
        let state = self.lock();
        usize::from(state.sends) + usize::from(state.answers)
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Its line is of no use any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether the server has a request of it.
    pub(super) fn is_served(&self) -> bool {
        let state = self.lock();
        state.given > 0 && !state.over
    }

    /// Its requests get no answer any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        drop(pending);
        self.changed.notify_all();
    }

    /// A request for this client's own line. `true`: it has no thread yet, and is about to get it.
    pub(super) fn put(&self, asked: Asked) -> bool {
        let mut state = self.lock();
        state.asked.push_back(asked);
        let is_first = !std::mem::replace(&mut state.sends, true);
        drop(state);
        self.changed.notify_all();
        is_first
    }

    /// Those that wait. They are not dropped under a lock, since the engine learns of it.
    pub(super) fn take_asked(&self) -> VecDeque<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Gives the server one request after the other, by a line of this client's own, until its end.
    /// A server that is slow for this client, or has no place for it yet, holds up nobody else.
    pub(super) fn send_all(self: &Arc<Visitor>, desk: &Arc<Desk>) {
        let mut line = None;
        loop {
            let mut state = self.lock();
            while state.asked.is_empty() && !state.over && !(state.closed && line.is_some()) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.over {
                return;
            }
            let (asked, closed) = (state.asked.pop_front(), state.closed);
            drop(state);
            if closed {
                line = None;
            }
            let Some(asked) = asked else { continue };
            desk.taken(&asked);
            if closed {
                desk.refuse(self, &asked.query, &Trouble::closed());
            } else {
                desk.send(&mut line, self, asked);
            }
        }
    }

    /// The server has a request. A thread for each client: one that takes its responses slowly
    /// holds up nobody else.
    pub(super) fn await_answer(
        self: &Arc<Visitor>,
        desk: &Arc<Desk>,
        call: Call,
        query: Query,
        largest: u64,
    ) {
        let mut state = self.lock();
        if state.over {
            // The engine learns of it without the lock.
            drop(state);
            return drop((call, query));
        }
        state.pending.push_back(Pending { call, query, largest });
        state.given += 1;
        if !std::mem::replace(&mut state.answers, true) {
            let (own, desk, thread) = (Arc::clone(self), Arc::clone(desk), desk.thread());
            std::thread::spawn(move || {
                own.answer_all(&desk);
                drop(thread);
            });
        }
        drop(state);
        self.changed.notify_all();
    }

    fn answer_all(&self, desk: &Desk) {
        loop {
            let mut state = self.lock();
            while state.pending.is_empty() && !state.over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(Pending { call, query, largest }) = state.pending.pop_front() else { return };
            let over = state.over;
            drop(state);
            if over || !self.answer(desk, &call, &query, largest) {
                return;
            }
        }
    }

    /// `false`: there is no more server, or no more client.
    fn answer(&self, desk: &Desk, call: &Call, query: &Query, largest: u64) -> bool {
        let response = loop {
            if self.is_over() {
                return false;
            }
            match call.wait(LOOK) {
                Ok(None) => {}
                Ok(Some(response)) => break Ok(response),
                Err(Error::ServerGone { .. } | Error::Closed { .. }) if desk.goes_on_without(self) => {
                    break Err(Trouble::closed());
                }
                Err(Error::ServerGone { .. } | Error::Closed { .. }) => {
                    desk.failed();
                    desk.end();
                    return false;
                }
                Err(error) => break Err(Trouble::of(error)),
            }
        };
        let response = response.and_then(|response| {
            let size = response.data().len() as u64;
            if size > largest { Err(Trouble::too_large(size, largest)) } else { Ok(response) }
        });
        let put = match response {
            Ok(response) => {
                let bytes = response.data().len() as u64;
                // Lent, not copied: the ring gets its space back when the engine has sent it.
                let put = query.reply(query.key_expr().clone(), Bytes::from_owner(response)).wait();
                desk.answered(bytes);
                put
            }
            Err(trouble) => {
                desk.failed();
                query.reply_err(trouble.encode()).wait()
            }
        };
        let mut state = self.lock();
        (state.open, state.given) = (state.open - 1, state.given - 1);
        drop(state);
        if let Err(error) = put {
            say::warn(&format!("the engine does not send a response: {error}"));
        }
        true
    }
}
