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
    let id = super::file_id::Entry::of(fd.as_raw_fd()).ok()?.id;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = holder_in(&locks, id.device(), id.inode())?;
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Some(Holder { pid, program: program.map(|name| name.trim_end().to_owned()) })
}

#[cfg(not(target_os = "linux"))]
pub(in crate::sys) fn of(_: &impl AsRawFd) -> Option<Holder> {
    None
}

/// The process that holds the lock of that file. The list and `stat` may give different numbers to
/// a device of several parts. Then a lone holder of that inode is meant. But each file system in
/// memory has a folder of number 1. There the device must be the same, or the message could name a
/// process of another container.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "has no such list"))]
fn holder_in(locks: &str, device: (u32, u32), inode: u64) -> Option<u64> {
    let holding: Vec<_> = locks.lines().filter_map(holding).filter(|lock| lock.inode == inode).collect();
    match (holding.iter().find(|lock| lock.device == device), &*holding) {
        (Some(lock), _) => Some(lock.pid),
        (None, [lone]) if inode > 1 => Some(lone.pid),
        (None, _) => None,
    }
}

/// A lock of a whole file.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "has no such list"))]
#[derive(Debug, PartialEq, Eq)]
struct Held {
    pid: u64,
    device: (u32, u32),
    inode: u64,
}

/// One line, as `1: FLOCK ADVISORY WRITE 4711 00:1b:23 0 EOF`. The number of a process that cannot
/// be seen from here is 0.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "has no such list"))]
fn holding(line: &str) -> Option<Held> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok().filter(|pid| *pid > 0)?;
    let mut parts = words.next()?.split(':');
    let mut hex = || u32::from_str_radix(parts.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some(Held { pid, device, inode: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 00:1b:23 0 EOF";
        assert_eq!(holding(line), Some(Held { pid: 4711, device: (0, 27), inode: 23 }));
        assert_eq!(holding("1: -> FLOCK  ADVISORY  WRITE 4711 00:1b:23 0 EOF"), None, "it only waits");
        assert_eq!(holding("1: FLOCK  ADVISORY  WRITE 0 00:1b:23 0 EOF"), None, "of another pid namespace");
        assert_eq!(holding("2: OFDLCK ADVISORY  WRITE -1 00:1b:23 0 0"), None);
        assert_eq!(holding(""), None);
    }

    #[test]
    fn files_of_one_number_on_several_devices_are_told_apart() {
        let locks = "1: FLOCK  ADVISORY  WRITE 11 00:1b:1 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 00:27:1 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 fe:00:5 0 EOF\n";
        assert_eq!(holder_in(locks, (0, 0x1b), 1), Some(11));
        assert_eq!(holder_in(locks, (0, 0x27), 1), Some(12));
        assert_eq!(holder_in(locks, (0, 0x28), 1), None, "of neither");
        assert_eq!(holder_in(locks, (0, 0x1b), 5), Some(13), "the only one of that number");
        assert_eq!(
            holder_in("1: FLOCK  ADVISORY  WRITE 11 00:1b:1 0 EOF", (0, 0x27), 1),
            None,
            "a lone root"
        );
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
