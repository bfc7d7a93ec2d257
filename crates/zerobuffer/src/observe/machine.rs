//! What a machine leaves a new buffer, and what its kernel can do for those who wait.

use std::path::Path;

/// How much memory one limit leaves a new buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimit {
    /// The limit, in words.
    pub what: String,
    /// Bytes that it leaves.
    pub available: u64,
}

/// The limits of memory that creating a buffer looks at. They are those of control groups, of which
/// a container is one, and the free memory of the machine. Empty on systems other than Linux.
///
/// The room in `/dev/shm` and the largest file of a process are limits too, and not among these.
#[must_use]
pub fn memory_limits() -> Vec<MemoryLimit> {
    memory_limits_below(Path::new("/"))
}

/// The same, of a machine whose `/proc` and `/sys` lie below `root`: for tests.
#[must_use]
pub fn memory_limits_below(root: &Path) -> Vec<MemoryLimit> {
    #[cfg(all(target_os = "linux", not(any(macos_sys, loom, shuttle))))]
    {
        let limits = crate::sys::memory_limits(root).into_iter();
        limits.map(|crate::sys::Limit { what, available }| MemoryLimit { what, available }).collect()
    }
    #[cfg(not(all(target_os = "linux", not(any(macos_sys, loom, shuttle)))))]
    {
        let _ = root;
        Vec::new()
    }
}

/// Whether one thread can wait for many endpoints: the call `futex_waitv`, which Linux has since
/// 5.16, and which a sandbox may refuse. Without it each endpoint that waits asynchronously has a
/// thread of its own. `None`: this system has no such call.
#[must_use]
pub fn waits_for_many() -> Option<bool> {
    #[cfg(all(target_os = "linux", not(any(macos_sys, loom, shuttle))))]
    return Some(crate::sys::may_wait_for_many());
    #[cfg(not(all(target_os = "linux", not(any(macos_sys, loom, shuttle)))))]
    None
}

#[cfg(all(test, target_os = "linux", not(any(macos_sys, loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_of_creation() {
        let least = memory_limits().into_iter().map(|limit| limit.available).min().unwrap();
        let config = crate::BufferConfig::ring(1 << 50);
        let name = format!("machine-{}", std::process::id());
        match crate::Reader::create(&name, config).unwrap_err() {
            crate::Error::Limited { available, .. } => {
                // Both were asked at different times.
                assert!(available / 2 < least && least / 2 < available, "{least} {available}");
            }
            error => assert!(matches!(error, crate::Error::NoSpace { .. }), "{error}"),
        }
    }

    #[test]
    fn a_machine_of_files_has_its_own_limits() {
        assert_eq!(memory_limits_below(Path::new("/nonexistent")), []);
    }
}
