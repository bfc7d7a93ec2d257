//! What the serving thread sees: one look at the request buffer, and at the client's response
//! buffer.

use super::{
    super::{
        connected::Connected,
        state::{Dropped, Event, Found, Obstacle, Order, Peer, State},
        stop::Stop,
        turns::Turns,
    },
    IDLE_PAUSE, Service, WAIT_SLICE, response_name,
};
use crate::{
    config::WriterConfig,
    error::{Error, Result},
    link::Patience,
    reader::{Frame, ReaderHandle},
    sync::lock,
    writer::{Writer, WriterHandle},
};
use std::{mem, ops::ControlFlow, sync::Arc, thread};

fn is_lost(responses: &WriterHandle) -> bool {
    responses.reader_loss(true).is_some()
}

/// The numbers of requests: a client's follow each other, and its successor starts with another
/// one. A legacy successor starts with 1; a native one leaves a number out.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// `None` when no request of the client can be unread.
    due: Option<u64>,
}

impl Numbers {
    fn place(&mut self, request: u64) -> Order {
        let expected = self.due.replace(request.wrapping_add(1));
        if expected == Some(request) { Order::Continues } else { Order::Starts }
    }

    pub(super) fn forget(&mut self) {
        self.due = None;
    }
}

impl Service {
    pub(super) fn next_event(&mut self) -> Result<Option<Event>> {
        match self.state {
            State::Idle { .. } | State::Unanswerable { .. } => self.find_client(),
            State::Serving(_) | State::Parting { .. } => self.find_request(false),
            State::Draining(_) => self.find_request(true),
            State::Ended => Ok(None),
        }
    }

