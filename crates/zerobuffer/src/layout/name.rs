//! Which buffer names are allowed on every system (W12); `sys::check_name` adds what its system
//! asks besides.

use crate::error::{Error, Result};

/// Longest name, bytes: `sem.sem-w-` and the name must fit the 255 bytes of a file name.
const MAX_NAME: usize = 245;

/// Refuses what cannot be a file name, and what would reach another directory or another buffer's
/// semaphores.
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
    } else if name.starts_with("sem.") {
        "it starts with 'sem.', which belongs to semaphores"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.to_owned(), reason })
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
