//! What a writer shares with its handles, and what it knows of its reader (W7, W8).

use crate::{
    error::{Error, Result},
    layout::Word,
    link::Link,
    sync::{AtomicU64, Ordering, lock},
    sys::{Presence, Role, lives_by_pid},
};
use std::ops::Deref;

#[derive(Debug)]
pub(crate) struct WriterShared {
    pub(super) link: Link,
    /// The reader that was there at the attach; a segment never changes it.
    pub(crate) reader_pid: u64,
    /// The reader is of this implementation: slivers, bare wraps and presence count.
    pub(crate) ours: bool,
    /// Its capability level (W8); 0 if it is of another implementation.
    pub(crate) level: u8,
    /// The pid that was found in the place of ours; 0 as long as none was.
    pub(crate) replaced_by: AtomicU64,
}

impl Deref for WriterShared {
    type Target = Link;

    #[inline]
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl WriterShared {
    /// The pid in the writer's place. It is read once for each decision: a foreign one that has been seen must not be forgotten
    /// because its bearer has left meanwhile (W7).
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

    /// The sticky reasons for which nothing works any more, and what the control block says of both endpoints.
    pub(crate) fn check_open(&self, registered: u64) -> Result<()> {
        self.ensure_open()?;
        if self.region.load(Word::ReaderPid, Ordering::Acquire) == 0 {
            return Err(self.reader_gone("it has closed the buffer"));
        }
        self.check_place(registered)
    }

    /// Fails if the registration is not ours any more.
    #[inline]
    pub(crate) fn check_place(&self, registered: u64) -> Result<()> {
        if registered == self.own_pid { Ok(()) } else { self.reassert(registered) }
    }

    /// W7: a pid of 0 was stored by somebody who should not have; another pid means that our place is taken.
    #[cold]
    fn reassert(&self, registered: u64) -> Result<()> {
        // Once the place was taken our private position is outdated, also when the other writer has left.
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

    /// Why the reader is not there any more, if it is not (system calls: not for the data path).
    pub(crate) fn reader_loss(&self) -> Option<Loss> {
        if self.region.load(Word::ReaderPid, Ordering::Acquire) == 0 {
            return Some(Loss::certain("it has closed the buffer"));
        }
        let presence = lock(&self.presence);
        if presence.as_ref().is_some_and(Presence::is_unlinked) {
            return Some(Loss::certain("its buffer was removed or replaced"));
        }
        let held = presence.as_ref().and_then(|presence| presence.is_held(Role::Reader).ok());
        let exists = lives_by_pid(self.reader_pid, held);
        match held.filter(|_| self.ours) {
            Some(true) => None,
            // Another process may have got its number: then only standing still proves the death.
            Some(false) => Some(Loss { reason: "it died (no presence lock)", certain: !exists }),
            _ if exists => None,
            _ => Some(Loss::certain("it died (no such process)")),
        }
    }

    pub(crate) fn is_reader_connected(&self) -> bool {
        self.is_active() && self.reader_loss().is_none()
    }
}

/// A reader that seems to be gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) reason: &'static str,
    /// `false`: only if nothing moves for a slice either.
    pub(crate) certain: bool,
}

impl Loss {
    fn certain(reason: &'static str) -> Self {
        Self { reason, certain: true }
    }
}

#[cfg(test)]
mod tests {
    use crate::{BufferConfig, Error, Reader, Writer};

    #[test]
    fn a_foreign_pid_that_has_left_again_is_not_forgotten() {
        let name = crate::testing::name("zb-place");
        let _reader = Reader::create(&name, BufferConfig::new(0, 1024)).unwrap();
        let writer = Writer::connect(&name).unwrap();
        let own = writer.shared.own_pid;
        assert_eq!(writer.shared.registered(), own);
        // Read a moment ago; by now the place is free, and ours again.
        let foreign = own + 1;
        let replaced = |result| matches!(result, Err(Error::Replaced { found, .. }) if found == foreign);
        assert!(replaced(writer.shared.check_open(foreign)));
        assert!(replaced(writer.shared.check_place(0)), "it stays so");
    }
}
