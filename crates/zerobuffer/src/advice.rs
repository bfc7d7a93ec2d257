//! What messages advise, by system.

/// What to do when shared memory is full.
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub(crate) const MORE_SPACE: &str = "make /dev/shm larger (in a container: --shm-size)";
#[cfg(any(target_os = "macos", macos_sys))]
pub(crate) const MORE_SPACE: &str = "use a machine with more memory";
#[cfg(windows)]
pub(crate) const MORE_SPACE: &str = "enlarge the paging file";
