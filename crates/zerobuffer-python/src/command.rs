//! The command `zerobuffer`, which the package brings along.

use std::ffi::OsString;

use pyo3::prelude::*;
use zerobuffer_cli::Host;

use crate::logging;

/// Runs a command line, whose first word is the command's name; the exit code. `again` starts the
/// command once more. Once per process, which is to end then.
#[pyfunction]
#[pyo3(name = "_command")]
pub(crate) fn command(py: Python<'_>, again: Vec<OsString>, arguments: Vec<OsString>) -> u8 {
    let host = Host { again, log: logging::hand_over };
    py.detach(|| zerobuffer_cli::run(host, arguments))
}
