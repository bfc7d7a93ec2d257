//! The processes of this machine, as far as a test run has to know them: which are its own, which files they hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

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
        // A zombie has an empty environment here, a foreign process an unreadable one: neither is ours and alive.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    let command = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()
    };
    pids().into_iter().filter(|pid| carries(*pid)).map(|pid| Process { pid, command: command(pid) }).collect()
}

/// Which processes have each of `files` open or mapped. Those of other users are seen by root only.
pub(crate) fn holders(files: &[PathBuf]) -> BTreeMap<PathBuf, Vec<u32>> {
    let mut held: BTreeMap<PathBuf, Vec<u32>> = BTreeMap::new();
    for pid in pids() {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let mapped: Vec<&str> = maps.lines().filter_map(|line| Some(&line[line.find('/')?..])).collect();
        let open: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/fd"))
            .map(|entries| entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect())
            .unwrap_or_default();
        for file in files {
            if open.contains(file) || mapped.iter().any(|path| file.as_os_str() == *path) {
                held.entry(file.clone()).or_default().push(pid);
            }
        }
    }
    held
}

fn pids() -> Vec<u32> {
    let entries =
        fs::read_dir("/proc").map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_has_its_holder_and_a_closed_one_has_none() {
        let path = std::env::temp_dir().join(format!("xtask-holders-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        let path = path.canonicalize().unwrap();
        let before = holders(std::slice::from_ref(&path));
        drop(file);
        let after = holders(std::slice::from_ref(&path));
        fs::remove_file(&path).unwrap();
        // A child that another test starts holds the file too, until it executes its program.
        let holds =
            |holders: Option<&Vec<u32>>| holders.is_some_and(|pids| pids.contains(&std::process::id()));
        assert!(holds(before.get(&path)), "{before:?}");
        assert!(!holds(after.get(&path)), "{after:?}");
    }
}
