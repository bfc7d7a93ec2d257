//! The whole-file lock.

use crate::crash;
use std::{io, os::fd::AsRawFd};

/// Tries to take it. `Ok(false)`: another description holds it.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn try_flock(fd: &impl AsRawFd) -> io::Result<bool> {
    flock(fd, libc::LOCK_EX)
}

/// The same for who only asks: two who ask at a time do not take each other for the holder.
#[cfg_attr(any(target_os = "macos", macos_sys), allow(dead_code, reason = "asks by a range lock"))]
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn try_shared_flock(fd: &impl AsRawFd) -> io::Result<bool> {
    flock(fd, libc::LOCK_SH)
}

#[cfg_attr(crash_points, track_caller)]
fn flock(fd: &impl AsRawFd, kind: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: the descriptor is open.
        let lock = || unsafe { libc::flock(fd.as_raw_fd(), kind | libc::LOCK_NB) };
        if crash::around(lock) == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            e if e.kind() == io::ErrorKind::Interrupted => {}
            e => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        thread,
        time::{Duration, Instant},
    };

    #[test]
    fn an_asking_process_is_not_taken_for_a_holder() {
        let path = std::env::temp_dir().join(format!("zerobuffer-flock-{}", std::process::id()));
        let [holder, one, other, asking] = [(); 4].map(|()| File::create(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(try_shared_flock(&one).unwrap() && try_shared_flock(&other).unwrap(), "both ask at a time");
        drop((one, other));
        // A child that another test of this process has just forked holds both until it executes
        // its program.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !try_flock(&holder).unwrap() {
            assert!(Instant::now() < deadline, "nobody asks any more");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!try_shared_flock(&asking).unwrap());
    }
}
