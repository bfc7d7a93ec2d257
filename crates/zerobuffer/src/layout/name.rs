//! Which buffer names are allowed (W12), and what the objects of a buffer are called (W1).

use crate::error::{Error, Result};

/// Longest name, bytes: `sem.sem-w-` and the name must fit the 255 bytes of a file name.
const MAX_NAME: usize = 245;

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
    } else if name.starts_with("sem.") {
        "it starts with 'sem.', which belongs to semaphores"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.to_owned(), reason })
}

/// What precedes the buffer's name in the file names of its two semaphores.
const DATA: &str = "sem.sem-w-";
const SPACE: &str = "sem.sem-r-";

/// File name of the semaphore "a frame is there".
pub(crate) fn data_semaphore(name: &str) -> String {
    format!("{DATA}{name}")
}

/// File name of the semaphore "space was returned".
pub(crate) fn space_semaphore(name: &str) -> String {
    format!("{SPACE}{name}")
}

/// The buffer that a semaphore's file belongs to, if it is one's.
pub(crate) fn of_semaphore(file_name: &str) -> Option<&str> {
    let name = file_name.strip_prefix(DATA).or_else(|| file_name.strip_prefix(SPACE))?;
    check(name).is_ok().then_some(name)
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
        assert_eq!(of_semaphore(&data_semaphore("cam")), Some("cam"));
        assert_eq!(of_semaphore(&space_semaphore("cam")), Some("cam"));
        assert_eq!(of_semaphore("sem.other"), None);
    }
}
