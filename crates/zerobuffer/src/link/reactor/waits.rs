//! What an endpoint keeps for waits that do not block.

#[cfg(all(target_os = "linux", not(macos_sys)))]
use super::EventFd;
use super::{Registration, Subject};
use crate::error::Result;
use std::time::Duration;

/// How long a waiting future does not look whatever happens: its buffer's names, and what nothing
/// else tells of.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);

/// An endpoint's place with the waiting thread, once a future has waited, and its descriptor for
/// event loops, once one was asked for.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    registration: Option<Registration>,
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    event: Option<EventFd>,
}

impl Waits {
    /// The registration, made by the first call.
    pub(crate) fn register<S: Subject + 'static>(
        &mut self,
        name: &str,
        subject: impl FnOnce() -> S,
    ) -> Result<&Registration> {
        match &mut self.registration {
            Some(registration) => Ok(registration),
            none => Ok(none.insert(Registration::new(name, subject())?)),
        }
    }

    pub(crate) fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    /// Nobody waits any more.
    #[inline]
    pub(crate) fn disarm(&self) {
        if let Some(registration) = &self.registration {
            registration.disarm();
        }
    }

    /// A blocked call sleeps by itself, and who has closed waits for nothing.
    pub(crate) fn leave(&mut self) {
        self.registration = None;
    }

    /// The descriptor, made by the first call.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub(crate) fn event_fd(&mut self, name: &str) -> Result<EventFd> {
        EventFd::of(&mut self.event, name)
    }

    /// The descriptor, if there is one.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    #[inline]
    pub(crate) fn event(&self) -> Option<&EventFd> {
        self.event.as_ref()
    }
}
