//! What Linux has that buffers need: memory in `/dev/shm`, limits, lock files, its kernel's calls.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use zerobuffer::observe;

use super::finding::Finding;
use super::logind;
use crate::size;

/// What the control block, the metadata and whole pages may take besides the ring.
const OVERHEAD: u64 = 64 << 10;
/// What containers get unless they ask for more.
const CONTAINER: u64 = 64 << 20;
/// A picture of 1080p in RGB, as a measure for people.
const PICTURE: u64 = 1920 * 1080 * 3 + 16;
/// Descriptors that a program has use for besides a few endpoints.
const FEW_FILES: u64 = 256;
/// What stands for no limit.
const UNLIMITED: u64 = u64::MAX;
/// Locks that belong to an open file rather than to a process.
const OFD_LOCKS: (u32, u32) = (3, 15);
const FUTEX_WAITV: (u32, u32) = (5, 16);

const MEMORY_FOLDER: &str = "/dev/shm";
const ROOM: &str = "room";
const MEMORY: &str = "memory";
const FILE_SIZE: &str = "file size";
const OPEN_FILES: &str = "open files";
const LOCKED: &str = "locked memory";
const REMOVE_IPC: &str = "RemoveIPC";
const KERNEL: &str = "kernel";
const HUGE: &str = "huge pages";
const LOCK_FILES: &str = "lock files";
const USERS: &str = "users";
const PROC: &str = "/proc";

/// A machine below a root folder, and who asks.
pub(super) struct Machine {
    pub(super) root: PathBuf,
    pub(super) uid: u32,
    /// `TMPDIR`, if it is set.
    pub(super) temp: Option<PathBuf>,
    /// Whether the kernel's call to wait for many words is there.
    pub(super) waits_for_many: bool,
}

/// Bytes of a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) total: u64,
    pub(super) free: u64,
}

impl Machine {
    pub(super) fn own() -> Self {
        Self {
            root: PathBuf::from("/"),
            uid: rustix::process::geteuid().as_raw(),
            temp: env::var_os("TMPDIR").filter(|name| !name.is_empty()).map(PathBuf::from),
            waits_for_many: observe::waits_for_many().unwrap_or(false),
        }
    }

