//! Whom an endpoint trusts: owners of buffers and folders, limits of the process, locks that others
//! hold.
// Users, mounts and limits of Linux.
#![cfg(all(target_os = "linux", not(macos_sys)))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::null;
use std::thread;
use std::time::{Duration, Instant};

use common::segment::{by_hand, semaphore_by_hand};
use common::{Name, Peer, expect_error, skipped};
use zerobuffer::{BufferConfig, Error, Owner, Reader, Writer, WriterConfig};

/// An ordinary user of every Linux system.
const NOBODY: u32 = 65_534;

/// True when new mounts can be made here; otherwise prints why the test is skipped.
fn mounts() -> bool {
    let status = std::process::Command::new("unshare").args(["-m", "true"]).output();
    let allowed = status.is_ok_and(|output| output.status.success());
    if !allowed {
        skipped("only root can become another user and make mounts, and not on every system");
    }
    allowed
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Own `/tmp` and `/dev/shm`.
fn own_mounts() -> io::Result<()> {
    let kind = c"tmpfs".as_ptr();
    // SAFETY: constants only.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()))?;
        for folder in [c"/tmp", c"/dev/shm"] {
            check(libc::mount(kind, folder.as_ptr(), kind, 0, c"mode=1777,size=16m".as_ptr().cast()))?;
        }
    }
    Ok(())
}

/// A file as an agent with its own mounts sees it.
fn seen_by(agent: &Peer, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{path}", agent.pid()))
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// S5: a writer sends nothing to another user who was quicker to take the name.
#[test]
fn a_buffer_of_another_user_is_attached_to_only_if_that_is_wanted() {
    if !mounts() {
        return;
    }
    let mut squatter = Peer::native();
    squatter.must(&format!("become {NOBODY}"));
    let name = Name::new("squatter");
    squatter.must(&format!("create {} 64 1024 adaptive 666", &*name));
    let message = expect_error(Writer::connect(&name), "ForeignOwner");
    for part in [&*name, "65534", "owner", "ZEROBUFFER_OWNER=any", "user namespace"] {
        assert!(message.contains(part), "no {part:?}: {message}");
    }
    let started = Instant::now();
    let patient = WriterConfig::default().connect_timeout(Duration::from_secs(20));
    expect_error(Writer::connect_with(&name, patient), "ForeignOwner");
    assert!(started.elapsed() < Duration::from_secs(10), "waiting does not change the owner");
    let wrong = WriterConfig::default().owner(Owner::User(1));
    expect_error(Writer::connect_with(&name, wrong), "ForeignOwner");
    for owner in [Owner::Any, Owner::User(NOBODY)] {
        let mut writer = Writer::connect_with(&name, WriterConfig::default().owner(owner)).unwrap();
        writer.write(b"for everybody").unwrap();
        writer.close().unwrap();
    }
    for (variable, works) in [("any", true), ("65534", true), ("1", false), ("", false), ("yes", false)] {
        let mut writer = Peer::native_with("ZEROBUFFER_OWNER", OsStr::new(variable));
        let reply = writer.ask(&format!("connect {} 0", &*name));
        assert_eq!(reply == "ok", works, "{variable:?}: {reply}");
        if works {
            writer.must("close");
        }
    }
    // Root's own buffers are everybody's to use, if their mode allows it.
    let name = Name::new("roots");
    let _reader = Reader::create(&name, BufferConfig::ring(64).metadata(0).mode(0o666)).unwrap();
    let mut writer = Peer::native();
    writer.must(&format!("become {NOBODY}"));
    writer.must(&format!("connect {} 0", &*name));
    writer.must("close");
}

/// S5: nor does it take tokens in memory that another user could take away.
#[test]
fn semaphores_of_another_user() {
    if !mounts() {
        return;
    }
    let name = Name::new("their-sem");
    let _reader = Reader::create(&name, BufferConfig::ring(64).metadata(0)).unwrap();
    std::os::unix::fs::chown(&name.semaphores()[0], Some(NOBODY), None).unwrap();
    let message = expect_error(Writer::connect(&name), "Os");
    assert!(message.contains("65534") && message.contains("sem-w"), "{message}");
}

/// S1, S2: what another user could exchange is left out, and nothing is made, changed or removed in
/// it or behind it.
#[test]
fn lock_folders_that_another_user_could_exchange() {
    if !mounts() {
        return;
    }
    // What is prepared, TMPDIR, and whether that is used for a lock file.
    let cases: [(&str, &[&str], &str, bool); 8] = [
        (
            "the folder is another user's",
            &["mkdir /tmp/zerobuffer", "chown /tmp/zerobuffer 65534"],
            "/tmp",
            false,
        ),
        (
            "the folder in it is",
            &["mkdir /tmp/zerobuffer/locks", "chown /tmp/zerobuffer/locks 65534"],
            "/tmp",
            false,
        ),
        ("TMPDIR is", &["mkdir /tmp/theirs", "chown /tmp/theirs 65534"], "/tmp/theirs", false),
        (
            "a folder above it is",
            &["mkdir /tmp/theirs/deep", "chown /tmp/theirs 65534"],
            "/tmp/theirs/deep",
            false,
        ),
        (
            "TMPDIR is another user's link to a folder of root's",
            &["mkdir /tmp/roots", "link /tmp/roots /tmp/way", "chown /tmp/way 65534"],
            "/tmp/way",
            false,
        ),
        (
            "the folder is a link of root's",
            &["mkdir /tmp/roots", "mkdir /tmp/t", "link /tmp/roots /tmp/t/zerobuffer"],
            "/tmp/t",
            false,
        ),
        ("TMPDIR is a link of root's", &["mkdir /tmp/roots", "link roots /tmp/way"], "/tmp/way", true),
        ("TMPDIR has steps back", &["mkdir /tmp/roots/a"], "/tmp/roots/a/../a/./", true),
    ];
    for (what, preparations, temporary, is_used) in cases {
        let mut command = Peer::native_after_with(own_mounts, "TMPDIR", OsStr::new(temporary));
        for preparation in preparations {
            command.must(preparation);
        }
        let before = tree(&seen_by(&command, "/tmp"));
        command.must("create cam 0 64");
        let lock = seen_by(&command, &format!("{temporary}/zerobuffer/locks/cam.lock"));
        assert_eq!(lock.exists(), is_used, "{what}: {}", lock.display());
        for (path, mode, uid) in &before {
            let meta = fs::symlink_metadata(path).unwrap();
            assert_eq!((meta.mode(), meta.uid()), (*mode, *uid), "{what}: {}", path.display());
            if *uid == NOBODY && meta.is_dir() {
                let inside = before.iter().filter(|(inner, ..)| inner.parent() == Some(path)).count();
                assert_eq!(fs::read_dir(path).unwrap().count(), inside, "{what}: {}", path.display());
            }
        }
        command.must("close");
        assert!(!lock.exists(), "{what}: {} was left", lock.display());
    }
}

/// Every path below a folder, with mode and owner.
fn tree(folder: &Path) -> Vec<(PathBuf, u32, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), meta.mode(), meta.uid()));
        if meta.is_dir() {
            found.extend(tree(&path));
        }
    }
    found
}

