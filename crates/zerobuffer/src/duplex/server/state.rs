//! Whom a server serves, as a state machine: what it sees makes the next state, and says what is to
//! be done.
//!
//! ```text
//!       writer, no response buffer            response buffer
//!   Idle ────────────────────────▶ Unanswerable ─────────────▶ Serving ──▶ Draining ──▶ Ended
//!    ▲ ▲                                 │                      │   ▲
//!    │ └───────── writer gone ───────────┘        buffer left   ▼   │ a request
//!    └──────────────── client gone ────────────────────────── Parting
//! ```
//!
//! Nothing here reads memory, sleeps or calls anybody: the table is tested row by row.

use std::time::{Duration, Instant};

/// How long a client may keep its response buffer without a request writer. One that closes leaves
/// its two buffers one after the other. A new one may have its response buffer before its
/// predecessor's end is noticed.
pub(super) const PARTING: Duration = Duration::from_millis(500);

/// Whom the server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no client.
    Idle {
        since: Instant,
        /// That there has been none for long.
        absence: Report,
        /// That the last one has gone: requests that it left behind are no further news.
        farewell: Report,
    },
    /// There is a client whose response buffer is missing.
    Unanswerable {
        since: Instant,
        /// That it has none; its requests are dropped then.
        obstacle: Report,
        request: Held,
    },
    /// A client's requests are answered.
    Serving(Client),
    /// The client has left its request buffer and still has its response buffer.
    Parting { since: Instant, client: Client },
    /// What the client has sent is answered, and no more is waited for.
    Draining(Client),
    /// The run is over.
    Ended,
}

/// How far a client with a response buffer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Its first request has not come.
    Fresh {
        /// That its predecessor has gone.
        farewell: Report,
    },
    /// Its first request has come.
    Begun,
}

/// Whether something has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Due,
    Made,
}

/// Whether a request is kept until its client's response buffer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    Request,
}

/// What the server sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nobody is attached who could send requests, and none is there.
    NoWriter,
    /// Requests are there whose sender has gone.
    Leftovers,
    /// The client's response buffer was connected to.
    Responses,
    /// The client's response buffer cannot be connected to.
    NoResponses(Obstacle),
    /// Requests that cannot be answered were read.
    Swept { dropped: Dropped, found: Found },
    /// A request was read, while the client's response buffer was or was not there.
    Request(Order, Peer),
    /// There is no request; the client's response buffer is or is not there.
    Quiet(Peer),
    /// The client has left the request buffer, and all its requests are read.
    Parted(Peer),
    /// The request buffer cannot be read any more.
    Broken,
    /// What has been sent is to be answered, and no more.
    Drain,
}

/// What keeps the server from a response buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It may be there in a moment.
    Passing,
    /// It is there and cannot be used.
    Lasting,
}

/// Whether requests were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    Nothing,
    Requests,
}

/// What stands behind the requests that were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A request of a client that may have come just now.
    Request,
    Nothing,
    /// The end of a client.
    Parted,
}

/// How the number of a request stands to that of the request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It follows it: they are of the same client.
    Continues,
    /// It does not: it is another client's first one.
    Starts,
}

/// Whether the client's response buffer has its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    There,
    Gone,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Give the client's metadata to the application.
    Begin,
    /// Have the request handled that was read, or held.
    Handle,
    /// Drop it.
    Drop,
    /// Read and drop what cannot be answered; gives [`Event::Swept`].
    Sweep,
    /// Leave the client's response buffer, and remove its metadata.
    Close,
    /// Remove the metadata of a client that has gone.
    RenewMetadata,
    /// Forget what was kept of the metadata of a client that has gone.
    ForgetMetadata,
    /// No number is expected next.
    Forget,
    /// Make the request buffer anew.
    Recreate,
    /// Let a moment pass.
    Pause,
    /// Let a wait slice pass.
    PauseLong,
    ReportAbsence,
    ReportUnanswerable,
    ReportGone,
    ReportBroken,
}