    pub(super) fn findings(&self, ring: u64) -> Vec<Finding> {
        let needed = ring.saturating_add(OVERHEAD);
        let mut findings = vec![self.proc(), self.memory_folder()];
        findings.extend(self.room().map(|room| judge_room(room, needed)));
        findings.push(self.memory(needed));
        findings.extend(self.limits(needed));
        findings.push(self.remove_ipc());
        findings.extend(self.lock_folders());
        findings.extend(self.users());
        findings.push(self.kernel());
        findings.push(self.huge_pages());
        findings
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    pub(super) fn proc(&self) -> Finding {
        match self.text("proc/self/mounts") {
            Some(_) => Finding::ok(PROC, "it is mounted"),
            None => Finding::problem(PROC, "/proc is not mounted, and processes are looked up there")
                .remedy("mount -t proc proc /proc"),
        }
    }

    pub(super) fn memory_folder(&self) -> Finding {
        const TMPFS: &str = "mount -t tmpfs -o mode=1777 tmpfs /dev/shm";
        let path = self.root.join("dev/shm");
        let Ok(folder) = fs::metadata(&path) else {
            return Finding::problem(MEMORY_FOLDER, "there is no /dev/shm, where buffers lie").remedy(TMPFS);
        };
        let mounts = self.text("proc/self/mounts").unwrap_or_default();
        let mount = mounts.lines().rev().find_map(|line| Mount::of(line, MEMORY_FOLDER));
        let mode = folder.mode() & 0o7777;
        if mount.as_ref().is_some_and(|mount| mount.is_read_only) {
            return Finding::problem(MEMORY_FOLDER, "it is mounted read-only")
                .remedy("mount -o remount,rw /dev/shm");
        }
        if access(&path, Access::WRITE_OK | Access::EXEC_OK).is_err() || !self.may_write(mode, folder.uid()) {
            let found = format!("user {} may not make files in it: mode {mode:o}", self.uid);
            return Finding::problem(MEMORY_FOLDER, found).remedy("as root: chmod 1777 /dev/shm");
        }
        if mode & 0o1002 == 0o002 {
            let found = "every user may remove every buffer: it has no sticky bit";
            return Finding::warning(MEMORY_FOLDER, found).remedy("as root: chmod 1777 /dev/shm");
        }
        match mount {
            Some(mount) if mount.kind == "tmpfs" => {
                Finding::ok(MEMORY_FOLDER, "it is memory, and this user may use it")
            }
            Some(Mount { kind, .. }) => {
                let found = format!("it is no memory but a file system of the kind {kind}");
                Finding::warning(MEMORY_FOLDER, found).remedy(TMPFS)
            }
            None => {
                let found = "nothing is mounted on it: buffers lie on the disk of / and are slow";
                Finding::warning(MEMORY_FOLDER, found).remedy(TMPFS)
            }
        }
    }

    /// For a user other than the one that the system would ask for.
    fn may_write(&self, mode: u32, owner: u32) -> bool {
        // Groups are the system's to look up: `access` has.
        self.uid == 0 || (self.uid == owner && mode & 0o200 != 0) || mode & 0o022 != 0
    }

    fn room(&self) -> Option<Room> {
        let space = statvfs(self.root.join("dev/shm")).ok()?;
        // A file system without a limit of its own: what the machine has is looked at elsewhere.
        if space.f_blocks == 0 {
            return None;
        }
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Some(Room { total: bytes(space.f_blocks), free: bytes(space.f_bavail) })
    }

    pub(super) fn memory(&self, needed: u64) -> Finding {
        let limits = observe::memory_limits_below(&self.root);
        match limits.into_iter().min_by_key(|limit| limit.available) {
            None => Finding::warning(MEMORY, "nothing says how much memory is free").remedy("mount /proc"),
            Some(limit) if limit.available < needed => {
                let free = size::human(limit.available);
                let found = format!("{} leaves {free}, and {}", limit.what, asked(needed));
                Finding::problem(MEMORY, found)
                    .remedy("a smaller ring, or a higher limit (docker run --memory, MemoryMax= in a unit)")
            }
            Some(limit) => {
                Finding::ok(MEMORY, format!("{} leaves {}", limit.what, size::human(limit.available)))
            }
        }
    }

    pub(super) fn limits(&self, needed: u64) -> Vec<Finding> {
        let text = self.text("proc/self/limits").unwrap_or_default();
        let (file, open, locked) = (
            soft_limit(&text, "Max file size"),
            soft_limit(&text, "Max open files"),
            soft_limit(&text, "Max locked memory"),
        );
        let mut findings = Vec::new();
        findings.extend(file.map(|limit| match limit {
            UNLIMITED => Finding::ok(FILE_SIZE, "files may have any size"),
            limit if limit < needed => {
                let found = format!("a file may have {}, and {}", size::human(limit), asked(needed));
                Finding::problem(FILE_SIZE, found)
                    .remedy("ulimit -f unlimited, or LimitFSIZE=infinity in a unit")
            }
            limit => Finding::ok(FILE_SIZE, format!("a file may have {}", size::human(limit))),
        }));
        findings.extend(open.map(|limit| {
            match limit {
                UNLIMITED => Finding::ok(OPEN_FILES, "a process may open any number"),
                limit if limit < FEW_FILES => Finding::warning(
                    OPEN_FILES,
                    format!("a process may open {limit}, and each endpoint takes a few"),
                )
                .remedy("ulimit -n 1024, or LimitNOFILE=1024 in a unit"),
                limit => Finding::ok(OPEN_FILES, format!("a process may open {limit}")),
            }
        }));
        findings.extend(locked.map(|limit| {
            let limit = match limit {
                UNLIMITED => "any number of bytes".to_owned(),
                limit => size::human(limit),
            };
            let found = format!("a process may lock {limit}; ZeroBuffer locks none, a program of yours may");
            Finding::ok(LOCKED, found)
        }));
        findings
    }

    pub(super) fn remove_ipc(&self) -> Finding {
        // The folder alone may be a package's; logind puts its seats into it.
        let seats = fs::read_dir(self.root.join("run/systemd/seats"));
        if seats.map_or(true, |mut seats| seats.next().is_none()) {
            return Finding::ok(REMOVE_IPC, "systemd-logind does not run here: it removes no names");
        }
        let last = self.last_system_user();
        if self.uid <= last {
            return Finding::ok(REMOVE_IPC, "systemd-logind spares system users, and this is one");
        }
        if !logind::removes_ipc(&self.root) {
            return Finding::ok(REMOVE_IPC, "systemd-logind is told to leave shared memory alone");
        }
        let found = format!(
            "systemd-logind removes all shared memory of user {} at the last logout, running streams or not",
            self.uid
        );
        Finding::warning(REMOVE_IPC, found)
            .remedy("RemoveIPC=no in /etc/systemd/logind.conf, then systemctl restart systemd-logind")
            .remedy("or run as a system user: User= in a unit, a user of useradd --system")
    }

    /// The greatest number of a system user.
    fn last_system_user(&self) -> u32 {
        let text = self.text("etc/login.defs").unwrap_or_default();
        let stated = text.lines().find_map(|line| line.strip_prefix("SYS_UID_MAX")?.trim().parse().ok());
        stated.unwrap_or(999)
    }

    pub(super) fn lock_folders(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut bases = vec![PathBuf::from("/tmp")];
        match &self.temp {
            Some(temp) if temp.is_relative() => findings.push(
                Finding::warning(LOCK_FILES, format!("TMPDIR is {}: no full path", temp.display()))
                    .remedy("set TMPDIR to a full path, the same one for both ends, or to nothing"),
            ),
            Some(temp) if temp != Path::new("/tmp") => {
                bases.push(temp.clone());
                findings.push(
                    Finding::note(LOCK_FILES, format!("TMPDIR is {}", temp.display()))
                        .remedy("processes that share buffers should have the same TMPDIR"),
                );
            }
            _ => {}
        }
        let before = findings.len();
        for base in &bases {
            let shown = base.join("zerobuffer");
            let path = self.root.join(shown.strip_prefix("/").unwrap_or(&shown));
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let shown = shown.display();
            if !found.is_dir() {
                findings.push(
                    Finding::warning(LOCK_FILES, format!("{shown} is no folder"))
                        .remedy(format!("as its owner or root: rm {shown}")),
                );
            } else if found.uid() != 0 && found.uid() != self.uid {
                let uid = found.uid();
                findings.push(
                    Finding::warning(
                        LOCK_FILES,
                        format!(
                            "{shown} belongs to user {uid}, who could exchange what is in it: it is not used"
                        ),
                    )
                    .remedy(format!("as root, while no stream runs: rm -r {shown} && mkdir -m 1777 {shown}"))
                    .remedy("or leave it: this implementation does without, C++ and C# of before may not"),
                );
            } else if found.mode() & 0o7777 != 0o1777 && self.uid != found.uid() && self.uid != 0 {
                findings.push(
                    Finding::warning(
                        LOCK_FILES,
                        format!(
                            "{shown} has the mode {:o}: this user can make no lock files",
                            found.mode() & 0o7777
                        ),
                    )
                    .remedy(format!("as root: chmod 1777 {shown}")),
                );
            }
        }
        if findings.len() == before {
            findings.push(Finding::ok(LOCK_FILES, "their folders can be used, or do not exist yet"));
        }
        findings
    }

    /// In a namespace of users the owners of other buffers may be unknown.
    pub(super) fn users(&self) -> Option<Finding> {
        let map = self.text("proc/self/uid_map")?;
        let all = map.lines().any(|line| {
            let mut words = line.split_whitespace();
            (words.next(), words.next()) == (Some("0"), Some("0"))
                && words.next().and_then(|count| count.parse::<u64>().ok()) == Some(u32::MAX.into())
        });
        let found = "this is a namespace of users: buffers of users outside are user 65534's here";
        (!all).then(|| {
            Finding::note(USERS, found)
                .remedy("where ends of one buffer are of different namespaces: --owner any, owner=\"any\"")
        })
    }

    pub(super) fn kernel(&self) -> Finding {
        let release = self.text("proc/sys/kernel/osrelease").unwrap_or_default();
        let release = release.trim();
        let Some(version) = version(release) else {
            return Finding::note(KERNEL, "its version is unknown");
        };
        if version < OFD_LOCKS {
            let found = format!("Linux {release} has no locks that belong to an open file (since 3.15)");
            return Finding::warning(KERNEL, found)
                .remedy("a newer kernel: until then a peer is known to live by its process number alone");
        }
        if self.waits_for_many {
            return Finding::ok(KERNEL, format!("Linux {release} has every call that is used"));
        }
        let (found, remedy) = if version < FUTEX_WAITV {
            (
                format!("Linux {release} has no futex_waitv (since 5.16)"),
                "a newer kernel, if many endpoints wait asynchronously: each has a thread until then",
            )
        } else {
            (
                format!("a sandbox refuses futex_waitv, which Linux {release} has"),
                "a newer container runtime or seccomp profile, if many endpoints wait asynchronously: \
                 each has a thread until then",
            )
        };
        Finding::note(KERNEL, found).remedy(remedy)
    }

    pub(super) fn huge_pages(&self) -> Finding {
        let text = self.text("sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
        let chosen = text.split('[').nth(1).and_then(|rest| rest.split(']').next());
        match chosen {
            Some(chosen @ ("always" | "force" | "within_size")) => {
                let found =
                    format!("shared memory uses huge pages ({chosen}): a small buffer may take 2 MiB");
                Finding::note(HUGE, found)
                    .remedy("nothing, unless there are many small buffers: then shmem_enabled is to be never")
            }
            Some(chosen) => {
                Finding::ok(HUGE, format!("none in shared memory ({chosen}), and none are needed"))
            }
            None => Finding::ok(HUGE, "this kernel has none for shared memory, and none are needed"),
        }
    }
}

/// What `--ring` comes to.
fn asked(needed: u64) -> String {
    let (all, besides) = (size::human(needed), size::human(OVERHEAD));
    format!(
        "{all} are asked for: a ring of {} and {besides} besides",
        size::human(needed.saturating_sub(OVERHEAD))
    )
}

/// Whether a ring fits, and how long a container's default lasts.
pub(super) fn judge_room(room: Room, needed: u64) -> Finding {
    const LARGER: &str = "mount -o remount,size=2G /dev/shm, or size= in /etc/fstab";
    const CONTAINERS: &str = "in a container: docker run --shm-size=2g, shm_size: 2g in a compose file, \
                              an emptyDir of medium: Memory on /dev/shm in Kubernetes";
    let (total, free) = (size::human(room.total), size::human(room.free));
    if room.free < needed {
        let found = format!("{free} of {total} are free, and {}", asked(needed));
        return Finding::problem(ROOM, found)
            .remedy(CONTAINERS)
            .remedy(LARGER)
            .remedy("a smaller ring, or zerobuffer clean where dead processes have left some");
    }
    let pictures = room.free / PICTURE;
    if room.total <= CONTAINER {
        let found = format!("{free} of {total} are free: {pictures} pictures of 1080p");
        return Finding::warning(ROOM, found).remedy(CONTAINERS).remedy(LARGER);
    }
    Finding::ok(ROOM, format!("{free} of {total} are free: {pictures} pictures of 1080p"))
}

/// What is mounted somewhere.
struct Mount {
    kind: String,
    is_read_only: bool,
}

impl Mount {
    /// A line of the mount table, if it is about this folder.
    fn of(line: &str, folder: &str) -> Option<Self> {
        let mut words = line.split(' ').skip(1);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        (place == folder).then(|| Self {
            kind: kind.to_owned(),
            is_read_only: options.split(',').any(|option| option == "ro"),
        })
    }
}

/// A soft limit of `/proc/self/limits`.
fn soft_limit(text: &str, name: &str) -> Option<u64> {
    let words = text.lines().find_map(|line| line.strip_prefix(name))?;
    match words.split_whitespace().next()? {
        "unlimited" => Some(UNLIMITED),
        number => number.parse().ok(),
    }
}

/// The first two numbers of a release such as `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
