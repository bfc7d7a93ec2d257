//! Names of buffers for the unit tests.

/// The variable by which `cargo xtask test` tells the names of its run from all others on the
/// machine.
const MARK: &str = "ZEROBUFFER_TEST_MARK";

/// A name that no other process uses; the caller's tag tells the tests of this one apart.
pub(crate) fn name(tag: &str) -> String {
    let mark = std::env::var(MARK).unwrap_or_default();
    format!("{mark}{tag}-{}", std::process::id())
}
