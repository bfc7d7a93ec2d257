//! Process liveness by pid (W8).
//!
//! Numbers are reused soon here. A native endpoint is judged by its presence first, whose name has
//! the process's start time in it. The number counts for legacy endpoints alone, and is held on to
//! by a handle.

use super::object;
use std::{
    io, mem,
    os::windows::io::{FromRawHandle, OwnedHandle},
    sync::{Mutex, PoisonError},
};
use windows_sys::Win32::{
    Foundation::{ERROR_INVALID_PARAMETER, FILETIME, WAIT_OBJECT_0},
    System::Threading::{
        GetCurrentProcess, GetProcessId, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
        PROCESS_SYNCHRONIZE, WaitForSingleObject,
    },
};

pub(crate) fn own_pid() -> u64 {
    u64::from(std::process::id())
}

/// Ends this process as a kill does: nothing is flushed, dropped or reported.
#[cfg(crash_points)]
pub(crate) fn end_at_once() {
    use windows_sys::Win32::System::Threading::TerminateProcess;
    // SAFETY: the process ends here.
    unsafe { TerminateProcess(GetCurrentProcess(), 9) };
}

/// When this process began, in units of 100 ns; tells it from others that have or had its number.
pub(super) fn own_start_time() -> u64 {
    // SAFETY: zeroed structures are valid out-parameters, and the handle stands for this process.
    unsafe {
        let [mut created, mut ended, mut kernel, mut user]: [FILETIME; 4] = mem::zeroed();
        GetProcessTimes(
            GetCurrentProcess(),
            &raw mut created,
            &raw mut ended,
            &raw mut kernel,
            &raw mut user,
        );
        u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime)
    }
}

/// Processes that were asked about last, by open handles. A number is not given away while one is
/// open, so a later answer is about the same process.
static KNOWN: Mutex<Vec<(u32, OwnedHandle)>> = Mutex::new(Vec::new());
/// How many of them are kept.
const KEPT: usize = 16;

/// Whether a process of that number exists and has not ended. One that may not be opened exists.
pub(crate) fn is_alive(pid: u64) -> bool {
    let Some(number) = u32::try_from(pid).ok().filter(|number| *number != 0) else { return false };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = known.iter().position(|(other, _)| *other == number) {
        let alive = known.get(at).is_some_and(|(_, process)| !has_ended(process));
        if !alive {
            known.remove(at);
        }
        return alive;
    }
    let process = match open(number) {
        Ok(process) => process,
        Err(error) => return error.raw_os_error() != Some(ERROR_INVALID_PARAMETER.cast_signed()),
    };
    // The lowest two bits of a number are ignored by the call. A process that has ended exists
    // while a handle is open. SAFETY: the handle is open.
    let alive = unsafe { GetProcessId(object::raw(&process)) } == number && !has_ended(&process);
    if alive {
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push((number, process));
    }
    alive
}

fn open(number: u32) -> io::Result<OwnedHandle> {
    let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    // SAFETY: takes plain numbers.
    let handle = unsafe { OpenProcess(access, 0, number) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is valid, and this is its only owner.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn has_ended(process: &OwnedHandle) -> bool {
    // SAFETY: the handle is open.
    unsafe { WaitForSingleObject(object::raw(process), 0) == WAIT_OBJECT_0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn liveness() {
        assert!(is_alive(own_pid()));
        for nobody in [0, 0x7fff_fff0, u64::MAX, 1 << 32] {
            assert!(!is_alive(nobody));
        }
        // A test binary that waits for its input.
        let mut child = Command::new("cmd")
            .args(["/c", "pause"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = u64::from(child.id());
        assert!(is_alive(pid));
        child.kill().unwrap();
        while is_alive(pid) {
            std::thread::yield_now();
        }
        // Dead although the child's handle is open; that this loop ends is the test.
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
