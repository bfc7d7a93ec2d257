//! What a reader shares with its frames and handles.

use super::{Metadata, metadata::Earlier};
use crate::{
    error::Error,
    layout::{TOMBSTONE, Word},
    link::Link,
    liveness::{Facts, KnownBy, Life, Process},
    ring::{Credit, Fault, MetadataState},
    sync::{AtomicU64, Instant, Mutex, Ordering, fence_after_latch, lock, sleep},
    sys::{Held, Role, Semaphore},
};
use std::{ops::Deref, time::Duration};

/// The value of the space semaphore from which on a further token would tell the writer nothing new
/// (W5).
const ENOUGH_TOKENS: u32 = 2;
/// How much longer than its response buffer a native client that leaves may have its role.
const LEAVING: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct ReaderShared {
    link: Link,
    pub(crate) credit: Credit,
    /// The pid of the last writer that was seen to hold its presence byte.
    pub(crate) present_writer: AtomicU64,
    /// Metadata that were taken out of the buffer, so a legacy successor finds room for its own;
    /// and whose they are.
    kept: Mutex<Option<(u64, Metadata)>>,
    /// The metadata of earlier writers. Not for a channel, whose clients remove their
    /// predecessors'.
    pub(super) earlier: Mutex<Earlier>,
    /// What the reader saw when it began to wait for a future.
    #[cfg(feature = "async")]
    pub(super) seen: crate::link::reactor::Seen<3>,
}

impl Deref for ReaderShared {
    type Target = Link;

