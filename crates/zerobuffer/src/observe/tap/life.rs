//! Whether the buffer that a tap looks into is still the one of its name.

use crate::{
    config::WAIT_SLICE,
    sys::{Role, Watch},
};
use std::time::Instant;

/// What is known of the buffer's end.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// When this was last asked.
    asked: Option<Instant>,
    /// Since when nobody holds the reader's presence.
    absent: Option<Instant>,
    /// Why it has ended.
    pub(super) ended: Option<Ending>,
}

/// Why a buffer has ended for its tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Closed,
    Died,
    Renamed,
}

impl Ending {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Closed => "it has closed the buffer",
            Self::Died => "it died (no presence lock)",
            Self::Renamed => "its name was removed, or has gone to another buffer",
        }
    }
}

impl Life {
    /// Whether it is time to ask again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.ended.is_none()
            && self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= WAIT_SLICE)
    }

    /// Asks. `reader`: the pid in the control block.
    pub(super) fn ask(&mut self, watch: &Watch, reader: u64, now: Instant) {
        self.asked = Some(now);
        let is_absent = watch.is_marked() && watch.is_held(Role::Reader).is_ok_and(|held| !held);
        self.absent = if is_absent { self.absent.or(Some(now)) } else { None };
        let is_dead = self.absent.is_some_and(|since| now.saturating_duration_since(since) >= WAIT_SLICE);
        let ending = if reader == 0 {
            Ending::Closed
        } else if is_dead {
            Ending::Died
        } else if watch.is_unlinked() {
            Ending::Renamed
        } else {
            return;
        };
        self.ended = self.ended.or(Some(ending));
    }
}
