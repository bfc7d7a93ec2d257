//! What this process may take, looked at before it takes it: the kernel's own answer would be a
//! signal.
//!
//! A file beyond `ulimit -f` ends the process by SIGXFSZ. Memory beyond a control group's limit
//! ends it by SIGKILL. Memory that the whole machine does not have makes the kernel end some
//! process.

use crate::error::{Error, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Refuses a segment that a limit forbids, naming the limit and both numbers.
pub(super) fn check(name: &str, needed: u64) -> Result<()> {
    let mut limits = file_size().into_iter().chain(memory(Path::new("/")));
    match limits.find(|limit| needed > limit.available) {
        Some(Limit { what, available }) => {
            Err(Error::Limited { name: name.to_owned(), needed, available, limit: what })
        }
        None => Ok(()),
    }
}

/// How much one limit leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) what: String,
    pub(crate) available: u64,
}

/// The limits of memory: those of the control groups and of the machine. `root` is `/`, but in
/// tests.
pub(crate) fn memory(root: &Path) -> Vec<Limit> {
    [control_group(root), machine(root)].into_iter().flatten().collect()
}

fn file_size() -> Option<Limit> {
    // SAFETY: a zeroed structure is a valid out-parameter.
    let (result, limit) = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit), limit)
    };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then(|| Limit {
        what: "the largest file that this process may make (`ulimit -f`, RLIMIT_FSIZE)".to_owned(),
        available: limit.rlim_cur,
    })
}

/// What the machine has left, swap included.
fn machine(root: &Path) -> Option<Limit> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kib = |key| number_after(&text, key);
    let available = kib("MemAvailable:")?.saturating_add(kib("SwapFree:").unwrap_or(0)).saturating_mul(1024);
    Some(Limit { what: "the machine's free memory".to_owned(), available })
}

/// The narrowest memory limit of the control groups that this process is in, of either version.
fn control_group(root: &Path) -> Option<Limit> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mounts")).ok()?;
    let mut found: Vec<Limit> = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let files = match controllers {
            "" => &UNIFIED,
            _ if controllers.split(',').any(|one| one == "memory") => &SEPARATE,
            _ => continue,
        };
        let Some(mount) = mounts.lines().find_map(|line| files.mount_point(line)) else { continue };
        let mount = root.join(mount.trim_start_matches('/'));
        // A container may see its own group as the root of what is mounted.
        let own = mount.join(path.trim_start_matches('/'));
        let start = if own.is_dir() { own } else { mount.clone() };
        let chain = start.ancestors().take_while(|folder| folder.starts_with(&mount));
        found.extend(chain.filter_map(|folder| files.limit(folder)));
    }
    found.into_iter().min_by_key(|limit| limit.available)
}

