//! Whether a waiting reader's buffer still has its names: without them no writer ever finds it.

use crate::{
    error::{Error, Result},
    sync::Instant,
    sys::NameGuard,
};
use std::time::Duration;

/// How often a waiting reader looks.
const EVERY: Duration = Duration::from_secs(1);

/// What a reader has found out about its names.
#[derive(Debug)]
pub(super) struct NamesWatch {
    next_look: Instant,
    /// One of them is gone, or another file's. That does not get well again.
    lost: Option<String>,
    /// The end of the last writer was reported since.
    reported: bool,
}

impl NamesWatch {
    pub(super) fn new() -> Self {
        Self { next_look: Instant::now() + EVERY, lost: None, reported: false }
    }

    /// Looks if it is time to. A running stream goes on without its names, so this only warns;
    /// `Some`: they are lost.
    pub(super) fn find_lost(
        &mut self,
        names: Option<&NameGuard>,
        buffer: &str,
        now: Instant,
    ) -> Option<&str> {
        if self.lost.is_none() && now >= self.next_look {
            self.next_look = now + EVERY;
            self.lost = names.and_then(NameGuard::first_lost);
            if let Some(lost) = &self.lost {
                log::warn!(
                    target: "zerobuffer::reader",
                    "buffer '{buffer}': the name {lost} was removed under this reader; no new writer finds the buffer (on \
                     Linux: RemoveIPC=yes in logind.conf removes them at the user's last logout)"
                );
            }
        }
        self.lost.as_deref()
    }

    /// Fails if the names are lost and no writer is attached, so none ever comes. The end of the
    /// last writer is reported first, once.
    pub(super) fn check(&mut self, names: Option<&NameGuard>, buffer: &str, now: Instant) -> Result<()> {
        match self.find_lost(names, buffer, now).map(str::to_owned) {
            Some(lost) => Err(Error::NamesRemoved { name: buffer.to_owned(), lost }),
            None => Ok(()),
        }
    }

    /// What is reported of a writer that has gone: that it has, and the next time that none can
    /// come.
    pub(super) fn after_end(
        &mut self,
        names: Option<&NameGuard>,
        buffer: &str,
        now: Instant,
        gone: Error,
    ) -> Error {
        if !std::mem::replace(&mut self.reported, true) {
            return gone;
        }
        self.check(names, buffer, now).err().unwrap_or(gone)
    }
}
