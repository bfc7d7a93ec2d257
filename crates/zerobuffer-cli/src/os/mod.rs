//! What the command needs of the system beyond the standard library: signals, waiting for pipes,
//! clocks. The same names for each system.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

// No crate without a C library has these calls in safe form.
#[cfg(windows)]
#[allow(unsafe_code)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

/// Numbers of signals, as exit codes tell them; Windows has no signals, and its console events get
/// these.
pub(crate) const INTERRUPT: i32 = 2;
pub(crate) const TERMINATE: i32 = 15;
pub(crate) const HANG_UP: i32 = 1;
