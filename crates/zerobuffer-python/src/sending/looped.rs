//! Writing for an event loop: attempts that never wait, and what says when to try again.

use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst, fence};

use pyo3::prelude::*;
use zerobuffer::Error;

use super::turns::Attempt;
use super::{COPY_ATTACHED, Sending};
use crate::errors::raise;
use crate::event::Signal;
use crate::logging;
use crate::source::writer_stalled;
use crate::wait::Timeout;

impl Sending {
    /// One attempt. False: to be made again when the event descriptor is readable, or after a while
    /// if there is no reader. `again`: it is not the first one.
    pub(crate) fn try_write(&self, py: Python<'_>, bytes: &[u8], again: bool) -> PyResult<bool> {
        self.refuse_fork().map_err(raise)?;
        let mut attempt = self.write_once(py, bytes)?;
        if matches!(attempt, Attempt::Busy) && self.looped.load(Relaxed) {
            // The thread that writes or ends its reservation sees this afterwards, or is done.
            self.turned_away.store(true, SeqCst);
            fence(SeqCst);
            if let Some(event) = &*self.event.lock() {
                event.drain();
            }
            attempt = self.write_once(py, bytes)?;
        }
        self.release_retired(py)?;
        logging::flush(py)?;
        let sequence = match attempt {
            Attempt::Done(Ok(outcome)) => outcome.sequence(),
            Attempt::Done(Err(Error::Full { .. })) if self.blocks => {
                if again {
                    writer_stalled(py, &mut 0)?;
                }
                return Ok(false);
            }
            Attempt::Done(Err(error)) if self.drops(&error) => None,
            Attempt::Done(Err(Error::ReaderGone { .. })) if self.rejoin.is_some() && self.blocks => {
                return Ok(false);
            }
            Attempt::Busy if self.blocks => return Ok(false),
            Attempt::Busy => return Err(self.busy()),
            Attempt::Done(Err(error)) => return Err(raise(error)),
        };
        self.wrote(py, bytes.len(), sequence)?;
        Ok(true)
    }

    fn write_once(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<Attempt<zerobuffer::Outcome>> {
        if bytes.len() <= COPY_ATTACHED {
            let attempt = self.attempt(|inner| self.write_now(inner, bytes));
            if matches!(attempt, Attempt::Done(_)) {
                return Ok(attempt);
            }
        }
        // Large, or another reader is to be attached to, or a reservation stands in the way.
        self.clear_the_way(py, false)?;
        let no_time = Timeout::Zero.start();
        Ok(py.detach(|| self.slice(&no_time, &mut true, |inner, _| self.write_now(inner, bytes))))
    }

    /// What an event loop waits for; `None` where there is no such thing, and while there is no
    /// reader.
    pub(crate) fn event(&self, py: Python<'_>) -> PyResult<Option<Signal>> {
        self.refuse_fork().map_err(raise)?;
        if let Some(event) = &*self.event.lock() {
            return Ok(Some(event.clone()));
        }
        #[cfg(all(target_os = "linux", not(macos_sys)))]
        {
            self.looped.store(true, SeqCst);
            let made = py.detach(|| {
                let mut inner = self.inner.lock();
                if self.is_over(&inner) {
                    return Err(self.gone());
                }
                let Some(writer) = inner.writer.as_mut() else { return Ok(None) };
                let event = writer.event_fd()?;
                *self.event.lock() = Some(event.clone());
                Ok(Some(event))
            });
            made.map_err(raise)
        }
        #[cfg(not(all(target_os = "linux", not(macos_sys))))]
        {
            let _ = py;
            Ok(None)
        }
    }

    /// A wait of this thread took the wake-ups of event loops: they try again.
    pub(super) fn resume_loops(&self) {
        if self.looped.load(Relaxed)
            && let Some(event) = &*self.event.lock()
        {
            event.signal();
        }
    }

    /// A reservation has ended: others may write.
    pub(super) fn let_others(&self) {
        self.freed.notify_all();
        if self.looped.load(Relaxed) {
            fence(SeqCst);
            if self.turned_away.load(Relaxed) && self.turned_away.swap(false, SeqCst) {
                self.resume_loops();
            }
        }
    }

    /// The connection has ended, and its descriptor with it: event loops look for the last time.
    pub(super) fn end_event(&self) {
        if let Some(event) = self.event.lock().take() {
            event.signal();
        }
    }
}
