//! What becomes of one request: how often it was answered, and what the server reports.

use super::{
    super::{Failure, failure::BoxError},
    turns::Turns,
};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// What is known of one request's handling, shared by its responder and the thread that calls the handler.
#[derive(Default)]
pub(super) struct Case {
    answers: AtomicU32,
    /// Who has finished with it, in bits.
    ends: AtomicU8,
}

const RETURNED: u8 = 1;
const DROPPED: u8 = 2;
/// The handler's failure is reported, which explains a missing answer.
const EXPLAINED: u8 = 4;

impl Case {
    pub(super) fn is_answered(&self) -> bool {
        self.answers.load(Ordering::Acquire) > 0
    }

    pub(super) fn count_answer(&self) {
        self.answers.fetch_add(1, Ordering::AcqRel);
    }

    /// No further answer can come.
    pub(super) fn dropped(&self, turns: &Turns, request: u64) {
        self.end(turns, request, DROPPED);
    }

    /// The one who comes last reports a wrong number of answers.
    fn end(&self, turns: &Turns, request: u64, bits: u8) {
        let before = self.ends.fetch_or(bits, Ordering::AcqRel);
        let ends = before | bits;
        if ends & (RETURNED | DROPPED) != RETURNED | DROPPED {
            return;
        }
        let answers = self.answers.load(Ordering::Acquire);
        if answers == 1 || (answers == 0 && ends & EXPLAINED != 0) {
            return;
        }
        turns.report(&Failure::Answers {
            channel: turns.channel.clone(),
            request,
            answers,
            renumbered: answers == 0 && !turns.stamps,
        });
    }

    /// The handler has returned.
    pub(super) fn returned(&self, turns: &Turns, request: u64, failed: Option<BoxError>) {
        let explained = if let Some(source) = failed {
            turns.report(&Failure::Handler { channel: turns.channel.clone(), request, source });
            EXPLAINED
        } else {
            0
        };
        self.end(turns, request, RETURNED | explained);
    }

    /// The server stops before the handler was called: nothing is to be reported.
    pub(super) fn cancelled(&self) {
        self.ends.fetch_or(EXPLAINED | RETURNED, Ordering::AcqRel);
    }
}
