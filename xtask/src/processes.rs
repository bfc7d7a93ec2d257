//! The processes of this machine: which of them a test run has made.

use std::fs;

use crate::project::MARK;

/// A living process that carries our mark.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) command: String,
}

impl Process {
    /// Ends the process; one that has just ended by itself is as good.
    pub(crate) fn kill(&self) {
        let _ = std::process::Command::new("kill").args(["-9", &self.pid.to_string()]).status();
    }
}

/// The living processes that inherited `MARK=mark`. Empty where there is no `/proc`.
pub(crate) fn marked(mark: &str) -> Vec<Process> {
    let wanted = format!("{MARK}={mark}");
    let carries =
        |pid: u32| environment(pid).split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
    let command = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()
    };
    pids().into_iter().filter(|pid| carries(*pid)).map(|pid| Process { pid, command: command(pid) }).collect()
}

/// The environment that process `pid` was started with. It is empty for a foreign process, which
/// hides it, and for a zombie, which has none.
///
/// A program that just starts shows its file before its environment, so an empty one is read again.
fn environment(pid: u32) -> Vec<u8> {
    let starts = || fs::read_link(format!("/proc/{pid}/exe")).is_ok();
    for _ in 0..20 {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if !environment.is_empty() || !starts() {
            return environment;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Vec::new() // it was started without one
}

fn pids() -> Vec<u32> {
    let entries =
        fs::read_dir("/proc").map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
