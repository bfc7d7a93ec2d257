//! Attaching to what may not be there yet, in slices that Ctrl-C can end.

use std::time::Duration;

use pyo3::prelude::*;
use zerobuffer::Error;

use crate::logging;
use crate::sending::Failed;
use crate::wait::Timeout;

/// Repeats `attempt`, which may wait for the time that it is given, while the buffer is not there.
/// `goes_on` says of any other error whether to try again. Its argument says whether the time is
/// up.
pub(crate) fn connect<T: Send>(
    py: Python<'_>,
    timeout: Timeout,
    attempt: impl Fn(Duration) -> Result<T, Error> + Sync,
    goes_on: impl Fn(&Error, bool) -> bool,
) -> Result<T, Failed> {
    let deadline = timeout.start();
    loop {
        let attempted = py.detach(|| attempt(deadline.slice()));
        logging::flush(py)?;
        match attempted {
            Err(
                Error::NotFound { .. }
                | Error::NotReady { .. }
                | Error::NoServer { .. }
                | Error::ServerNotReady { .. },
            ) if !deadline.passed() => {}
            Err(Error::NoServer { name, .. }) => {
                return Err(Failed::Core(Error::NoServer { name, waited: deadline.waited() }));
            }
            Err(Error::NotFound { name, .. }) => {
                return Err(Failed::Core(Error::NotFound { name, waited: deadline.waited() }));
            }
            Err(error) if goes_on(&error, deadline.passed()) => {}
            done => return Ok(done?),
        }
        py.check_signals()?;
    }
}