/// What the files of one version of control groups are called.
struct Files {
    kind: &'static str,
    option: Option<&'static str>,
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat` that count memory which the kernel can take back.
    reclaimable: [&'static str; 2],
    swap_limit: &'static str,
    swap_usage: &'static str,
    /// The numbers for swap count memory too.
    swap_includes_memory: bool,
}

const UNIFIED: Files = Files {
    kind: "cgroup2",
    option: None,
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: ["active_file ", "inactive_file "],
    swap_limit: "memory.swap.max",
    swap_usage: "memory.swap.current",
    swap_includes_memory: false,
};

const SEPARATE: Files = Files {
    kind: "cgroup",
    option: Some("memory"),
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: ["total_active_file ", "total_inactive_file "],
    swap_limit: "memory.memsw.limit_in_bytes",
    swap_usage: "memory.memsw.usage_in_bytes",
    swap_includes_memory: true,
};

/// Greater numbers stand for "no limit".
const UNLIMITED: u64 = 1 << 60;

impl Files {
    /// The folder of a line of the mount table, if that is where this version is mounted.
    fn mount_point<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut words = line.split(' ').skip(1);
        let (folder, kind, options) = (words.next()?, words.next()?, words.next()?);
        let has_option = self.option.is_none_or(|option| options.split(',').any(|one| one == option));
        (kind == self.kind && has_option).then_some(folder)
    }

    fn limit(&self, folder: &Path) -> Option<Limit> {
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        let limit = read(self.limit).filter(|limit| *limit < UNLIMITED)?;
        let usage = read(self.usage).unwrap_or(0);
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let reclaimable: u64 = self.reclaimable.iter().filter_map(|key| number_after(&stat, key)).sum();
        let swap = match (read(self.swap_limit).filter(|limit| *limit < UNLIMITED), read(self.swap_usage)) {
            (Some(swap_limit), Some(_)) if self.swap_includes_memory => swap_limit.saturating_sub(limit),
            (Some(swap_limit), Some(swap_usage)) => swap_limit.saturating_sub(swap_usage),
            // Not limited, or not counted: the machine's own swap bounds it.
            _ => swap_of_the_machine(),
        };
        let available = limit
            .saturating_sub(usage.saturating_sub(reclaimable))
            .saturating_add(swap.min(swap_of_the_machine()));
        let what =
            format!("the memory limit of this container or control group ({})", path_of(folder, self.limit));
        Some(Limit { what, available })
    }
}

fn path_of(folder: &Path, file: &str) -> String {
    let path: PathBuf = folder.join(file);
    path.display().to_string()
}

fn swap_of_the_machine() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    number_after(&text, "SwapFree:").unwrap_or(0).saturating_mul(1024)
}

/// The number that follows a key at the start of a line.
fn number_after(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of files, gone when the test is over.
    struct Machine(PathBuf);

    impl Machine {
        fn new(tag: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("zerobuffer-limits-{tag}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_narrowest_group_of_version_2_counts() {
        let machine = Machine::new(
            "v2",
            &[
                ("proc/self/cgroup", "0::/outer/inner\n"),
                ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"),
                ("sys/fs/cgroup/memory.stat", ""),
                ("sys/fs/cgroup/outer/memory.max", "268435456\n"),
                ("sys/fs/cgroup/outer/memory.current", "209715200\n"),
                ("sys/fs/cgroup/outer/memory.swap.max", "0\n"),
                ("sys/fs/cgroup/outer/memory.swap.current", "0\n"),
                ("sys/fs/cgroup/outer/memory.stat", "anon 1\nactive_file 10485760\ninactive_file 10485760\n"),
                ("sys/fs/cgroup/outer/inner/memory.max", "max\n"),
                ("sys/fs/cgroup/outer/inner/memory.current", "1\n"),
            ],
        );
        let limit = control_group(&machine.0).unwrap();
        assert_eq!(limit.available, (256 - 200 + 20) * MIB);
        assert!(limit.what.contains("outer/memory.max"), "{}", limit.what);
    }

    #[test]
    fn a_container_that_sees_its_group_of_version_1_as_the_root() {
        let machine = Machine::new(
            "v1",
            &[
                ("proc/self/cgroup", "5:cpu,cpuacct:/docker/1234\n4:memory:/docker/1234\n0::/\n"),
                (
                    "proc/self/mounts",
                    "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "16777216\n"),
                ("sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "67108864\n"),
                ("sys/fs/cgroup/memory/memory.memsw.usage_in_bytes", "16777216\n"),
            ],
        );
        assert_eq!(control_group(&machine.0).unwrap().available, 48 * MIB);
    }

    #[test]
    fn what_is_not_limited_or_not_known_is_no_limit() {
        assert_eq!(control_group(Path::new("/nonexistent")), None);
        let machine = Machine::new(
            "none",
            &[
                ("proc/self/cgroup", "4:memory:/\n0::/\n"),
                ("proc/self/mounts", "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        assert_eq!(control_group(&machine.0), None);
    }

    #[test]
    fn the_machine_itself_is_a_limit() {
        let error = check("limits", 1 << 50).unwrap_err().to_string();
        assert!(error.contains("limits") && error.contains(&(1_u64 << 50).to_string()), "{error}");
        check("limits", 4096).unwrap();
    }
}
