//! Which buffer names are allowed (W12), and what the objects of a buffer are called (W1).

use crate::error::{Error, Result};

/// Longest name, bytes: `sem.sem-w-` and the name must fit the 255 bytes of a file name.
const MAX_NAME: usize = 245;

/// Prefix that marks a semaphore's file in the shared-memory folder.
pub(crate) const SEMAPHORE_PREFIX: &str = "sem.";

/// Refuses what cannot be a file name, and what would reach another directory or another buffer's semaphores.
pub(crate) fn check(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 245 bytes"
    } else if name.contains('/') {
        "it contains '/'"
    } else if name.contains('\0') {
        "it contains a NUL byte"
    } else if name == "." || name == ".." {
        "it names a directory"
    } else if name.starts_with(SEMAPHORE_PREFIX) {
        "it starts with 'sem.', which belongs to semaphores"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.to_owned(), reason })
}

/// File name of the semaphore "a frame is there".
pub(crate) fn data_semaphore(name: &str) -> String {
    format!("{SEMAPHORE_PREFIX}sem-w-{name}")
}

/// File name of the semaphore "space was returned".
pub(crate) fn space_semaphore(name: &str) -> String {
    format!("{SEMAPHORE_PREFIX}sem-r-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "-x", "with space", "ümlaut", "a.lock", &"n".repeat(245)] {
            check(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "/a", "sem.x", "a\0b", &"n".repeat(246)] {
            check(bad).unwrap_err();
        }
    }
}
