//! Machines made of files, each with one thing wrong.
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::finding::{Finding, Level};
use super::linux::{Machine, Room, judge_room};

const MIB: u64 = 1 << 20;

/// A healthy machine, in which a test spoils something.
struct Fake {
    _folder: tempfile::TempDir,
    machine: Machine,
}

const HEALTHY: &[(&str, &str)] = &[
    ("proc/self/mounts", "tmpfs /dev/shm tmpfs rw,nosuid,nodev,size=1048576k 0 0\n"),
    ("proc/self/cgroup", "0::/\n"),
    ("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 0 kB\n"),
    (
        "proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max file size             unlimited            unlimited            bytes     \n\
         Max open files            1024                 524288               files     \n\
         Max locked memory         8388608              8388608              bytes     \n",
    ),
    ("proc/self/uid_map", "         0          0 4294967295\n"),
    ("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n"),
    ("sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise [never] deny force\n"),
    ("etc/login.defs", "SYS_UID_MIN\t\t  101\nSYS_UID_MAX\t\t  999\n"),
];

impl Fake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        let fake = Self {
            _folder: folder,
            machine: Machine {
                root,
                uid: rustix::process::geteuid().as_raw(),
                temp: None,
                waits_for_many: true,
            },
        };
        for (path, text) in HEALTHY {
            fake.write(path, text);
        }
        fake.folder("dev/shm", 0o1777);
        fake
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.root.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn folder(&self, path: &str, mode: u32) {
        fs::create_dir_all(self.path(path)).unwrap();
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).unwrap();
    }

    /// Another user than the one who made the files.
    fn of_user(mut self, uid: u32) -> Self {
        self.machine.uid = uid;
        self
    }
}

/// The finding has the level, its words, and a remedy with the words if it is bad.
#[track_caller]
fn expect(finding: &Finding, level: Level, found: &str, remedy: &str) {
    assert_eq!(finding.level, level, "{finding:?}");
    assert!(finding.found.contains(found), "{finding:?}");
    if remedy.is_empty() {
        assert!(finding.remedies.is_empty(), "{finding:?}");
    } else {
        assert!(finding.remedies.iter().any(|one| one.contains(remedy)), "{finding:?}");
    }
}

#[test]
fn a_healthy_machine_has_nothing_wrong() {
    let fake = Fake::new();
    // The room of the disk that the fake lies on is another test's.
    for finding in fake.machine.findings(MIB).iter().filter(|finding| finding.about != "room") {
        expect(finding, Level::Ok, "", "");
    }
}

#[test]
fn shared_memory_that_is_missing_closed_or_no_memory() {
    let fake = Fake::new();
    fs::remove_dir(fake.path("dev/shm")).unwrap();
    expect(&fake.machine.memory_folder(), Level::Problem, "no /dev/shm", "mount -t tmpfs");

    let fake = Fake::new().of_user(54_321);
    fake.folder("dev/shm", 0o755);
    expect(&fake.machine.memory_folder(), Level::Problem, "user 54321", "chmod 1777");

    let fake = Fake::new();
    fake.folder("dev/shm", 0o777);
    expect(&fake.machine.memory_folder(), Level::Warning, "sticky bit", "chmod 1777");

    for (mount, level, found, remedy) in [
        ("tmpfs /dev/shm tmpfs ro,nosuid 0 0", Level::Problem, "read-only", "remount,rw"),
        ("/dev/sda1 /dev/shm ext4 rw 0 0", Level::Warning, "ext4", "tmpfs"),
        ("/dev/sda1 / ext4 rw 0 0", Level::Warning, "disk", "tmpfs"),
        // The last mount is what programs see.
        ("shm /dev/shm ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0", Level::Ok, "memory", ""),
    ] {
        let fake = Fake::new();
        fake.write("proc/self/mounts", &format!("{mount}\n"));
        expect(&fake.machine.memory_folder(), level, found, remedy);
    }
    let fake = Fake::new();
    fs::remove_file(fake.path("proc/self/mounts")).unwrap();
    expect(&fake.machine.proc(), Level::Problem, "/proc", "mount -t proc");
}

#[test]
fn room_of_a_container() {
    let room = |total, free| Room { total: total * MIB, free: free * MIB };
    expect(&judge_room(room(64, 60), 128 * MIB), Level::Problem, "60 MiB of 64 MiB", "--shm-size");
    expect(&judge_room(room(64, 60), MIB), Level::Warning, "10 pictures", "--shm-size");
    expect(&judge_room(room(65, 65), MIB), Level::Ok, "65 MiB", "");
    expect(&judge_room(room(1024, 1), MIB + 1), Level::Problem, "1 MiB of 1 GiB", "zerobuffer clean");
}