    #[inline]
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl ReaderShared {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            credit: Credit::new(),
            present_writer: AtomicU64::new(0),
            kept: Mutex::default(),
            earlier: Mutex::default(),
            #[cfg(feature = "async")]
            seen: crate::link::reactor::Seen::new(),
        }
    }

    /// Returns a frame's ring space and wakes the writer if it may be waiting for it.
    #[inline]
    pub(crate) fn release(&self, start: u64, end: u64) {
        if self.is_forked() {
            return;
        }
        if self.credit.release(&self.region, start, end) {
            self.wake_writer();
        }
    }

    /// After a credit. Edge E4: the credit and the look at the semaphore are in one total order
    /// with the writer's two steps. These are its taking of tokens and its look at `free`. So one
    /// of both sees the other.
    #[inline]
    pub(crate) fn wake_writer(&self) {
        fence_after_latch();
        if self.space.value() < ENOUGH_TOKENS {
            self.space.post();
        }
    }

    #[cold]
    pub(crate) fn fault(&self, fault: &Fault) -> Error {
        fault.on(&self.name)
    }

    /// See [`ReaderHandle::renew_metadata`](super::ReaderHandle::renew_metadata).
    pub(crate) fn renew_metadata(&self, known: bool) {
        if !self.is_active() {
            return;
        }
        // What was taken out was the predecessor's: what is there now is not.
        let known = lock(&self.kept).take().is_none() && known;
        let (before, until) = (MetadataState::load(&self.region), Instant::now() + LEAVING);
        // Those of a successor are not the ones that are to go.
        while before.written != 0
            && MetadataState::load(&self.region) == before
            && !self.remove_metadata(|writer| known || writer == 0)
            && Instant::now() < until
        {
            sleep(LEAVING / 20);
        }
    }

    /// Takes the metadata of a legacy writer out of the buffer and keeps a copy. Its successor may
    /// come as soon as it is gone, before anybody can make room, and could not write its own.
    pub(crate) fn keep_metadata(&self, metadata: &Metadata) {
        let writer = self.region.load(Word::WriterPid, Ordering::Acquire);
        if writer == 0 || writer == TOMBSTONE || self.knows_writer(writer) || !self.is_active() {
            return;
        }
        *lock(&self.kept) = Some((writer, metadata.clone()));
        self.remove_metadata(|now| now == writer);
    }

    pub(crate) fn forget_metadata(&self) {
        if !self.is_forked() {
            lock(&self.kept).take();
        }
    }

    /// What was kept of the writer `pid`.
    pub(super) fn kept_metadata(&self, pid: u64) -> Option<Metadata> {
        lock(&self.kept).as_ref().filter(|(writer, _)| *writer == pid).map(|(_, metadata)| metadata.clone())
    }

    /// Removes the metadata if the registered writer is as wanted. `false`: a native writer is
    /// attached or attaches.
    fn remove_metadata(&self, wanted: impl Fn(u64) -> bool) -> bool {
        let presence = lock(&self.presence);
        let held = Held::take(presence.as_ref(), Role::Writer).unwrap_or(None);
        if held.is_some() && wanted(self.region.load(Word::WriterPid, Ordering::SeqCst)) {
            self.clear_metadata();
        }
        held.is_some()
    }

    /// The same, for who holds the writer's presence byte.
    pub(super) fn clear_metadata(&self) {
        let written = self.region.load(Word::MetadataWritten, Ordering::Acquire);
        if written != 0 {
            // A legacy writer does not write metadata while there are some: these are still the
            // same.
            self.region.store(Word::MetadataFree, self.region.metadata_capacity(), Ordering::Relaxed);
            self.region.exchange(Word::MetadataWritten, written, 0);
        }
    }

    /// Whether a writer is registered and alive, by what is known without waiting (W8).
    pub(crate) fn is_writer_connected(&self) -> bool {
        let pid = self.region.load(Word::WriterPid, Ordering::Acquire);
        if pid == 0 || pid == TOMBSTONE || !self.is_active() {
            return false;
        }
        Self::writer_life(pid, self.sees_writer_present(pid), self.writer_known_by(pid), Duration::ZERO)
            .is_alive()
    }

    /// Judges the writer that has registered as `pid`, of whom the rest is known.
    pub(crate) fn writer_life(pid: u64, held: Option<bool>, known: KnownBy, still_for: Duration) -> Life {
        // Asking for the process takes system calls, and a held presence tells more.
        let process = if held == Some(true) { Process::Exists } else { Process::of(pid) };
        Facts { pid, process, known, held, level: 0, still_for }.writer()
    }

    /// What shows that `pid` is a native writer: it was seen to hold its presence byte, or has
    /// noted itself before it registered. Without the note, one that dies before it is looked at
    /// would be known by its number alone. In this pid namespace that may be another, living
    /// process.
    pub(crate) fn writer_known_by(&self, pid: u64) -> KnownBy {
        if self.present_writer.load(Ordering::Relaxed) == pid {
            KnownBy::Sight
        } else if self.data.noted_writer() == pid {
            KnownBy::Note
        } else {
            KnownBy::Nothing
        }
    }

    /// Whether `pid` is known to be a native writer.
    pub(crate) fn knows_writer(&self, pid: u64) -> bool {
        self.writer_known_by(pid) != KnownBy::Nothing
    }

    /// Whether somebody holds the writer's presence byte; `None` where that cannot be asked. If so,
    /// `pid` is known to be native, unless the byte may be another one's. An attempt beside a live
    /// legacy writer holds it for an instant, again and again, and the claim all the time. A native
    /// writer whose place a legacy one has taken holds it until it notices, and its note is there.
    pub(crate) fn sees_writer_present(&self, pid: u64) -> Option<bool> {
        let presence = lock(&self.presence);
        let presence = presence.as_ref()?;
        let is_held = |role| presence.is_held(role);
        let claimed_before = is_held(Role::Claim).unwrap_or(true);
        let held = is_held(Role::Writer).ok();
        let noted = self.data.noted_writer();
        let is_own = noted == pid || (noted == 0 && !Semaphore::HAS_NOTES);
        if held == Some(true) && is_own && !claimed_before && !is_held(Role::Claim).unwrap_or(true) {
            self.present_writer.store(pid, Ordering::Relaxed);
        }
        held
    }
}
