//! A descriptor in the place of a waker, for event loops that wait for descriptors.

use crate::{
    error::{Error, Result},
    sync::Arc,
    sys::Event,
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    task::{Wake, Waker},
};

/// A descriptor for `poll`, `epoll`, and every event loop that is made of them; Linux only.
///
/// It is readable when the endpoint may have something to do. A frame or room is there, the other
/// end has come or gone, or the endpoint was interrupted. About once a second it may be readable
/// for nothing. It is made by [`Reader::event_fd`](crate::Reader::event_fd) or
/// [`Writer::event_fd`](crate::Writer::event_fd), which say what to do then. Nothing reads it or
/// writes to it but its endpoint. It stays open, and is not readable any more, when the endpoint
/// has ended.
#[derive(Clone, Debug)]
pub struct EventFd(Arc<Signal>);

#[derive(Debug)]
struct Signal(Event);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.signal();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.signal();
    }
}

impl EventFd {
    /// The endpoint's one descriptor, made by the first call. It is readable from the beginning:
    /// its maker polls first.
    pub(crate) fn of(kept: &mut Option<Self>, name: &str) -> Result<Self> {
        let event = kept.take().map_or_else(|| Self::new(name), Ok)?;
        Ok(kept.insert(event).clone())
    }

    fn new(name: &str) -> Result<Self> {
        let event = Event::new().map_err(|e| Error::os("make an event descriptor for", name, e))?;
        event.signal();
        Ok(Self(Arc::new(Signal(event))))
    }

    pub(crate) fn waker(&self) -> Waker {
        Arc::clone(&self.0).into()
    }

    /// Makes it readable, so its event loop looks at the endpoint. A program calls this that shares
    /// an endpoint between an event loop and threads. Their waiting calls take its wake-ups away.
    pub fn signal(&self) {
        self.0.0.signal();
    }

    /// Makes it unreadable. Such a program calls this before a look that another thread may be in
    /// the way of. That thread calls [`Self::signal`] afterwards.
    pub fn drain(&self) {
        self.0.0.drain();
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
