//! The holder of a file's lock, for error texts.

use std::{fmt, os::fd::AsRawFd};

/// A process that holds a lock.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sys) struct Holder {
    pub(in crate::sys) pid: u64,
    program: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        self.program.as_ref().map_or(Ok(()), |program| write!(f, " ({})", program.escape_debug()))
    }
}

/// The holder of the whole-file lock of the file behind a descriptor. The kernel shows processes
/// that this one can see.
#[cfg(target_os = "linux")]
pub(in crate::sys) fn of(fd: &impl AsRawFd) -> Option<Holder> {
    let entry = super::file_id::Entry::of(fd.as_raw_fd()).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holding(line, entry.id.inode()))?;
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Some(Holder { pid, program: program.map(|name| name.trim_end().to_owned()) })
}

#[cfg(not(target_os = "linux"))]
pub(in crate::sys) fn of(_: &impl AsRawFd) -> Option<Holder> {
    None
}

/// The process of one line, as `1: FLOCK ADVISORY WRITE 4711 00:1b:23 0 EOF`, if it holds that
/// inode's lock. The devices of files in memory are numbered differently there and in `stat`. Two
/// files of one number are a rare coincidence, and only a message would name the wrong process.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "has no such list"))]
fn holding(line: &str, inode: u64) -> Option<u64> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let found = words.next()?.rsplit(':').next()?.parse::<u64>().ok()?;
    (found == inode && pid > 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 00:1b:23 0 EOF";
        assert_eq!(holding(line, 23), Some(4711));
        assert_eq!(holding(line, 24), None);
        assert_eq!(holding("1: -> FLOCK  ADVISORY  WRITE 4711 00:1b:23 0 EOF", 23), None, "it only waits");
        assert_eq!(holding("2: OFDLCK ADVISORY  WRITE -1 00:1b:23 0 0", 23), None);
        assert_eq!(holding("", 23), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_of_a_lock_is_found() {
        let path = std::env::temp_dir().join(format!("zerobuffer-holder-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(of(&file), None);
        file.lock().unwrap();
        let holder = of(&file).unwrap();
        assert_eq!(holder.pid, u64::from(std::process::id()));
        assert!(holder.to_string().contains('('), "{holder}");
    }
}
