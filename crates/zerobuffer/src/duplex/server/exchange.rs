//! What becomes of one request: how often it was answered, and what the server reports to its
//! handlers and to the client.

use super::{
    super::{BoxError, Failure, remote::Refusal},
    turns::{End, Turns},
};
use crate::{
    error::Error,
    sync::{Mutex, lock},
};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// What is known of one request's handling, shared by its responder and the thread that calls the
/// handler.
#[derive(Default)]
pub(super) struct Exchange {
    answers: AtomicU32,
    /// Which sides have finished with it, in bits.
    ends: AtomicU8,
    /// What is reported to the client if there is no answer.
    refusal: Mutex<Option<Refusal>>,
}

const RETURNED: u8 = 1;
const DROPPED: u8 = 2;
/// The handler's failure is reported, which explains a missing answer.
const EXPLAINED: u8 = 4;
/// The server stops before there is an answer: nothing else is reported to the client.
const CANCELLED: u8 = 8;

impl Exchange {
    pub(super) fn is_answered(&self) -> bool {
        self.answers.load(Ordering::Acquire) > 0
    }

    pub(super) fn count_answer(&self) {
        self.answers.fetch_add(1, Ordering::AcqRel);
    }

    /// An answer did not fit. The client learns of it whatever the handler makes of it.
    pub(super) fn did_not_fit(&self, refusal: Refusal) {
        *lock(&self.refusal) = Some(refusal);
    }

    /// No further answer can come.
    pub(super) fn dropped(&self, turns: &Turns, place: u64, request: u64) {
        self.end(turns, place, request, DROPPED);
    }

    /// The handler has returned.
    pub(super) fn returned(&self, turns: &Turns, place: u64, request: u64, failed: Option<BoxError>) {
        let explained = if let Some(source) = failed {
            if turns.is_stopping() && matches!(source.downcast_ref(), Some(Error::Closed { .. })) {
                // It could not answer since the server stops, which the client learns as that.
                self.ends.fetch_or(CANCELLED, Ordering::AcqRel);
            }
            lock(&self.refusal).get_or_insert_with(|| Refusal::from_error(&source));
            turns.report(&Failure::Handler { channel: turns.channel.clone(), request, source });
            EXPLAINED
        } else {
            0
        };
        self.end(turns, place, request, RETURNED | explained);
    }

    /// The server stops before the handler was called: nothing is to be reported.
    pub(super) fn cancelled(&self) {
        self.ends.fetch_or(CANCELLED | RETURNED, Ordering::AcqRel);
    }

    /// The side that finishes last reports a wrong number of answers, and has the client learn that
    /// there is none.
    fn end(&self, turns: &Turns, place: u64, request: u64, bits: u8) {
        let before = self.ends.fetch_or(bits, Ordering::AcqRel);
        let ends = before | bits;
        if ends & (RETURNED | DROPPED) != RETURNED | DROPPED {
            return;
        }
        let answers = self.answers.load(Ordering::Acquire);
        if answers == 0 {
            let refusal = lock(&self.refusal).take().unwrap_or_else(Refusal::no_answer);
            turns
                .end(place, if ends & CANCELLED == 0 { End::Refused(request, refusal) } else { End::Silent });
        }
        if answers == 1 || (answers == 0 && ends & (EXPLAINED | CANCELLED) != 0) {
            return;
        }
        turns.report(&Failure::Answers {
            channel: turns.channel.clone(),
            request,
            answers,
            renumbered: answers == 0 && !turns.stamps,
        });
    }
}
