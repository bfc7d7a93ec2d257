//! Which response belongs to whom: threads that wait for one of their own, and the rest (D2).

use super::response::Response;
use std::{
    collections::{BTreeSet, VecDeque},
    ops::RangeInclusive,
};

/// Responses that have been read and not been fetched, and calls that wait for theirs.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Calls under way by their request, each with its response once that is there. Few at a time.
    calls: Vec<(u64, Option<Response>)>,
    /// Requests whose callers have given up.
    abandoned: BTreeSet<u64>,
    /// Responses to requests that were merely sent.
    others: VecDeque<Response>,
    /// How many responses have been kept so far.
    pub(super) arrivals: u64,
    /// The newest request that is answered: responses come in the order of requests.
    answered: u64,
    /// Changes whenever a response comes or is fetched.
    pub(super) moves: u64,
    /// Payload bytes of the largest response so far.
    pub(super) largest: u64,
    /// A thread reads the response buffer for all.
    pub(super) reading: bool,
    /// Threads that wait for that one.
    pub(super) waiting: u32,
    /// Tasks that wait for the response to their request.
    #[cfg(feature = "async")]
    pub(super) tasks: crate::link::reactor::Wakers,
    /// Somebody came to read while another one did, and relies on that one to poll again.
    #[cfg(feature = "async")]
    pub(super) again: bool,
}

impl Inbox {
    pub(super) fn register(&mut self, request: u64) {
        self.calls.push((request, None));
    }

    /// The call is over; a response that has come or comes later is dropped.
    pub(super) fn abandon(&mut self, request: u64) {
        let Some(at) = self.calls.iter().position(|(call, _)| *call == request) else { return };
        let (_, response) = self.calls.swap_remove(at);
        if response.is_none() && request > self.answered {
            self.abandoned.insert(request);
        }
    }

    /// Whether a call waits for the response, or has it.
    #[cfg(feature = "async")]
    pub(super) fn is_call(&self, request: u64) -> bool {
        self.calls.iter().any(|(call, _)| *call == request)
    }

    /// The request was not sent after all.
    pub(super) fn forget(&mut self, request: u64) {
        self.calls.retain(|(call, _)| *call != request);
    }

    /// The response to a call, which stays under way until [`Self::abandon`].
    pub(super) fn fetch(&mut self, request: u64) -> Option<Response> {
        let place = self.calls.iter_mut().find(|(call, _)| *call == request);
        let fetched = place.and_then(|(_, response)| response.take());
        self.moves += u64::from(fetched.is_some());
        fetched
    }

    pub(super) fn fetch_other(&mut self) -> Option<Response> {
        let fetched = self.others.pop_front();
        self.moves += u64::from(fetched.is_some());
        fetched
    }

    /// How many responses wait to be fetched, and their payload bytes.
    pub(super) fn unread(&self) -> (u64, u64) {
        let kept = self.calls.iter().filter_map(|(_, response)| response.as_ref());
        kept.chain(&self.others).fold((0, 0), |(count, bytes), response| (count + 1, bytes + response.len()))
    }

    /// Sorts a response in. `sent` is the range of this client's requests, if the server says which
    /// one it answers. An answer to a predecessor's request is dropped, and so is a second one.
    pub(super) fn sort(&mut self, response: Response, sent: Option<RangeInclusive<u64>>) {
        let request = response.sequence();
        self.moves += 1;
        self.largest = self.largest.max(response.len());
        if sent.is_some_and(|sent| !sent.contains(&request) || request <= self.answered) {
            return;
        }
        self.answered = request;
        // Older requests get no answer any more.
        if !self.abandoned.is_empty() {
            let given_up = self.abandoned.contains(&request);
            self.abandoned = self.abandoned.split_off(&(request + 1));
            if given_up {
                return;
            }
        }
        self.arrivals += 1;
        match self.calls.iter_mut().find(|(call, _)| *call == request) {
            Some((_, place)) => *place = Some(response),
            None => self.others.push_back(response),
        }
    }
}
