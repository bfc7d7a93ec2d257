//! Process liveness by pid (W8): only "no such process" and zombies are dead.

use std::io;

pub(crate) fn own_pid() -> u64 {
    u64::from(std::process::id())
}

/// Ends this process as a kill does: nothing is flushed, dropped or reported.
#[cfg(crash_points)]
pub(crate) fn end_at_once() {
    // SAFETY: plain numbers; the process ends here.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

/// Whether a process of that number exists and has not ended.
pub(crate) fn is_alive(pid: u64) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    if pid <= 0 {
        return false;
    }
    // SAFETY: signal 0 only asks; the pid is positive, so it names one process.
    let found =
        unsafe { libc::kill(pid, 0) } == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH);
    found && !is_zombie(pid)
}

/// Ended but not yet waited for.
fn is_zombie(pid: libc::pid_t) -> bool {
    /// Among the ended too: without it they are not found.
    const ENDED_TOO: u64 = 1;
    let Ok(size) = libc::c_int::try_from(size_of::<libc::proc_bsdshortinfo>()) else { return false };
    // SAFETY: a zeroed structure is a valid out-parameter of the size that is passed.
    unsafe {
        let mut info: libc::proc_bsdshortinfo = std::mem::zeroed();
        let buffer = (&raw mut info).cast();
        let got = libc::proc_pidinfo(pid, libc::PROC_PIDT_SHORTBSDINFO, ENDED_TOO, buffer, size);
        got == size && info.pbsi_status == libc::SZOMB
    }
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
