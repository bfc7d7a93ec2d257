//! Whose turn it is: threads use a broadcaster one after the other, in the order of their calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;
use zerobuffer::{Broadcaster as Core, BroadcasterHandle, Error, Origin, Patience};

use crate::errors::{general, raise};
use crate::wait::{SLICE, Timeout, detached, in_slices, nothing};

/// How long a close waits for a call of another thread, which it has interrupted. That one may be
/// in a signal handler, and ends the broadcast afterwards.
const CLOSING: Duration = Duration::from_secs(1);

/// The broadcaster, and who has it.
pub(super) struct Turns {
    name: String,
    /// Held for moments only.
    state: Mutex<State>,
    /// Signalled when a call is over.
    over: Condvar,
    closed: AtomicBool,
    origin: Origin,
}

struct State {
    /// `None`: a thread has it, or it has ended.
    core: Option<Core>,
    user: Option<ThreadId>,
    /// Those that wait for it.
    queue: VecDeque<ThreadId>,
}

impl State {
    fn is_turn_of(&self, thread: ThreadId) -> bool {
        self.core.is_some() && self.queue.front().is_none_or(|first| *first == thread)
    }
}

/// The broadcaster in the hands of one thread; given back when dropped.
struct Turn<'a> {
    turns: &'a Turns,
    core: Option<Core>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.turns.is_closed() {
            // This is the end of the broadcast, which takes a moment.
            drop(self.core.take());
        }
        let mut state = self.turns.state.lock();
        state.core = self.core.take();
        state.user = None;
        drop(state);
        self.turns.over.notify_all();
    }
}

impl Turns {
    pub(super) fn new(name: &str, core: Core) -> Self {
        let state = State { core: Some(core), user: None, queue: VecDeque::new() };
        Self {
            name: name.to_owned(),
            state: Mutex::new(state),
            over: Condvar::new(),
            closed: AtomicBool::new(false),
            origin: Origin::here(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    fn gone(&self) -> Error {
        let name = self.name.clone();
        if self.origin.is_forked() { Error::Forked { name } } else { Error::Closed { name } }
    }

    /// A lock that a thread held at the fork stays held in the child for ever: so ask before
    /// waiting for one.
    pub(super) fn refuse_fork(&self) -> PyResult<()> {
        if self.origin.is_forked() { Err(raise(self.gone())) } else { Ok(()) }
    }

    /// Uses the broadcaster once it is the turn of this thread. While `act` waits, signals are
    /// looked at: their handlers may close the broadcaster and ask it, and another use is refused.
    pub(super) fn take<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Core, &mut Patience<'_>) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        self.refuse_fork()?;
        let own = thread::current().id();
        if self.state.lock().user == Some(own) {
            return Err(general(format!(
                "broadcast '{}': another call of this thread, which a signal has interrupted, is under way",
                self.name
            )));
        }
        let turn = in_slices(py, &Timeout::Never.start(), || self.turn(own), nothing);
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => {
                self.state.lock().queue.retain(|waiting| *waiting != own);
                self.over.notify_all();
                return Err(error.into());
            }
        };
        let done = detached(py, Timeout::Never, nothing, |patience| {
            let mut turn = turn.ok_or_else(|| self.gone())?;
            match &mut turn.core {
                Some(core) => act(core, patience),
                None => Err(self.gone()),
            }
        });
        done?.map_err(raise)
    }

    /// Waits for the turn of this thread, for a slice.
    fn turn(&self, own: ThreadId) -> Result<Option<Turn<'_>>, Error> {
        let mut state = self.state.lock();
        if !self.is_closed() && !state.is_turn_of(own) {
            if !state.queue.contains(&own) {
                state.queue.push_back(own);
            }
            self.over.wait_for(&mut state, SLICE);
        }
        if self.is_closed() {
            return Err(self.gone());
        }
        if !state.is_turn_of(own) {
            return Ok(None);
        }
        state.queue.retain(|waiting| *waiting != own);
        state.user = Some(own);
        Ok(Some(Turn { turns: self, core: state.core.take() }))
    }

    /// Ends the broadcast. A call that another thread is in ends first. One of this very thread,
    /// which a signal has interrupted, ends it afterwards.
    pub(super) fn close(&self, handle: &BroadcasterHandle) {
        if self.closed.swap(true, SeqCst) || self.origin.is_forked() {
            return;
        }
        handle.interrupt();
        let until = Instant::now() + CLOSING;
        let mut state = self.state.lock();
        self.over.notify_all();
        while state.user.is_some_and(|user| user != thread::current().id()) {
            if self.over.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let core = state.core.take();
        drop(state);
        drop(core);
    }
}
