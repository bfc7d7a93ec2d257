//! What a buffer's objects are called on macOS (W1), where the names of memory and semaphores end
//! at 31 bytes.

use crate::{
    error::{Error, Result},
    layout::name,
    sys::Signal,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Longest name of an object, slash included (`PSHMNAMLEN`, `PSEMNAMLEN`).
const LIMIT: usize = 31;
/// How much of a longer semaphore name is kept, slash included, before eight digits of its MD5.
const KEPT: usize = 22;

/// Where the lock files are.
pub(crate) const FOLDER: &str = "/tmp/zerobuffer";
pub(crate) const BASE: &str = "/tmp";
pub(crate) const SUBFOLDER: &str = "zerobuffer";

/// What every system asks of a name, and that the memory's fits: it is not shortened, so it can be
/// found by hand.
pub(crate) fn check_name(name: &str) -> Result<()> {
    name::check(name)?;
    if segment(name).len() > LIMIT {
        let reason = "it is longer than 30 bytes, the longest that macOS allows";
        return Err(Error::InvalidName { name: name.to_owned(), reason });
    }
    Ok(())
}

/// Name of the shared memory.
pub(crate) fn segment(name: &str) -> String {
    format!("/{name}")
}

/// The lock file, which bears the presence locks.
pub(crate) fn lock_file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(lock_file_name(name))
}

/// What the lock file is called in its folder.
pub(crate) fn lock_file_name(name: &str) -> String {
    format!("{name}.lock")
}

/// Name of a semaphore.
pub(crate) fn semaphore(name: &str, signal: Signal) -> String {
    let full = match signal {
        Signal::Data => format!("/sem-w-{name}"),
        Signal::Space => format!("/sem-r-{name}"),
    };
    if full.len() > LIMIT { shortened(&full) } else { full }
}

/// Calls `with` a semaphore's name. One of exactly 31 bytes stays as it is by the rule, but kernels
/// that count its terminating zero refuse it. Only then it is shortened too, which all processes of
/// the machine find alike.
pub(crate) fn try_semaphore<T>(
    name: &str,
    signal: Signal,
    mut with: impl FnMut(&str) -> io::Result<T>,
) -> io::Result<T> {
    let name = semaphore(name, signal);
    match with(&name) {
        Err(error) if name.len() == LIMIT && error.raw_os_error() == Some(libc::ENAMETOOLONG) => {
            with(&shortened(&name))
        }
        result => result,
    }
}

/// The first 22 bytes, less a character cut in two, and the first eight hexadecimal digits of the
/// whole name's MD5.
fn shortened(full: &str) -> String {
    let (kept, _) = full.split_at((0..=KEPT).rev().find(|at| full.is_char_boundary(*at)).unwrap_or(0));
    let mut digits = format!("{:x}", md5::compute(full));
    digits.truncate(8);
    format!("{kept}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_semaphore_names_are_shortened_by_their_md5() {
        let name = "e39640a7-50e4-4261-ac92-d9e09e480074";
        assert_eq!(semaphore(name, Signal::Data), "/sem-w-e39640a7-50e4-4cc63aa4c");
        assert_eq!(semaphore(name, Signal::Space), "/sem-r-e39640a7-50e4-4089fb0c5");
        assert_eq!(semaphore("camera", Signal::Data), "/sem-w-camera");
        let longest = "n".repeat(24);
        assert_eq!(semaphore(&longest, Signal::Data), format!("/sem-w-{longest}"), "31 bytes stay");
        assert_eq!(semaphore(&format!("{longest}n"), Signal::Data).len(), 30);
        // 15 bytes, three characters of two, and half of the next.
        let umlauts = semaphore(&format!("12345678{}", "ü".repeat(11)), Signal::Data);
        assert!(umlauts.starts_with("/sem-w-12345678üüü") && umlauts.len() == 29, "{umlauts}");
    }

    #[test]
    fn a_name_that_the_memory_cannot_have_is_refused() {
        check_name(&"n".repeat(30)).unwrap();
        let error = check_name(&"n".repeat(31)).unwrap_err().to_string();
        assert!(error.contains("30 bytes"), "{error}");
        check_name("a/b").unwrap_err();
    }

    #[test]
    fn a_kernel_that_counts_the_zero_gets_the_short_name() {
        let refusing = |asked: &mut Vec<String>, name: &str| {
            asked.push(name.to_owned());
            let too_long = || Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
            if name.len() > 30 { too_long() } else { Ok(name.to_owned()) }
        };
        let mut asked = Vec::new();
        let long = "n".repeat(24);
        let taken = try_semaphore(&long, Signal::Data, |name| refusing(&mut asked, name)).unwrap();
        assert_eq!((asked.len(), taken.len()), (2, 30));
        asked.clear();
        try_semaphore("camera", Signal::Data, |name| refusing(&mut asked, name)).unwrap();
        assert_eq!(asked, ["/sem-w-camera"]);
    }
}