/// What the machine's user has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Whether there may be another client after the first.
    pub(super) persistent: bool,
    /// After how long without a client that is reported.
    pub(super) client_timeout: Option<Duration>,
    /// How long a client may take to make its response buffer.
    pub(super) response_patience: Duration,
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self::Idle { since: now, absence: Report::Due, farewell: Report::Due }
    }

    /// The next state, and what is to be done. `now` is asked for only where time counts.
    #[allow(clippy::match_same_arms, reason = "a table: the rows of one state stand together")]
    pub(super) fn on(
        self,
        event: Event,
        rules: &Rules,
        now: impl Fn() -> Instant,
    ) -> (Self, &'static [Action]) {
        use Action::{
            Close, Drop, Forget, PauseLong, RenewMetadata, ReportAbsence, ReportBroken, ReportGone, Sweep,
        };
        match (self, event) {
            (Self::Ended, _) => (Self::Ended, &[]),
            (Self::Serving(client) | Self::Parting { client, .. }, Event::Request(order, peer)) => {
                requested(Self::Serving, client, order, peer, rules, &now)
            }
            (Self::Draining(client), Event::Request(order, peer)) => {
                requested(Self::Draining, client, order, peer, rules, &now)
            }
            (_, Event::Broken) if rules.persistent => {
                (Self::new(now()), &[ReportBroken, Drop, Close, Forget, Action::Recreate])
            }
            (_, Event::Broken) => (Self::Ended, &[ReportBroken, Drop, Close, Forget]),

            (Self::Idle { since, absence: Report::Due, farewell }, Event::NoWriter)
                if rules.client_timeout.is_some_and(|timeout| now() - since >= timeout) =>
            {
                let idle = Self::Idle { since, absence: Report::Made, farewell };
                (rules.goes_on(idle), &[RenewMetadata, ReportAbsence])
            }
            (Self::Idle { .. }, Event::NoWriter) => (self, &[RenewMetadata]),
            (Self::Idle { .. }, Event::Leftovers) => (self, &[Sweep]),
            (Self::Idle { .. }, Event::Responses) => {
                (Self::Serving(Client::Fresh { farewell: Report::Due }), &[])
            }
            (Self::Idle { .. }, Event::NoResponses(obstacle)) => {
                unanswerable(now(), Report::Due, Held::Nothing).on(Event::NoResponses(obstacle), rules, now)
            }
            (Self::Idle { farewell, .. }, Event::Swept { dropped, found }) => {
                swept_idle(self, farewell, dropped, found, rules, &now)
            }
            (Self::Idle { .. }, Event::Drain) => (Self::Ended, &[]),

            (Self::Unanswerable { .. }, Event::NoWriter) => (Self::new(now()), &[Drop, RenewMetadata]),
            (Self::Unanswerable { .. }, Event::Leftovers) => (Self::new(now()), &[Sweep]),
            (Self::Unanswerable { obstacle, request, .. }, Event::Responses) => met(obstacle, request),
            (Self::Unanswerable { since, .. }, Event::NoResponses(Obstacle::Passing))
                if now() - since < rules.response_patience =>
            {
                (self, &[])
            }
            (Self::Unanswerable { since, obstacle, .. }, Event::NoResponses(Obstacle::Passing)) => {
                (unanswerable(since, obstacle, Held::Nothing), &[Drop, Sweep])
            }
            (Self::Unanswerable { since, obstacle, .. }, Event::NoResponses(Obstacle::Lasting)) => {
                (unanswerable(since, obstacle, Held::Nothing), &[PauseLong, Drop, Sweep])
            }
            (Self::Unanswerable { since, obstacle, .. }, Event::Swept { dropped, found }) => {
                swept_unanswerable(since, obstacle, dropped, found, rules, &now)
            }
            // The request that is held was sent before: it is waited for its response buffer.
            (Self::Unanswerable { request: Held::Nothing, .. }, Event::Drain) => (Self::Ended, &[]),

            (Self::Serving(client) | Self::Parting { client, .. }, Event::Drain) => {
                (Self::Draining(client), &[])
            }
            (Self::Draining(_), Event::Quiet(_)) => (Self::Ended, &[]),
            (Self::Draining(_), Event::Parted(_)) => (Self::Ended, &[Close, ReportGone]),
            (Self::Serving(_) | Self::Parting { .. }, Event::Quiet(Peer::Gone)) => {
                (rules.goes_on(after_report(now())), &[Close, ReportGone])
            }
            // Somebody is attached again.
            (Self::Parting { client, .. }, Event::Quiet(Peer::There)) => (Self::Serving(client), &[]),
            (Self::Serving(client), Event::Parted(Peer::There)) => {
                (Self::Parting { since: now(), client }, &[Forget, Action::Pause])
            }
            (Self::Parting { since, .. }, Event::Parted(Peer::There)) if now() - since < PARTING => {
                (self, &[Action::Pause])
            }
            (Self::Serving(_) | Self::Parting { .. }, Event::Parted(_)) => {
                (rules.goes_on(after_report(now())), &[Forget, Close, ReportGone])
            }
            // What is not said of a state changes nothing in it.
            _ => (self, &[]),
        }
    }
}

impl Rules {
    /// `state`, unless the server stops for what has just been reported.
    fn goes_on(&self, state: State) -> State {
        if self.persistent { state } else { State::Ended }
    }
}

