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
    let carries = |pid: u32| {
        // A zombie has an empty environment here, a foreign process an unreadable one: neither is a
        // live process of this run.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    let command = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()
    };
    pids().into_iter().filter(|pid| carries(*pid)).map(|pid| Process { pid, command: command(pid) }).collect()
}

fn pids() -> Vec<u32> {
    let entries =
        fs::read_dir("/proc").map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