/// S7: everybody can look at a lock file, whatever the umask of its maker; what was made for all is
/// for all.
#[test]
fn lock_files_and_folders_have_their_mode() {
    if !mounts() {
        return;
    }
    for umask in ["000", "022", "077", "777"] {
        let mut agent = Peer::native_after(own_mounts);
        agent.must(&format!("umask {umask}"));
        agent.must("create cam 0 64");
        for (path, mode) in [
            ("/tmp/zerobuffer", 0o1777),
            ("/tmp/zerobuffer/locks", 0o1777),
            ("/tmp/zerobuffer/cam.lock", 0o644),
            ("/tmp/zerobuffer/locks/cam.lock", 0o644),
        ] {
            let found = mode_of(&seen_by(&agent, path));
            assert_eq!(found, mode, "umask {umask}: {path} has {found:o}");
        }
        agent.must("close");
    }
}

/// S7: a lock file that may not be opened is perhaps held.
#[test]
fn what_cannot_be_looked_at_is_not_free() {
    if !mounts() {
        return;
    }
    let mut agent = Peer::native_after(own_mounts);
    for folder in ["/tmp/zerobuffer", "/tmp/zerobuffer/locks"] {
        agent.must(&format!("mkdir {folder}"));
        fs::set_permissions(seen_by(&agent, folder), Permissions::from_mode(0o1777)).unwrap();
    }
    agent.must("touch /tmp/zerobuffer/locks/cam.lock");
    let lock = seen_by(&agent, "/tmp/zerobuffer/locks/cam.lock");
    fs::set_permissions(&lock, Permissions::from_mode(0o600)).unwrap();
    agent.must(&format!("become {NOBODY}"));
    let message = agent.must_fail("create cam 0 64", "PermissionDenied");
    assert!(message.contains("/tmp/zerobuffer/locks/cam.lock"), "{message}");
    agent.must("create other 0 64");
    agent.must("close");
}

