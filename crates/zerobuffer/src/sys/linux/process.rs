//! Process liveness by pid (W8): only "no such process" and zombies are dead.

use std::{fs, io};

/// Larger than any pid that Linux hands out.
const PID_LIMIT: u64 = 1 << 22;

pub(crate) fn own_pid() -> u64 {
    u64::from(std::process::id())
}

/// Ends this process as a kill does: nothing is flushed, dropped or reported.
#[cfg(crash_points)]
pub(crate) fn end_at_once() {
    // SAFETY: plain numbers; the process ends here.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

/// Whether a process of that number exists in this pid namespace and has not ended.
pub(crate) fn is_alive(pid: u64) -> bool {
    if pid == 0 || pid > PID_LIMIT {
        return false;
    }
    // SAFETY: signal 0 only asks; the pid is positive, so it names one process.
    let found = unsafe { libc::kill(pid as libc::pid_t, 0) } == 0
        || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH);
    found && !is_zombie(pid)
}

/// Ended but not yet waited for. A process whose first thread has ended while others run is alive.
fn is_zombie(pid: u64) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The second field is the command in parentheses and may contain anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('Z' | 'X'))
        && fs::read_dir(format!("/proc/{pid}/task")).map_or(true, |tasks| tasks.count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn liveness() {
        assert!(is_alive(own_pid()));
        assert!(is_alive(1), "another user's process exists too");
        for nobody in [0, 0x7fff_ffff, u64::MAX, 1 << 32] {
            assert!(!is_alive(nobody));
        }
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = u64::from(child.id());
        assert!(is_alive(pid));
        child.kill().unwrap();
        while is_alive(pid) {
            std::thread::yield_now();
        }
        // Dead although not yet waited for; that this loop ends is the test.
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