fn unanswerable(since: Instant, obstacle: Report, request: Held) -> State {
    State::Unanswerable { since, obstacle, request }
}

/// Without a client, after the last one's end was reported.
fn after_report(now: Instant) -> State {
    State::Idle { since: now, absence: Report::Due, farewell: Report::Made }
}

/// An unanswerable client's response buffer is there.
fn met(obstacle: Report, request: Held) -> (State, &'static [Action]) {
    let fresh = State::Serving(Client::Fresh { farewell: Report::Due });
    match (request, obstacle) {
        // What it has sent so far was dropped; what comes now need not be its first.
        (Held::Nothing, Report::Made) => (fresh, &[Action::Forget]),
        // A request that is held is looked at as one that comes now: its client may have gone.
        (Held::Nothing, Report::Due) | (Held::Request, _) => (fresh, &[]),
    }
}

/// A request of a client with a response buffer; `serve` is the state in which it is served.
#[inline]
fn requested(
    serve: impl Fn(Client) -> State,
    client: Client,
    order: Order,
    peer: Peer,
    rules: &Rules,
    now: &impl Fn() -> Instant,
) -> (State, &'static [Action]) {
    use Action::{Begin, Close, Drop, ForgetMetadata, Handle, ReportGone};
    match (client, order, peer) {
        (Client::Begun, Order::Continues, Peer::There) => (serve(client), &[Handle]),
        (Client::Fresh { .. }, Order::Starts, Peer::There) => (serve(Client::Begun), &[Begin, Handle]),
        // What came before was its predecessor's, which had gone before it was met.
        (Client::Begun, Order::Starts, Peer::There) if rules.persistent => {
            (serve(client), &[ReportGone, ForgetMetadata, Begin, Handle])
        }
        (Client::Begun, Order::Starts, Peer::There) => (State::Ended, &[Drop, ReportGone]),
        (Client::Fresh { farewell: Report::Made }, Order::Continues, Peer::There) => (serve(client), &[Drop]),
        (Client::Fresh { farewell: Report::Due }, Order::Continues, Peer::There) => {
            (rules.goes_on(serve(Client::Fresh { farewell: Report::Made })), &[Drop, ReportGone])
        }
        (_, Order::Continues, Peer::Gone) => (rules.goes_on(after_report(now())), &[Drop, Close, ReportGone]),
        // It is the next client's, whose response buffer is looked for.
        (_, Order::Starts, Peer::Gone) => {
            (rules.goes_on(unanswerable(now(), Report::Due, Held::Request)), &[Close, ReportGone])
        }
    }
}

/// Without a client, after requests were dropped.
fn swept_idle(
    idle: State,
    farewell: Report,
    dropped: Dropped,
    found: Found,
    rules: &Rules,
    now: &impl Fn() -> Instant,
) -> (State, &'static [Action]) {
    use Action::{Forget, Pause, ReportGone};
    let news = dropped == Dropped::Requests && farewell == Report::Due;
    match found {
        Found::Request if news => {
            (rules.goes_on(unanswerable(now(), Report::Due, Held::Request)), &[ReportGone])
        }
        Found::Request => (unanswerable(now(), Report::Due, Held::Request), &[]),
        Found::Nothing if news => (rules.goes_on(after_report(now())), &[Pause, ReportGone]),
        Found::Nothing => (idle, &[Pause]),
        Found::Parted if farewell == Report::Due => {
            (rules.goes_on(after_report(now())), &[Forget, ReportGone])
        }
        Found::Parted => (idle, &[Forget]),
    }
}

/// With a client that has no response buffer, after requests were dropped.
fn swept_unanswerable(
    since: Instant,
    obstacle: Report,
    dropped: Dropped,
    found: Found,
    rules: &Rules,
    now: &impl Fn() -> Instant,
) -> (State, &'static [Action]) {
    use Action::{Forget, Pause, ReportGone, ReportUnanswerable};
    match (found, dropped) {
        // The requests before it were another client's: this one has come just now.
        (Found::Request, Dropped::Requests) => {
            (rules.goes_on(unanswerable(now(), Report::Due, Held::Request)), &[ReportGone])
        }
        (Found::Request, Dropped::Nothing) => (unanswerable(since, obstacle, Held::Request), &[]),
        (Found::Nothing, _) if obstacle == Report::Due => {
            (rules.goes_on(unanswerable(since, Report::Made, Held::Nothing)), &[Pause, ReportUnanswerable])
        }
        (Found::Nothing, _) => (unanswerable(since, obstacle, Held::Nothing), &[Pause]),
        (Found::Parted, _) => (rules.goes_on(after_report(now())), &[Forget, ReportGone]),
    }
}

#[cfg(test)]
mod tests;
