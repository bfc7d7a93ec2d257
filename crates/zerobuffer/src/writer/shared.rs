//! What a writer shares with its handles, and what it knows of its reader (W7, W8).

use crate::{
    error::{Error, Result},
    layout::Word,
    link::{Link, Peer},
    liveness::{Facts, KnownBy, Life, NEVER_SEEN, Process, Reason},
    sync::{AtomicBool, AtomicU64, Ordering, lock},
    sys::{Presence, Role},
};
use std::{ops::Deref, time::Duration};

/// How long nothing may move in a buffer without a name before its waiting writer gives it up.
const NAMELESS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct WriterShared {
    pub(super) link: Link,
    /// The reader that was there at the attach; a segment never changes it.
    pub(crate) reader_pid: u64,
    /// What that reader can do.
    pub(crate) peer: Peer,
    /// The pid that was found in the place of the own one; 0 as long as none was.
    pub(crate) replaced_by: AtomicU64,
    /// The loss of the buffer's name was reported.
    pub(crate) warned: AtomicBool,
    /// What the writer saw when it began to wait for a future.
    #[cfg(feature = "async")]
    pub(super) seen: crate::link::reactor::Seen<6>,
}

impl Deref for WriterShared {
    type Target = Link;

    #[inline]
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl WriterShared {
    /// The pid in the writer's place. It is read once for each decision: a foreign one that has
    /// been seen must not be forgotten because its bearer has left meanwhile (W7).
    #[inline]
    pub(crate) fn registered(&self) -> u64 {
        self.region.load(Word::WriterPid, Ordering::Relaxed)
    }

    /// Whether [`Self::check_open`] finds nothing.
    #[inline]
    pub(crate) fn is_usable(&self, registered: u64) -> bool {
        self.link.is_open()
            // Both words lie in the cache line that publishing writes anyway.
            && self.region.load(Word::ReaderPid, Ordering::Acquire) != 0
            && registered == self.own_pid
    }

    /// The sticky reasons for which nothing works any more, and what the control block says of both
    /// endpoints.
    pub(crate) fn check_open(&self, registered: u64) -> Result<()> {
        self.ensure_open()?;
        if self.region.load(Word::ReaderPid, Ordering::Acquire) == 0 {
            return Err(self.reader_gone("it has closed the buffer"));
        }
        self.check_place(registered)
    }

    /// Fails if the registration is not this writer's any more.
    #[inline]
    pub(crate) fn check_place(&self, registered: u64) -> Result<()> {
        if registered == self.own_pid { Ok(()) } else { self.reassert(registered) }
    }

    /// W7: a pid of 0 was stored by somebody who should not have; another pid means that our place
    /// is taken.
    #[cold]
    fn reassert(&self, registered: u64) -> Result<()> {
        // Once the place was taken our private position is outdated, also when the other writer has
        // left.
        let earlier = self.replaced_by.load(Ordering::Relaxed);
        let found = if earlier != 0 {
            earlier
        } else if registered == 0 && !self.region.exchange(Word::WriterPid, 0, self.own_pid) {
            self.region.load(Word::WriterPid, Ordering::Relaxed)
        } else {
            registered
        };
        if found == 0 || found == self.own_pid {
            return Ok(());
        }
        self.replaced_by.store(found, Ordering::Relaxed);
        Err(Error::Replaced { name: self.name.clone(), own: self.own_pid, found })
    }

    #[cold]
    pub(crate) fn reader_gone(&self, reason: &'static str) -> Error {
        Error::ReaderGone { name: self.name.clone(), pid: self.reader_pid, reason }
    }

    /// Why the reader is gone, if it is. `still_for` says for how long nothing has moved that only
    /// it moves. Makes system calls: not for the data path.
    pub(crate) fn reader_loss(&self, still_for: Duration) -> Option<&'static str> {
        let (life, is_unlinked) = self.reader_life(still_for);
        match life {
            Life::Alive if is_unlinked => {
                self.warn_of_lost_name();
                let stands = still_for >= NAMELESS && still_for != NEVER_SEEN;
                (stands || !self.peer.has_presence()).then_some(
                    "its buffer was removed or replaced: connect again (on Linux, RemoveIPC=yes in logind.conf removes names at the user's last logout)",
                )
            }
            Life::Alive => None,
            Life::Doubtful(reason) => is_unlinked.then(|| reason.text()),
            Life::Gone(reason) => Some(reason.text()),
        }
    }

    /// The stream goes on, but an endpoint that leaves does not come back.
    #[cold]
    fn warn_of_lost_name(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            log::warn!(
                target: "zerobuffer::writer",
                "buffer '{}' has lost its name: this stream goes on, a new writer will not find it (on Linux: RemoveIPC=yes \
                 in logind.conf)",
                self.name
            );
        }
    }

    /// Judges the reader, and says whether its buffer has lost its name.
    fn reader_life(&self, still_for: Duration) -> (Life, bool) {
        // It may be 0 by now, and is never another one.
        let pid = match self.region.load(Word::ReaderPid, Ordering::Acquire) {
            0 => return (Life::Gone(Reason::Closed), false),
            _ => self.reader_pid,
        };
        let presence = lock(&self.presence);
        let presence = presence.as_ref();
        let held = presence.and_then(|presence| presence.is_held(Role::Reader).ok());
        let level = match presence {
            Some(presence) if held == Some(true) => presence.level(Role::Reader).unwrap_or(0),
            _ => 0,
        };
        // Asking for the process takes system calls, and an announced level tells more.
        let process = if level > 0 { Process::Exists } else { Process::of(pid) };
        let known = if self.peer.has_presence() { KnownBy::Sight } else { KnownBy::Nothing };
        let life = Facts { pid, process, known, held, level, still_for }.reader();
        (life, presence.is_some_and(Presence::is_unlinked))
    }

    pub(crate) fn is_reader_connected(&self) -> bool {
        let (life, is_unlinked) = self.reader_life(Duration::ZERO);
        self.is_active() && life.is_alive() && (self.peer.has_presence() || !is_unlinked)
    }
}

#[cfg(test)]
mod tests {
    use crate::{BufferConfig, Error, Reader, Writer};

    #[test]
    fn a_foreign_pid_that_has_left_again_is_not_forgotten() {
        let name = crate::testing::name("zb-place");
        let _reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
        let writer = Writer::connect(&name).unwrap();
        let own = writer.shared.own_pid;
        assert_eq!(writer.shared.registered(), own);
        // Read a moment ago; by now the place is free, and this writer's again.
        let foreign = own + 1;
        let replaced = |result| matches!(result, Err(Error::Replaced { found, .. }) if found == foreign);
        assert!(replaced(writer.shared.check_open(foreign)));
        assert!(replaced(writer.shared.check_place(0)), "it stays so");
    }
}
