//! What the objects of a buffer are called in `/dev/shm` (W1).

pub(crate) use crate::layout::name::check as check_name;

use crate::sys::Signal;

/// What precedes the buffer's name in the file names of its two semaphores.
const DATA: &str = "sem.sem-w-";
const SPACE: &str = "sem.sem-r-";

/// File name of a semaphore.
pub(crate) fn semaphore(name: &str, signal: Signal) -> String {
    let prefix = match signal {
        Signal::Data => DATA,
        Signal::Space => SPACE,
    };
    format!("{prefix}{name}")
}

/// The buffer that a semaphore's file belongs to, if it is one's.
pub(crate) fn of_semaphore(file_name: &str) -> Option<&str> {
    let name = file_name.strip_prefix(DATA).or_else(|| file_name.strip_prefix(SPACE))?;
    check_name(name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semaphores_are_known_for_their_buffer() {
        assert_eq!(semaphore("cam", Signal::Data), "sem.sem-w-cam");
        assert_eq!(semaphore("cam", Signal::Space), "sem.sem-r-cam");
        for signal in [Signal::Data, Signal::Space] {
            assert_eq!(of_semaphore(&semaphore("cam", signal)), Some("cam"));
        }
        assert_eq!(of_semaphore("sem.other"), None);
    }
}
