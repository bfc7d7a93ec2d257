//! What applies on macOS, whose memory is not files: the limits of a process.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;

/// Descriptors that a program has use for besides a few endpoints.
const FEW_FILES: u64 = 256;

pub(super) fn findings(_: u64) -> Vec<Finding> {
    const OPEN_FILES: &str = "open files";
    let names = Finding::note("names", "a buffer's name has 30 bytes at most on macOS");
    let open = match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FEW_FILES => {
            Finding::warning(OPEN_FILES, format!("a process may open {limit}, and each endpoint takes a few"))
                .remedy("ulimit -n 1024")
        }
        Some(limit) => Finding::ok(OPEN_FILES, format!("a process may open {limit}")),
        None => Finding::ok(OPEN_FILES, "a process may open any number"),
    };
    vec![names, open]
}
