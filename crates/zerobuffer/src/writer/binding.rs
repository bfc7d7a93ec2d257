//! Loans without a borrow, for bindings, whose languages have none. Programs use [`Writer::loan`].

use super::{Writer, space::IfFull};
use crate::{
    error::{Error, Result},
    link::{Keepalive, Patience},
    sync::Arc,
};

#[doc(hidden)]
impl Writer {
    /// [`Self::loan`] without a borrow: the frame stays pending in the writer until
    /// [`Self::commit`], [`Self::abort`] or the next write, which abandons it. A frame that the
    /// policy drops is counted, and is [`Error::Full`].
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn begin(&mut self, size: usize) -> Result<()> {
        self.begin_in(size, IfFull::Policy)
    }

    /// As [`Self::begin`], but waits as the patience says instead of the write timeout.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn begin_with(&mut self, size: usize, patience: &mut Patience<'_>) -> Result<()> {
        self.begin_in(size, IfFull::PolicyWithin(patience))
    }

    pub(super) fn begin_in(&mut self, size: usize, if_full: IfFull<'_, '_>) -> Result<()> {
        let follows_policy = !matches!(if_full, IfFull::Fail);
        let reserved = self.reserve(size, if_full);
        if let Err(error) = &reserved
            && follows_policy
        {
            self.counts_as_dropped(error);
        }
        self.pending = Some(reserved?);
        Ok(())
    }

    /// As [`Self::begin`], but a full ring is [`Error::Full`] at once.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn try_begin(&mut self, size: usize) -> Result<()> {
        self.begin_in(size, IfFull::Fail)
    }

    /// The bytes of the pending frame. Their address stays the same until commit or abort.
    pub fn pending(&mut self) -> Option<&mut [u8]> {
        let slot = self.pending.as_mut()?;
        Some(self.shared.region.slot_mut(slot))
    }

    pub(crate) fn pending_bytes(&self) -> &[u8] {
        self.pending.as_ref().map(|slot| self.shared.region.slot(slot)).unwrap_or_default()
    }

    /// Publishes the first `len` bytes of the pending frame and returns its sequence number.
    ///
    /// # Errors
    ///
    /// [`Error::NothingPending`]; [`Error::InvalidCommit`], after which the frame is still pending;
    /// [`Error::Replaced`], [`Error::Forked`], [`Error::Corrupt`], after which it is abandoned.
    pub fn commit(&mut self, len: usize) -> Result<u64> {
        let Some(slot) = self.pending.take() else {
            return Err(Error::NothingPending { name: self.shared.name.clone() });
        };
        self.shared.ensure_own()?;
        let (len, loaned) = (len as u64, slot.size);
        if len == 0 || len > loaned {
            return Err(self.refuse_commit(slot, len, "a commit takes 1 byte to all of them"));
        }
        self.publish(slot, len)
    }

    /// Gives up the pending frame; nothing is published. `false`: there was none.
    pub fn abort(&mut self) -> bool {
        self.pending.take().is_some()
    }

    /// Keeps the mapping alive, for bindings that hand out views of a pending frame.
    #[must_use]
    pub fn keep_alive(&self) -> Keepalive {
        Keepalive::new(Arc::clone(&self.shared))
    }
}
