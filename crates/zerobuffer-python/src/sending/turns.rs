//! Turns between threads: one attempt, or slices of a wait until it succeeds or the time is up.

use std::{thread, time::Duration};

use parking_lot::MutexGuard;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use zerobuffer::{Error, Patience};

use super::Sending;
use crate::claim::{End as Ending, Inner, Owner};
use crate::errors::{Failed, full};
use crate::logging;
use crate::source::writer_stalled;
use crate::wait::{Deadline, Timeout};

/// Time between two attempts to attach to another reader.
const ATTEMPT: Duration = Duration::from_millis(5);

/// How one attempt ended.
pub(super) enum Attempt<T> {
    /// With a result of the core.
    Done(Result<T, Error>),
    /// Another thread had the lock, or has a frame reserved.
    Busy,
}

impl Sending {
    /// One attempt while attached: nothing in it waits.
    pub(super) fn attempt<T>(&self, operation: impl FnOnce(&mut Inner) -> Result<T, Error>) -> Attempt<T> {
        let Some(mut inner) = self.inner.try_lock() else { return Attempt::Busy };
        if self.is_over(&inner) {
            return Attempt::Done(Err(self.gone()));
        }
        let looks = self.rejoin.as_ref().is_some_and(|rejoin| inner.writer.is_none() || rejoin.is_due());
        if !inner.is_free() || looks {
            return Attempt::Busy;
        }
        Attempt::Done(operation(&mut inner))
    }

    /// One detached slice.
    pub(super) fn slice<T>(
        &self,
        deadline: &Deadline,
        continued: &mut bool,
        operation: impl FnOnce(&mut Inner, &mut Patience<'_>) -> Result<T, Error>,
    ) -> Attempt<T> {
        let Some(mut inner) = self.inner.try_lock_for(deadline.slice()) else { return Attempt::Busy };
        if !inner.is_free() {
            self.freed.wait_for(&mut inner, deadline.slice());
            if !inner.is_free() {
                return Attempt::Busy;
            }
        }
        if let Err(error) = self.attach(&mut inner) {
            return Attempt::Done(Err(error));
        }
        let mut patience = Patience::at_most(deadline.slice()).continued(*continued);
        let result = operation(&mut inner, &mut patience);
        *continued = true;
        if matches!(result, Err(Error::ReaderGone { .. })) {
            self.leave(&mut inner);
        }
        // Other threads that write take turns.
        MutexGuard::unlock_fair(inner);
        Attempt::Done(result)
    }

    /// Repeats `operation` slice by slice until it succeeds or the time is up.
    ///
    /// In slices, as [`in_slices`](crate::wait::in_slices) says. It has a loop of its own. Between two
    /// slices it clears reservations out of the way, releases views and looks for another reader.
    pub(super) fn repeat<T: Send>(
        &self,
        py: Python<'_>,
        timeout: Option<Timeout>,
        operation: impl Fn(&mut Inner, &mut Patience<'_>) -> Result<T, Error> + Sync,
    ) -> Result<T, Failed> {
        self.refuse_fork()?;
        let deadline =
            timeout.unwrap_or_else(|| Duration::from_nanos(self.write_timeout_ns()).into()).start();
        let mut collected = 0;
        let mut waited = false;
        // All slices are one wait.
        let mut continued = false;
        let mut left = false;
        loop {
            let last = deadline.passed();
            // Another thread that keeps a frame reserved for as long as we wait has given it up.
            self.clear_the_way(py, last && waited)?;
            let attempt = py.detach(|| self.slice(&deadline, &mut continued, &operation));
            self.resume_loops();
            self.release_retired(py)?;
            logging::flush(py)?;
            match attempt {
                Attempt::Done(Err(error @ Error::Full { .. })) if self.blocks => {
                    if last {
                        return Err(error.after(deadline.waited()).into());
                    }
                }
                Attempt::Done(Err(error @ Error::ReaderGone { .. })) if self.rejoin.is_some() => {
                    // The first time the next reader may be there already.
                    if left && (last || !self.blocks) {
                        return Err(error.into());
                    }
                    if left {
                        py.detach(|| thread::sleep(deadline.slice().min(ATTEMPT)));
                    }
                    left = true;
                }
                Attempt::Done(result) => return Ok(result?),
                Attempt::Busy if last => return Err(self.busy().into()),
                Attempt::Busy => {}
            }
            waited = true;
            py.check_signals()?;
            if self.is_closed() {
                return Err(self.gone().into());
            }
            writer_stalled(py, &mut collected)?;
        }
    }

    /// Ends a reservation that stands in the way: the caller's own, that of a thread that has
    /// ended, or, with `evict`, any. Its view is released first, so nobody writes into a place that
    /// is used again. A view of another thread that cannot be released, as arrays made from it
    /// live, is left alone.
    pub(super) fn clear_the_way(&self, py: Python<'_>, evict: bool) -> PyResult<()> {
        let standing = self.inner.try_lock().and_then(|inner| inner.in_the_way(py));
        let Some((generation, owner, export)) = standing else { return Ok(()) };
        if owner == Owner::Other && !evict {
            return Ok(());
        }
        let released = match export {
            Some(export) => export.end(py)?,
            // Not handed out yet, by a call that is still running.
            None => owner != Owner::Other,
        };
        if !released && owner != Owner::Caller {
            return Ok(());
        }
        {
            let mut inner = self.inner.lock_py_attached(py);
            if inner.reserved(Some(generation)).is_some() {
                inner.abandon(Ending::Displaced);
            }
            self.note_retired(&inner);
        }
        self.let_others();
        Ok(())
    }

    pub(super) fn busy(&self) -> PyErr {
        full(format!(
            "buffer '{}': another thread is writing, or has a frame reserved in which memoryviews or arrays still \
             write: it must be committed or aborted, and they must be dropped",
            self.name()
        ))
    }
}
