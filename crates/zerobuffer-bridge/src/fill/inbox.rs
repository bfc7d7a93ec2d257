//! Messages that have come from a sender and are not dealt with.
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zenoh::bytes::ZBytes;
use zenoh::sample::Sample;

use crate::wire::{HEADER, Header};

/// Messages that may wait for the ring. No sender has more under way.
const MOST_MESSAGES: usize = 32;

/// What has arrived and is not dealt with.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Header, ZBytes)>,
    bytes: u64,
    /// Of the last message.
    epoch: u64,
    number: u64,
    /// Why nothing more is taken.
    broken: Option<String>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message came. This is the engine's thread: nothing is waited for.
    pub(super) fn take(&self, sample: &Sample, most: u64) {
        let mut waiting = self.lock();
        if waiting.broken.is_some() {
            return;
        }
        // Not joined to one piece before its length is looked at.
        let header = match sample.attachment().filter(|bytes| bytes.len() == HEADER) {
            Some(bytes) => Header::decode(&bytes.to_bytes()),
            None => Header::decode(&[]),
        };
        let length = sample.payload().len() as u64;
        match header {
            Err(refused) => waiting.broken = Some(refused.0),
            Ok(header) if header.length != length => {
                waiting.broken =
                    Some(format!("a message says that it has {} bytes, and has {length}", header.length));
            }
            // One that is too large for the ring is refused as that.
            Ok(_)
                if waiting.messages.len() >= MOST_MESSAGES
                    || !waiting.messages.is_empty() && waiting.bytes + length > most =>
            {
                waiting.broken = Some(format!(
                    "the sender does not wait: {} messages of {} bytes are here already",
                    waiting.messages.len(),
                    waiting.bytes
                ));
            }
            Ok(header) => {
                (waiting.epoch, waiting.number) = (header.epoch, header.number);
                waiting.bytes += length;
                waiting.messages.push_back((header, sample.payload().clone()));
            }
        }
        drop(waiting);
        self.changed.notify_all();
    }

    /// The next message; `None` if none comes in time.
    pub(super) fn next(&self, time: Duration) -> Result<Option<(Header, ZBytes)>, String> {
        let mut waiting = self.lock();
        if waiting.messages.is_empty() && waiting.broken.is_none() {
            waiting = self.changed.wait_timeout(waiting, time).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((header, payload)) = waiting.messages.pop_front() {
            waiting.bytes -= header.length;
            return Ok(Some((header, payload)));
        }
        waiting.broken.clone().map_or(Ok(None), Err)
    }

    /// Why nothing more is taken, if that is so.
    pub(super) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// The last message that came of an epoch.
    pub(super) fn received(&self, epoch: u64) -> u64 {
        let waiting = self.lock();
        if waiting.epoch == epoch { waiting.number } else { 0 }
    }
}
