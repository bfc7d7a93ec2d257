//! Support of the black-box tests: names that clean up, helper processes, frame contents, raw
//! segment access.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this module")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

use std::io::Write as _;

pub(crate) mod agent;
#[cfg(any(windows, target_os = "macos"))]
#[cfg_attr(target_os = "macos", path = "kernel_macos.rs")]
pub(crate) mod kernel;
pub(crate) mod name;
pub(crate) mod pattern;
pub(crate) mod process;
pub(crate) mod segment;
pub(crate) mod stamped;

pub(crate) use name::Name;
pub(crate) use pattern::{check, content, size_of};
pub(crate) use process::Peer;
pub(crate) use segment::Segment;

/// By how much less is done where each wake-up goes through wine's server, which takes some 80 µs.
pub(crate) const LESS: u64 = if cfg!(windows) { 10 } else { 1 };

/// Says why a test, or a part of it, is not run here; past the capture of the test harness, so it
/// is seen.
pub(crate) fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// The variant name of an error, such as `Full`.
pub(crate) fn variant(error: &zerobuffer::Error) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Asserts that `result` is the named error and returns its message.
#[track_caller]
pub(crate) fn expect_error<T>(result: zerobuffer::Result<T>, wanted: &str) -> String {
    match result {
        Ok(_) => panic!("expected the error {wanted}, got a success"),
        Err(error) => {
            assert_eq!(variant(&error), wanted, "{error}");
            error.to_string()
        }
    }
}
