//! Liveness: facts in, a judgement out. One table for readers, one for writers, the same on every
//! system.
//!
//! A native endpoint is present for its life. Its process number proves nothing: it may belong to
//! another process here, or to nobody in this pid namespace. A legacy endpoint has nothing but its
//! number.
#![forbid(unsafe_code)]

use crate::{config::WAIT_SLICE, layout::TOMBSTONE};
use std::time::Duration;

/// What is known of the endpoint that `reader_pid` or `writer_pid` names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The number in the control block; 0 if nobody is registered.
    pub(crate) pid: u64,
    pub(crate) process: Process,
    pub(crate) known: KnownBy,
    /// Whether somebody other than the judge holds the role's presence; `None` where that cannot be
    /// asked.
    pub(crate) held: Option<bool>,
    /// The capability level that is announced for the role; 0 if none is.
    pub(crate) level: u8,
    /// For how long nothing has moved that only this endpoint moves. [`NEVER_SEEN`] for a judge
    /// that did not watch.
    pub(crate) still_for: Duration,
}

/// [`Facts::still_for`] of a judge that did not watch: the locks alone decide.
pub(crate) const NEVER_SEEN: Duration = Duration::MAX;

/// What this pid namespace knows of the process with the endpoint's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// Nobody, or a process that has ended and was not waited for yet.
    Missing,
    /// Some process, perhaps one of another user.
    Exists,
    /// The judge's own process.
    Own,
}

/// What tells that an endpoint is native.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBy {
    /// The mark of its segment: that of a reader.
    Mark,
    /// The note that a writer leaves before it registers.
    Note,
    /// It was seen to hold its presence.
    Sight,
    /// Nothing: it is a legacy endpoint, or one that was not seen yet.
    Nothing,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    Gone(Reason),
    /// It looks dead, and may yet live: ask again later.
    Doubtful(Reason),
}

/// Why an endpoint is gone, or seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is not registered any more.
    Closed,
    /// It has taken its number back and still holds its presence.
    Closing,
    /// A successor has found it dead.
    Tombstone,
    /// It is native and not present.
    NotPresent,
    /// It has no presence, and no process has its number.
    NoProcess,
    /// It has no presence and the judge's own number, which is thus that of a predecessor.
    OwnNumber,
    /// Somebody holds its presence who announces nothing: another judge.
    BeingJudged,
}

impl Life {
    /// Whether the endpoint may be relied on. Doubt counts as no.
    pub(crate) fn is_alive(self) -> bool {
        self == Self::Alive
    }

    /// Why it is gone, if that is certain.
    pub(crate) fn is_gone(self) -> bool {
        matches!(self, Self::Gone(_))
    }

    /// Why it is not, or may not be, alive.
    pub(crate) fn reason(self) -> Option<Reason> {
        match self {
            Self::Alive => None,
            Self::Gone(reason) | Self::Doubtful(reason) => Some(reason),
        }
    }
}

impl Reason {
    /// For messages, about an endpoint that was named before.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Closed | Self::Closing => "it has closed the buffer",
            Self::Tombstone => "it died (its successor found it dead)",
            Self::NotPresent => "it died (no presence lock)",
            Self::NoProcess | Self::OwnNumber => "it died (no such process)",
            Self::BeingJudged => "it is being judged by another process",
        }
    }

    /// For messages about a buffer.
    #[cfg_attr(any(loom, shuttle), allow(dead_code, reason = "nothing is left behind there"))]
    pub(crate) fn of_reader(self) -> &'static str {
        match self {
            Self::Closed | Self::Closing => "its reader closed and left it",
            Self::NotPresent | Self::Tombstone => "its reader died (no presence lock)",
            Self::NoProcess | Self::OwnNumber => "its reader died (no such process)",
            Self::BeingJudged => "its reader is being judged by another process",
        }
    }
}

impl Facts {
    /// The table of readers. A segment never changes its reader, so its mark tells its kind for
    /// good.
    pub(crate) fn reader(&self) -> Life {
        match self.held {
            Some(true) if self.pid == 0 => Life::Doubtful(Reason::Closing),
            _ if self.pid == 0 => Life::Gone(Reason::Closed),
            // A native reader announces its level before its buffer has a name, and for as long as
            // it is present.
            Some(true) if self.level > 0 => Life::Alive,
            Some(true) if self.is_native() => Life::Doubtful(Reason::BeingJudged),
            Some(true) => match self.process {
                Process::Missing => Life::Doubtful(Reason::BeingJudged),
                Process::Exists | Process::Own => Life::Alive,
            },
            Some(false) if self.is_native() => self.absent(),
            Some(false) | None => self.by_number(),
        }
    }

    /// The table of writers. The holder of the presence may only be trying to become the writer; it
    /// is there.
    pub(crate) fn writer(&self) -> Life {
        match self.held {
            _ if self.pid == 0 => Life::Gone(Reason::Closed),
            _ if self.pid == TOMBSTONE => Life::Gone(Reason::Tombstone),
            Some(true) => Life::Alive,
            Some(false) if self.is_native() => self.absent(),
            Some(false) | None => self.by_number(),
        }
    }

    fn is_native(&self) -> bool {
        self.known != KnownBy::Nothing
    }

    /// A native endpoint that is not present. Its number may have a new bearer; or it lives, and
    /// something has closed its descriptors: then it moves.
    fn absent(&self) -> Life {
        match self.process {
            Process::Missing | Process::Own => Life::Gone(Reason::NotPresent),
            Process::Exists if self.still_for >= WAIT_SLICE => Life::Gone(Reason::NotPresent),
            Process::Exists => Life::Doubtful(Reason::NotPresent),
        }
    }

    /// A legacy endpoint, or one whose presence cannot be asked for. However idle, it lives while
    /// its process does.
    fn by_number(&self) -> Life {
        match self.process {
            Process::Missing => Life::Gone(Reason::NoProcess),
            // An endpoint of this process would hold its presence.
            Process::Own if self.held == Some(false) => Life::Gone(Reason::OwnNumber),
            Process::Exists | Process::Own => Life::Alive,
        }
    }
}

#[cfg(test)]
mod tests;