    /// Waits for a request; not if the server drains. The wait ends without one when it drains
    /// from now on, when the client has gone, and when a report has found no room.
    fn find_request(&mut self, drains: bool) -> Result<Option<Event>> {
        let Some(Connected { turns, .. }) = &self.client else { return Ok(Some(Event::Quiet(Peer::Gone))) };
        let responses = &turns.handle;
        let is_parting = matches!(self.state, State::Parting { .. });
        let mut go_on = || {
            if is_parting || self.run.is_asked(Stop::Drain) || turns.is_left() || is_lost(responses) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        // A slice, since the workers tell of nothing else.
        if let Some(share) = &self.share
            && !share.has_room(WAIT_SLICE)
        {
            return Ok(None);
        }
        // Responders that were moved away may keep those behind them.
        if !turns.has_room() {
            thread::sleep(IDLE_PAUSE);
            self.cause = responses.reader_loss(true);
            return Ok(self.cause.is_some().then_some(Event::Quiet(Peer::Gone)));
        }
        let held = self.request.take();
        // One that was held is somebody's first.
        let starts = held.is_some();
        let read = match (held, lock(&self.run.reader).as_mut()) {
            (Some(frame), _) => Ok(Some(frame)),
            (None, Some(reader)) if drains => reader.try_read(),
            (None, Some(reader)) => reader.read_with(&mut Patience::forever().asking(&mut go_on)),
            (None, None) => return Err(Error::closed(lock(&self.run.handle).name())),
        };
        let (event, cause) = match read {
            Ok(Some(frame)) => {
                let order = if starts { Order::Starts } else { self.numbers.place(frame.sequence()) };
                // A client leaves its response buffer before its successor can send. One that was
                // killed is known by its presence where a successor cannot reach what it has left.
                // This is asked only where another client's requests may begin.
                let gone = responses.has_reader_closed() || (order == Order::Starts && is_lost(responses));
                let order = if order == Order::Starts {
                    let handle = lock(&self.run.handle);
                    self.metadata = handle.native_metadata();
                    // Its successor may have been met in its place: then it is not that one's.
                    if handle.has_sender_left(frame.sequence()) { Order::Continues } else { Order::Starts }
                } else {
                    order
                };
                self.request = Some(frame);
                (Event::Request(order, if gone { Peer::Gone } else { Peer::There }), None)
            }
            Ok(None) if drains => (Event::Quiet(Peer::There), None),
            Ok(None) => match responses.reader_loss(true) {
                Some(loss) => (Event::Quiet(Peer::Gone), Some(loss)),
                None => (Event::Quiet(Peer::There), None),
            },
            Err(error @ Error::WriterGone { .. }) => {
                (Event::Parted(if is_lost(responses) { Peer::Gone } else { Peer::There }), Some(error))
            }
            Err(error) => return Err(error),
        };
        self.cause = cause;
        Ok(Some(event))
    }

    /// Waits a slice for a client, and another one for its response buffer. In slices: each is an
    /// event for the state machine, which has time limits and removes metadata that were left.
    fn find_client(&mut self) -> Result<Option<Event>> {
        let (found, left) = match lock(&self.run.reader).as_mut() {
            // It also returns for requests that somebody has left who is gone.
            Some(reader) => (reader.wait_for_writer(WAIT_SLICE)?, !reader.is_attached()),
            None => return Err(Error::closed(lock(&self.run.handle).name())),
        };
        if !found {
            return Ok(Some(Event::NoWriter));
        }
        let handle = lock(&self.run.handle).clone();
        let held = self.request.as_ref().map(Frame::sequence);
        // Also if its successor is there already, whose response buffer may be late.
        let is_held_left = held.is_some_and(|request| handle.has_sender_left(request));
        if left || is_held_left || !handle.is_writer_connected() {
            self.left_behind = left;
            return Ok(Some(Event::Leftovers));
        }
        let config = WriterConfig::default()
            .connect_timeout(WAIT_SLICE)
            .wait(self.run.config.wait)
            .owner(self.run.config.owner);
        match Writer::connect_with(&response_name(&self.run.channel), config) {
            Ok(writer) => {
                self.connected(writer);
                Ok(Some(Event::Responses))
            }
            Err(error) => {
                let passing = matches!(
                    error,
                    Error::NotFound { .. }
                        | Error::NotReady { .. }
                        | Error::WriterAlreadyConnected { .. }
                        | Error::CrashNotNoticed { .. }
                );
                self.cause = Some(error);
                Ok(Some(Event::NoResponses(if passing { Obstacle::Passing } else { Obstacle::Lasting })))
            }
        }
    }

    fn connected(&mut self, writer: Writer) {
        let run = Arc::clone(&self.run);
        let report = Arc::new(move |failure: &super::Failure| run.report(failure));
        let (timeout, stop) = (self.run.config.write_timeout, Arc::clone(&self.run.stop));
        let requests = lock(&self.run.handle).clone();
        let keeps = self.run.shares_threads();
        let turns = Turns::new(&self.run.channel, writer, requests, keeps, timeout, stop, report);
        let numbering = if turns.stamps { "free" } else { "consecutive" };
        log::info!(target: "zerobuffer::duplex::server", "channel '{}': a client is connected, {numbering} sequences", self.run.channel);
        self.client = Some(Connected::new(turns));
    }

    /// Reads and drops requests that cannot be answered, up to one whose client may have come since
    /// its response buffer was looked for.
    pub(super) fn sweep(&mut self) -> Result<Event> {
        let handle: ReaderHandle = lock(&self.run.handle).clone();
        // Of a client that has gone, even if another one is there now.
        let mut of_the_last = mem::take(&mut self.left_behind);
        let mut dropped = if self.request.take().is_some() { Dropped::Requests } else { Dropped::Nothing };
        let found = loop {
            let read = match lock(&self.run.reader).as_mut() {
                Some(reader) => reader.try_read(),
                None => return Err(Error::closed(handle.name())),
            };
            match read {
                Ok(Some(frame)) => {
                    let order = self.numbers.place(frame.sequence());
                    if order == Order::Starts
                        && !mem::take(&mut of_the_last)
                        && handle.is_writer_connected()
                        && !handle.has_sender_left(frame.sequence())
                    {
                        self.request = Some(frame);
                        // What is reported is the end of those that were dropped.
                        self.cause = None;
                        break Found::Request;
                    }
                    dropped = Dropped::Requests;
                    of_the_last = false;
                }
                Ok(None) => break Found::Nothing,
                Err(error @ Error::WriterGone { .. }) => {
                    self.cause = Some(error);
                    break Found::Parted;
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Event::Swept { dropped, found })
    }
}