/// S7: a relative TMPDIR begins where the process was when it made the buffer, wherever it goes
/// then.
#[test]
fn a_relative_temporary_folder() {
    let folder = std::env::temp_dir().join(format!("zerobuffer-relative-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = format!("{up}{}", folder.strip_prefix("/").unwrap().display());
    let (mut agent, name) = (Peer::native_with("TMPDIR", OsStr::new(&relative)), Name::new("relative"));
    let lock = folder.join("zerobuffer/locks").join(format!("{}.lock", &*name));
    agent.must(&format!("create {} 0 64", &*name));
    assert!(lock.exists());
    agent.must("chdir /");
    agent.must("close");
    assert!(!lock.exists(), "{} was left", lock.display());
    fs::remove_dir_all(&folder).unwrap();
}

/// S7: a close waits for nobody; a creation waits 5 s, and says for whom. That is never a process
/// that holds the lock of another `/dev/shm`, as another container's.
#[test]
fn somebody_who_keeps_the_lock_of_the_folder() {
    if !mounts() {
        return;
    }
    let [mut before, mut agent, mut after] = [(); 3].map(|()| Peer::native_after(own_mounts));
    agent.must("create cam 0 64");
    for holder in [&mut before, &mut agent, &mut after] {
        holder.must("hold-folder /dev/shm");
    }
    let started = Instant::now();
    agent.must("close");
    assert!(started.elapsed() < Duration::from_secs(2), "closing took {:?}", started.elapsed());
    assert_eq!(fs::read_dir(seen_by(&agent, "/dev/shm")).unwrap().count(), 0, "something was left");
    let started = Instant::now();
    let message = agent.must_fail("create cam 0 64", "Os");
    assert!((4..20).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert!(message.contains("/dev/shm") && message.contains(&agent.pid().to_string()), "{message}");
}

/// S9: the limit is named, and the process lives on.
#[test]
fn a_ring_beyond_the_limit_of_file_sizes() {
    let (mut agent, name) = (Peer::native(), Name::new("ulimit"));
    agent.must("limit-file-size 65536");
    let message = agent.must_fail(&format!("create {} 64 1048576", &*name), "Limited");
    for part in [&*name, "1049792", "65536", "ulimit -f"] {
        assert!(message.contains(part), "no {part:?}: {message}");
    }
    agent.must(&format!("create {} 64 32768", &*name));
    agent.must("close");
    agent.must("limit-file-size 0");
    agent.must(&format!("create {} 64 1048576", &*name));
    agent.must("close");
    name.assert_gone();
}

/// A control group with a memory limit of its own, gone when the test is over.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where nobody lets this process make one; the reason is printed.
    fn new(limit: u64) -> Option<Self> {
        let mut reasons = Vec::new();
        for mount in fs::read_to_string("/proc/self/mounts").unwrap().lines() {
            let words: Vec<&str> = mount.split(' ').collect();
            let limits: &[(&str, u64)] = match words[2] {
                "cgroup2" => &[("memory.swap.max", 0), ("memory.max", limit)],
                "cgroup" if words[3].split(',').any(|option| option == "memory") => {
                    &[("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", limit)]
                }
                _ => continue,
            };
            let folder = Path::new(words[1]).join(format!("zerobuffer-test-{}", std::process::id()));
            let made = fs::create_dir(&folder).map(|()| Self(folder.clone()));
            match made.and_then(|group| group.limit(limits).map(|()| group)) {
                Ok(group) => return Some(group),
                Err(error) => reasons.push(format!("{}: {error}", folder.display())),
            }
        }
        skipped(&format!("no memory control group can be made here: {reasons:?}"));
        None
    }

    fn limit(&self, limits: &[(&str, u64)]) -> io::Result<()> {
        // A kernel without an account of swap has no limit of it either.
        let is_known = |file: &str| !file.contains("sw") || self.0.join(file).exists();
        let mut known = limits.iter().filter(|(file, _)| is_known(file));
        known.try_for_each(|(file, limit)| fs::write(self.0.join(file), limit.to_string()))
    }

    fn take_in(&self, agent: &Peer) {
        fs::write(self.0.join("cgroup.procs"), agent.pid().to_string()).unwrap();
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Its last process is on its way out.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(thread::panicking(), "{} is left", self.0.display());
    }
}

/// S9: beyond it the kernel would kill the process, at creation or at the first bytes.
#[test]
fn a_ring_beyond_the_limit_of_a_memory_group() {
    const MIB: u64 = 1 << 20;
    let Some(group) = MemoryGroup::new(96 * MIB) else { return };
    let (mut agent, name, other) = (Peer::native(), Name::new("group"), Name::new("group-more"));
    let mut second = Peer::native();
    group.take_in(&agent);
    group.take_in(&second);
    let message = agent.must_fail(&format!("create {} 0 {}", &*name, 128 * MIB), "Limited");
    // With the control block and the native one.
    let needed = (128 * MIB + 128 + 1024).to_string();
    for part in [&*name, &needed, "memory limit", group.0.to_str().unwrap()] {
        assert!(message.contains(part), "no {part:?}: {message}");
    }
    name.assert_gone();
    // What fits is there to its last byte, and counts from then on.
    agent.must(&format!("create {} 0 {}", &*name, 48 * MIB));
    agent.must(&format!("connect {} 5000", &*name));
    agent.must(&format!("write 1 {} write", 40 * MIB));
    let message = second.must_fail(&format!("create {} 0 {}", &*other, 48 * MIB), "Limited");
    assert!(message.contains(&*other) && message.contains("memory limit"), "{message}");
    agent.must("read 5000 1");
    agent.must("close");
    second.must(&format!("create {} 0 {}", &*other, 48 * MIB));
    second.must("close");
    drop((agent, second));
}

/// I4: programs that cannot be changed get their mode from the environment.
#[test]
fn the_mode_of_the_environment() {
    for (variable, asked, expected) in [("0666", "", 0o666), ("660", "", 0o660), ("0666", "640", 0o640)] {
        let (mut agent, name) =
            (Peer::native_with("ZEROBUFFER_MODE", OsStr::new(variable)), Name::new("mode"));
        agent.must(&format!("create {} 0 64 adaptive {asked}", &*name));
        let [data, space] = name.semaphores();
        // The data semaphore bears presence locks: those who may only read do not open it.
        let guard = if expected == 0o640 { 0o600 } else { expected };
        for (path, expected) in [(data, guard), (space, expected), (name.shm(), expected)] {
            assert_eq!(mode_of(&path) & 0o777, expected, "{variable} {asked}: {}", path.display());
        }
        agent.must("close");
    }
    let (mut agent, name) =
        (Peer::native_with("ZEROBUFFER_MODE", OsStr::new("rw-rw-rw-")), Name::new("mode"));
    let message = agent.must_fail(&format!("create {} 0 64", &*name), "InvalidConfig");
    assert!(message.contains("ZEROBUFFER_MODE") && message.contains("octal"), "{message}");
}

/// I7: another implementation stores its pid after the sizes, and its objects are not taken from it
/// in between.
#[test]
fn a_control_block_without_a_pid_is_young_for_a_second() {
    for has_pid in [false, true] {
        let name = Name::new("young");
        for path in name.semaphores() {
            fs::write(path, semaphore_by_hand(0)).unwrap();
        }
        fs::write(name.shm(), by_hand(64, 1024, if has_pid { 0x7fff_ffff } else { 0 })).unwrap();
        let started = Instant::now();
        let reader = Reader::create(&name, BufferConfig::ring(64).metadata(0));
        let waited = started.elapsed();
        assert!(reader.is_ok(), "{:?}", reader.map(drop));
        if has_pid {
            assert!(waited < Duration::from_millis(700), "a dead process's is had at once: {waited:?}");
        } else {
            assert!(waited > Duration::from_millis(700), "taken after {waited:?}");
        }
    }
}

/// I7: the pid comes, and the buffer is its process's.
#[test]
fn a_control_block_that_gets_its_pid_in_time() {
    let name = Name::new("slow");
    for path in name.semaphores() {
        fs::write(path, semaphore_by_hand(0)).unwrap();
    }
    fs::write(name.shm(), by_hand(64, 1024, 0)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            let alive = u64::from(std::os::unix::process::parent_id());
            let file = fs::File::options().write(true).open(name.shm()).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &alive.to_le_bytes(), 88).unwrap();
        });
        match Reader::create(&name, BufferConfig::ring(64).metadata(0)) {
            Err(Error::ReaderAlreadyConnected { pid, .. }) => {
                assert_eq!(pid, u64::from(std::os::unix::process::parent_id()));
            }
            other => panic!("{:?}", other.map(drop)),
        }
    });
}
