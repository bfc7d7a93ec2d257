//! A role that is held until it is let go of.

use super::{Presence, Role};
use std::io;

/// Holds a role's presence until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// `None`: presence does not work here, so there is nothing to hold.
    presence: Option<&'a Presence>,
    role: Role,
}

impl<'a> Held<'a> {
    /// Takes a role. `Ok(None)`: somebody else holds it. Without a presence there is nothing to
    /// take, and nobody to ask.
    pub(crate) fn take(presence: Option<&'a Presence>, role: Role) -> io::Result<Option<Self>> {
        let taken = presence.map_or(Ok(true), |presence| presence.try_lock(role))?;
        Ok(taken.then_some(Self { presence, role }))
    }

    /// The role of an endpoint whose presence does not work.
    pub(crate) fn nothing(role: Role) -> Self {
        Self { presence: None, role }
    }

    /// Whether a lock is held in fact.
    pub(crate) fn is_locked(&self) -> bool {
        self.presence.is_some()
    }

    /// Holds the role for as long as the presence lives.
    pub(crate) fn keep(mut self) {
        self.presence = None;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(presence) = self.presence {
            // Letting go of a lock that is held does not fail.
            let _ = presence.unlock(self.role);
        }
    }
}
