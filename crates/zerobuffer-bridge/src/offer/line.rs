//! The bridge as the client of a server. There is one connection for all clients with the same
//! metadata, or one for each client if the server takes several.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;
use zerobuffer::duplex::{Call, Client, ClientConfig};
use zerobuffer::{Error, Patience};

use super::desk::Desk;
use super::visitor::Visitor;
use crate::stop::LOOK;
use crate::wire::{Ask, Trouble};

/// Between two looks whether a request is still wanted.
const TRY: Duration = Duration::from_millis(200);
/// How long a client may take to leave a line that another one needs with other metadata. And how
/// long a place among the clients of a server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has become of a request.
pub(super) enum Sent {
    /// The server has it; and bytes of the largest response that the client takes.
    Call(Call, u64),
    Refused(Trouble),
    ClientGone,
    ServerGone,
}

pub(super) struct Line {
    client: Client,
    metadata: Option<Vec<u8>>,
    visitors: Vec<Arc<Visitor>>,
}

impl Line {
    /// Whether a client is there that may have further requests.
    pub(super) fn is_used(&self) -> bool {
        self.visitors.iter().any(|visitor| !visitor.is_over())
    }

    /// Gives the server a request of this client, by a new connection if it needs one.
    pub(super) fn send(
        line: &mut Option<Line>,
        desk: &Desk,
        visitor: &Arc<Visitor>,
        ask: Ask,
        payload: ZBytes,
    ) -> Sent {
        let largest = ask.largest;
        visitor.keep_metadata(ask.metadata);
        let metadata = visitor.metadata();
        if line.as_ref().is_some_and(|line| line.metadata != metadata) {
            // The server learns of other metadata by another client, and finishes with this one.
            let until = Instant::now() + PATIENCE;
            let pending = |line: &Line| line.visitors.iter().any(|other| other.is_served());
            while line.as_ref().is_some_and(pending) && Instant::now() < until {
                if desk.is_over() {
                    return Sent::ServerGone;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            if line.as_ref().is_some_and(pending) {
                return Sent::Refused(Trouble::new(
                    "busy",
                    "the server answers a client with other metadata; it has one client at a time",
                ));
            }
            *line = None;
        }
        let line = match line {
            Some(line) => line,
            None => match Line::open(desk, visitor, metadata) {
                Ok(opened) => line.insert(opened),
                Err(sent) => return sent,
            },
        };
        line.visitors.retain(|other| !other.is_over());
        if !line.visitors.iter().any(|other| other.session == visitor.session) {
            line.visitors.push(Arc::clone(visitor));
        }
        line.submit(desk, visitor, &payload).map_or_else(|sent| sent, |call| Sent::Call(call, largest))
    }

    fn open(desk: &Desk, visitor: &Visitor, metadata: Option<Vec<u8>>) -> Result<Line, Sent> {
        let refused = |error: Error| match error {
            Error::NoServer { .. } | Error::ServerNotReady { .. } | Error::ServerGone { .. } => {
                Sent::ServerGone
            }
            error @ (Error::ClientAlreadyConnected { .. }
            | Error::WriterAlreadyConnected { .. }
            | Error::TooManyClients { .. }) => Sent::Refused(Trouble::new("busy", error.to_string())),
            error => Sent::Refused(Trouble::of(error)),
        };
        let config = ClientConfig::default().owner(desk.owner()).write_timeout(Some(TRY));
        let mut go_on = || {
            let is_over = desk.is_over() || visitor.is_over();
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // For a place among the server's clients.
        let time = if desk.serves_several() { PATIENCE } else { Duration::ZERO };
        let mut patience = Patience::at_most(time).asking(&mut go_on);
        let client = Client::connect_within(desk.channel(), config, &mut patience).map_err(refused)?;
        if let Some(metadata) = &metadata {
            client.set_metadata(metadata).map_err(refused)?;
        }
        Ok(Line { client, metadata, visitors: Vec::new() })
    }

    fn submit(&self, desk: &Desk, visitor: &Visitor, payload: &ZBytes) -> Result<Call, Sent> {
        loop {
            // The length is that of the bytes that are here.
            let mut loan = match self.client.loan(payload.len()) {
                Ok(loan) => loan,
                Err(Error::Full { .. } | Error::ResponsesUnread { .. }) => {
                    if visitor.is_over() {
                        return Err(Sent::ClientGone);
                    }
                    if desk.is_over() {
                        return Err(Sent::ServerGone);
                    }
                    // Responses that nobody has read yet: their threads are just at it.
                    std::thread::sleep(LOOK / 10);
                    continue;
                }
                Err(Error::ServerGone { .. } | Error::ReaderGone { .. } | Error::Closed { .. }) => {
                    return Err(Sent::ServerGone);
                }
                Err(error) => return Err(Sent::Refused(Trouble::of(error))),
            };
            let mut room = &mut loan[..];
            for slice in payload.slices() {
                let Some((target, rest)) = std::mem::take(&mut room).split_at_mut_checked(slice.len()) else {
                    return Err(Sent::Refused(Trouble::new("bridge", "a request is longer than it says")));
                };
                target.copy_from_slice(slice);
                room = rest;
            }
            return loan.submit().map_err(|_| Sent::ServerGone);
        }
    }
}
