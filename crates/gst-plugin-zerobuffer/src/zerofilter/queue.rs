//! Pictures and events on their way from the sink pad to the source pad, in order.
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::asking::Asked;
use crate::port::lock;

/// What the source pad sends on.
pub(super) enum Item {
    Picture(gst::Buffer, Asked),
    Event(gst::Event),
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Pictures whose answers have not come.
    asked: usize,
    /// The source pad has taken an item and is not back for the next one.
    busy: bool,
    flushing: bool,
    /// Why downstream takes nothing any more.
    ended: Option<gst::FlowError>,
}

impl State {
    fn refused(&self) -> Option<gst::FlowError> {
        if self.flushing { Some(gst::FlowError::Flushing) } else { self.ended }
    }
}

/// One thread puts, another one takes.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// Begins anew, with nothing in it.
    pub(super) fn open(&self) {
        *lock(&self.state) = State::default();
        self.changed.notify_all();
    }

    /// Empties it and ends every wait, until it is opened.
    pub(super) fn flush(&self) {
        let mut state = lock(&self.state);
        state.flushing = true;
        state.asked = 0;
        let items = std::mem::take(&mut state.items);
        drop(state);
        self.changed.notify_all();
        drop(items);
    }

    /// Waits until fewer than `most` pictures wait for their answers.
    pub(super) fn await_room(&self, most: usize) -> Result<(), gst::FlowError> {
        let mut state = lock(&self.state);
        loop {
            match state.refused() {
                Some(why) => return Err(why),
                None if state.asked < most => return Ok(()),
                None => state = self.wait(state),
            }
        }
    }

    /// Waits until everything that was put has gone downstream.
    pub(super) fn await_empty(&self) -> Result<(), gst::FlowError> {
        let mut state = lock(&self.state);
        loop {
            match state.refused() {
                Some(why) => return Err(why),
                None if state.items.is_empty() && !state.busy => return Ok(()),
                None => state = self.wait(state),
            }
        }
    }

    pub(super) fn put(&self, item: Item) -> Result<(), gst::FlowError> {
        let mut state = lock(&self.state);
        if let Some(why) = state.refused() {
            return Err(why);
        }
        state.asked += usize::from(matches!(item, Item::Picture(..)));
        state.items.push_back(item);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for the next item; `None` once nothing goes downstream any more.
    pub(super) fn next(&self) -> Option<Item> {
        let mut state = lock(&self.state);
        state.busy = false;
        self.changed.notify_all();
        loop {
            if state.refused().is_some() {
                return None;
            }
            if let Some(item) = state.items.pop_front() {
                state.busy = true;
                return Some(item);
            }
            state = self.wait(state);
        }
    }

    /// The answer to a picture has come, or is not waited for any more.
    pub(super) fn answered(&self) {
        let mut state = lock(&self.state);
        state.asked = state.asked.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// Downstream takes no more. Returns whether the end of the stream was waiting.
    pub(super) fn end(&self, why: gst::FlowError) -> bool {
        let mut state = lock(&self.state);
        state.ended = Some(why);
        let items = std::mem::take(&mut state.items);
        drop(state);
        self.changed.notify_all();
        items.iter().any(|item| matches!(item, Item::Event(event) if event.type_() == gst::EventType::Eos))
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}