#[test]
fn memory_of_a_control_group_and_of_the_machine() {
    let fake = Fake::new();
    fake.write("proc/self/cgroup", "0::/job\n");
    fake.write("proc/self/mounts", "tmpfs /dev/shm tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
    fake.write("sys/fs/cgroup/job/memory.max", "268435456\n");
    fake.write("sys/fs/cgroup/job/memory.current", "167772160\n");
    fake.write("sys/fs/cgroup/job/memory.swap.max", "0\n");
    fake.write("sys/fs/cgroup/job/memory.swap.current", "0\n");
    expect(&fake.machine.memory(96 * MIB), Level::Ok, "leaves 96 MiB", "");
    expect(&fake.machine.memory(97 * MIB), Level::Problem, "job/memory.max", "--memory");

    let fake = Fake::new();
    fake.write("proc/meminfo", "MemAvailable: 1024 kB\nSwapFree: 0 kB\n");
    expect(&fake.machine.memory(2 * MIB), Level::Problem, "free memory leaves 1 MiB", "smaller ring");
}

#[test]
fn limits_of_the_process() {
    let fake = Fake::new();
    fake.write(
        "proc/self/limits",
        "Max file size             1048576              unlimited            bytes\n\
         Max open files            64                   64                   files\n\
         Max locked memory         65536                65536                bytes\n",
    );
    let findings = fake.machine.limits(2 * MIB);
    expect(&findings[0], Level::Problem, "a file may have 1 MiB", "ulimit -f unlimited");
    expect(&findings[1], Level::Warning, "may open 64", "LimitNOFILE");
    expect(&findings[2], Level::Ok, "64 KiB", "");
    expect(&fake.machine.limits(MIB)[0], Level::Ok, "1 MiB", "");
}

#[test]
fn names_that_logind_removes() {
    let fake = Fake::new().of_user(1000);
    expect(&fake.machine.remove_ipc(), Level::Ok, "does not run", "");
    // A package makes the folder, and logind what is in it.
    fake.folder("run/systemd/seats", 0o755);
    expect(&fake.machine.remove_ipc(), Level::Ok, "does not run", "");
    fake.write("run/systemd/seats/seat0", "IS_SEAT0=1\n");
    expect(&fake.machine.remove_ipc(), Level::Warning, "user 1000", "RemoveIPC=no");

    // A comment, and another section, say nothing.
    fake.write("etc/systemd/logind.conf", "[Login]\n#RemoveIPC=no\n[Other]\nRemoveIPC=no\n");
    expect(&fake.machine.remove_ipc(), Level::Warning, "user 1000", "RemoveIPC=no");
    fake.write("etc/systemd/logind.conf", "[Login]\nRemoveIPC = no\n");
    expect(&fake.machine.remove_ipc(), Level::Ok, "leave shared memory alone", "");
    // Drop-ins come later, by name; one in etc hides that of the distribution.
    fake.write("usr/lib/systemd/logind.conf.d/50-ipc.conf", "[Login]\nRemoveIPC=yes\n");
    expect(&fake.machine.remove_ipc(), Level::Warning, "user 1000", "RemoveIPC=no");
    fake.write("etc/systemd/logind.conf.d/50-ipc.conf", "[Login]\nRemoveIPC=off\n");
    expect(&fake.machine.remove_ipc(), Level::Ok, "leave shared memory alone", "");
    fake.write("run/systemd/logind.conf.d/60-ipc.conf", "[Login]\nRemoveIPC=yes\n");
    expect(&fake.machine.remove_ipc(), Level::Warning, "user 1000", "system user");

    let fake = fake.of_user(999);
    expect(&fake.machine.remove_ipc(), Level::Ok, "system user", "");
    fake.write("etc/login.defs", "SYS_UID_MAX 499\n");
    expect(&fake.machine.remove_ipc(), Level::Warning, "user 999", "RemoveIPC=no");
}

#[test]
fn lock_folders_of_another_user_and_odd_ones() {
    let mut fake = Fake::new();
    fake.write("tmp/zerobuffer", "no folder");
    expect(&fake.machine.lock_folders()[0], Level::Warning, "no folder", "rm /tmp/zerobuffer");

    let maker = rustix::process::geteuid().as_raw();
    fs::remove_file(fake.path("tmp/zerobuffer")).unwrap();
    fake.folder("tmp/zerobuffer", 0o755);
    expect(&fake.machine.lock_folders()[0], Level::Ok, "can be used", "");
    fake.machine.uid = maker + 1;
    if maker == 0 {
        expect(&fake.machine.lock_folders()[0], Level::Warning, "mode 755", "chmod 1777");
        std::os::unix::fs::chown(fake.path("tmp/zerobuffer"), Some(4242), None).unwrap();
        expect(&fake.machine.lock_folders()[0], Level::Warning, "user 4242", "mkdir -m 1777");
    } else {
        expect(&fake.machine.lock_folders()[0], Level::Warning, "belongs to user", "mkdir -m 1777");
    }

    let mut fake = Fake::new();
    fake.machine.temp = Some(PathBuf::from("scratch"));
    expect(&fake.machine.lock_folders()[0], Level::Warning, "scratch", "full path");
    fake.machine.temp = Some(PathBuf::from("/var/scratch"));
    expect(&fake.machine.lock_folders()[0], Level::Note, "/var/scratch", "same TMPDIR");
}

#[test]
fn kernels_sandboxes_and_pages() {
    let mut fake = Fake::new();
    fake.machine.waits_for_many = false;
    expect(&fake.machine.kernel(), Level::Note, "a sandbox refuses", "seccomp");
    fake.write("proc/sys/kernel/osrelease", "5.10.0-26-cloud\n");
    expect(&fake.machine.kernel(), Level::Note, "5.10.0-26-cloud has no futex_waitv", "newer kernel");
    fake.write("proc/sys/kernel/osrelease", "3.10.0\n");
    expect(&fake.machine.kernel(), Level::Warning, "since 3.15", "newer kernel");

    fake.write("sys/kernel/mm/transparent_hugepage/shmem_enabled", "[always] within_size never\n");
    expect(&fake.machine.huge_pages(), Level::Note, "always", "never");
    fs::remove_file(fake.path("sys/kernel/mm/transparent_hugepage/shmem_enabled")).unwrap();
    expect(&fake.machine.huge_pages(), Level::Ok, "has none", "");

    expect(&fake.machine.proc(), Level::Ok, "mounted", "");
    assert!(fake.machine.users().is_none());
    fake.write("proc/self/uid_map", "         0       1000          1\n");
    expect(&fake.machine.users().unwrap(), Level::Note, "namespace of users", "owner");
}
