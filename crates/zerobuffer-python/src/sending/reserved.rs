//! A frame that is filled in place: reserved, committed or given up, and the views of it released.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use zerobuffer::{Error, Patience};

use super::Sending;
use super::turns::Attempt;
use crate::claim::{End as Ending, Export, Inner, Reserved};
use crate::errors::{Failed, general, raise};
use crate::frame::release;
use crate::logging::{self, WRITER};
use crate::wait::Timeout;

impl Sending {
    /// Reserves a frame.
    pub(crate) fn reserve(
        &self,
        py: Python<'_>,
        size: usize,
        timeout: Option<Timeout>,
    ) -> Result<Reserved, Failed> {
        let reserved = match self.attempt(|inner| {
            let mut no_time = Patience::at_most(Duration::ZERO);
            inner.reserve(size, (!self.blocks).then_some(&mut no_time))
        }) {
            Attempt::Busy => None,
            Attempt::Done(Err(Error::Full { .. })) if self.blocks => None,
            Attempt::Done(Err(Error::ReaderGone { .. })) if self.rejoin.is_some() => None,
            Attempt::Done(result) => Some(result),
        };
        self.release_retired(py)?;
        logging::flush(py)?;
        match reserved {
            Some(result) => Ok(result?),
            None => self.repeat(py, timeout, |inner, patience| inner.reserve(size, Some(patience))),
        }
    }

    /// Remembers how Python sees a reservation, to release it when the reservation ends.
    pub(crate) fn remember(&self, py: Python<'_>, generation: u64, export: Export) -> PyResult<()> {
        let kept = {
            let mut inner = self.inner.lock_py_attached(py);
            let kept = inner.remember(generation, export);
            self.note_retired(&inner);
            kept
        };
        self.release_retired(py)?;
        if kept { Ok(()) } else { Err(raise(self.gone())) }
    }

    /// Publishes the reserved frame, or its first `len` bytes.
    pub(crate) fn commit(&self, py: Python<'_>, generation: Option<u64>, len: Option<usize>) -> PyResult<()> {
        self.refuse_fork().map_err(raise)?;
        let result = {
            let mut inner = self.inner.lock_py_attached(py);
            let reserved = inner.reserved(generation);
            if self.is_over(&inner) {
                return Err(raise(self.gone()));
            }
            let Some(size) = reserved else {
                return Err(match generation {
                    None => raise(Error::NothingPending { name: self.name().to_owned() }),
                    Some(_) => general(format!(
                        "the frame reserved in '{}' was given up before its commit: its thread reserved or wrote \
                         another one, or another thread waited longer than the write timeout",
                        self.name()
                    )),
                });
            };
            let Some(writer) = inner.writer.as_mut() else { return Err(raise(self.gone())) };
            let len = len.unwrap_or(size);
            if len == 0 || len > size {
                let (name, len, loaned) = (self.name().to_owned(), len as u64, size as u64);
                let reason = "a frame has at least 1 byte and at most what was reserved";
                return Err(raise(Error::InvalidCommit { name, len, loaned, reason }));
            }
            let result = writer.commit(len).map(|sequence| (sequence, len));
            inner.settle();
            self.note_retired(&inner);
            result
        };
        self.let_others();
        self.release_retired(py)?;
        logging::flush(py)?;
        let (sequence, len) = result.map_err(raise)?;
        self.next_sequence.store(sequence.wrapping_add(1), Relaxed);
        if WRITER.debugging(py)? {
            self.log_write(py, len, Some(sequence))?;
        }
        Ok(())
    }

    /// Gives the reserved frame up; whether there was one.
    pub(crate) fn abort(&self, py: Python<'_>, generation: Option<u64>) -> PyResult<bool> {
        self.refuse_fork().map_err(raise)?;
        let aborted = {
            let mut inner = self.inner.lock_py_attached(py);
            let aborted = inner.reserved(generation).is_some();
            if aborted {
                inner.abandon(Ending::AskedFor);
            }
            self.note_retired(&inner);
            aborted
        };
        self.let_others();
        self.release_retired(py)?;
        logging::flush(py)?;
        Ok(aborted)
    }

    pub(super) fn note_retired(&self, inner: &Inner) {
        if inner.has_retired() {
            self.retired.store(true, SeqCst);
        }
    }

    /// Releases the views of ended reservations: what they show may be a published frame by now.
    pub(super) fn release_retired(&self, py: Python<'_>) -> PyResult<()> {
        if !self.retired.load(Relaxed) || self.refuse_fork().is_err() {
            return Ok(());
        }
        self.retired.store(false, SeqCst);
        let exports = self.inner.lock_py_attached(py).take_retired();
        for export in exports {
            release(export.view.bind(py).as_any())?;
        }
        Ok(())
    }
}
