//! Users, umasks, a full /dev/shm, odd lock directories, pid namespaces: what surrounds the
//! endpoints.
// Namespaces, mounts and users of Linux.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::ptr::null;
use std::thread::{self, sleep};
use std::time::Duration;

use common::{Name, Peer, Segment, skipped};
use zerobuffer::{BufferConfig, Error, Reader, Writer, observe};

/// An ordinary user of every Linux system.
const NOBODY: u32 = 65_534;

/// True for root; otherwise prints why the test is skipped.
fn root(what: &str) -> bool {
    // SAFETY: takes nothing, cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skipped(&format!("only root can {what}"));
    }
    root
}

/// True when a new mount or pid namespace can be made here; otherwise prints why the test is
/// skipped.
fn namespaces() -> bool {
    if !root("make namespaces") {
        return false;
    }
    let status = std::process::Command::new("unshare").args(["-m", "-p", "-f", "true"]).output();
    let allowed = status.is_ok_and(|output| output.status.success());
    if !allowed {
        skipped("this system does not let root make mount and pid namespaces");
    }
    allowed
}

/// glibc's `sem_open` makes the file under another name, links it to the right one, and removes the
/// first. A writer may come in between.
#[test]
fn a_semaphore_that_just_gets_its_name_is_waited_for() {
    for semaphore in ["w", "r"] {
        let name = Name::new("naming");
        let _reader = Reader::create(&name, BufferConfig::ring(4096)).unwrap();
        let file = format!("/dev/shm/sem.sem-{semaphore}-{}", &*name);
        let other = format!("/dev/shm/sem.{}-other", &*name);
        fs::hard_link(&file, &other).unwrap();
        let error = Writer::connect(&name).unwrap_err().to_string();
        assert!(error.contains(&file) && error.contains("not a regular file with one name"), "{error}");
        let connected = thread::scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_millis(50));
                fs::remove_file(&other).unwrap();
            });
            Writer::connect(&name).map(drop)
        });
        connected.unwrap();
    }
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn private_mounts() -> io::Result<()> {
    // SAFETY: constants only.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()))
    }
}

fn mount_tmpfs(path: &std::ffi::CStr, options: &std::ffi::CStr) -> io::Result<()> {
    let kind = c"tmpfs".as_ptr();
    // SAFETY: terminated constants only.
    unsafe { check(libc::mount(kind, path.as_ptr(), kind, 0, options.as_ptr().cast())) }
}

/// What lies in a directory of a process in its own mount namespace.
fn listing(peer: &Peer, directory: &str) -> Vec<PathBuf> {
    let path = format!("/proc/{}/root{directory}", peer.pid());
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[cfg_attr(macos_sys, ignore = "macOS reserves no memory when a buffer is created")]
#[test]
fn a_dev_shm_that_is_too_small() {
    if !namespaces() {
        return;
    }
    let mut agent = Peer::native_after(|| {
        private_mounts()?;
        mount_tmpfs(c"/dev/shm", c"size=1m")
    });
    for payload in [1_u64 << 20, 2 << 20, 1 << 40] {
        let message = agent.must_fail(&format!("create big 4096 {payload}"), "NoSpace");
        assert!(message.contains("big"), "{message}");
        let numbers =
            message.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).count();
        assert!(numbers >= 2, "needed and available are both named: {message}");
        assert_eq!(listing(&agent, "/dev/shm"), Vec::<PathBuf>::new());
    }
    // What does fit works to the last byte: the segment is reserved, so no write meets SIGBUS.
    agent.must("create fits 4096 786432");
    agent.must("connect fits 0");
    for key in 1..=8 {
        agent.must(&format!("write {key} 700000 write"));
        agent.must(&format!("read 1000 {key}"));
    }
    agent.must("close");
    assert_eq!(listing(&agent, "/dev/shm"), Vec::<PathBuf>::new());
    agent.must("create second 4096 786432");
    agent.must("close");
}

/// Every open of a creation and of an attach fails once. That is an error which says what could not
/// be opened. It does not make an endpoint without presence locks, or one without its lock files.
#[test]
fn descriptors_that_run_out_in_the_middle() {
    for attaching in [false, true] {
        let (mut owner, mut agent, name) = (Peer::native(), Peer::native(), Name::new("starved"));
        let create = format!("create {} 64 1024", &*name);
        if attaching {
            owner.must(&create);
        }
        let there = name.leftovers();
        let command = if attaching { format!("connect {} 0", &*name) } else { create };
        let before = agent.must("count-descriptors");
        let mut refused = 0;
        let succeeded = (3..60).any(|limit| {
            agent.must(&format!("limit-descriptors {limit}"));
            let reply = agent.ask(&command);
            agent.must("limit-descriptors 0");
            if reply == "ok" {
                return true;
            }
            assert!(reply.starts_with("err Os: cannot "), "{limit}: {reply}");
            assert!(reply.contains("Too many open files") && reply.contains('/'), "{limit}: {reply}");
            assert_eq!(agent.must("count-descriptors"), before, "{limit}: {reply}");
            assert_eq!(name.leftovers(), there, "{limit}: {reply}");
            refused += 1;
            false
        });
        assert!(succeeded && refused >= 3, "{refused} refusals");
        let info = observe::inspect(&name).unwrap();
        let peer = if attaching { info.writer } else { info.reader };
        assert!(peer.is_some_and(|peer| peer.alive && peer.level > 0), "no presence locks: {peer:?}");
        assert_eq!(name.leftovers(), name.files(), "without its lock files");
        agent.must("close");
        assert_eq!(agent.must("count-descriptors"), before);
        owner.must("close");
        name.assert_gone();
    }
}

/// The same for a moment, which other threads of the process may end and begin at any time. What
/// could not be opened then is not taken for something that this system does not have.
#[test]
fn descriptors_that_run_out_for_a_moment() {
    for role in ["reader", "writer"] {
        let (mut owner, mut agent, name) = (Peer::native(), Peer::native(), Name::new("starving"));
        if role == "writer" {
            owner.must(&format!("create {} 64 1024", &*name));
        }
        let before = agent.must("count-descriptors");
        let reply = agent.must(&format!("starve {} {role} 3000", &*name));
        let (refused, crippled) = reply.split_once(' ').unwrap();
        println!("{role}: {refused} refused");
        assert!(refused.parse::<u32>().unwrap() > 0, "nothing ran out");
        assert_eq!(crippled, "0", "{role}s without presence locks or lock files");
        assert_eq!(agent.must("count-descriptors"), before);
        owner.must("close");
        name.assert_gone();
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for (umask, mode) in [("000", ""), ("077", ""), ("077", "666"), ("000", "660"), ("777", "620")] {
        if cfg!(macos_sys) && umask != "000" {
            skipped(
                "in part: the C library of this system applies the umask to these objects, macOS's kernel does not",
            );
            continue;
        }
        let name = Name::new("mode");
        let mut agent = Peer::native();
        agent.must(&format!("umask {umask}"));
        agent.must(&format!("create {} 64 1024 adaptive {mode}", &*name));
        let wanted = if mode.is_empty() { 0o600 } else { u32::from_str_radix(mode, 8).unwrap() };
        for path in [name.shm()].iter().chain(&name.semaphores()) {
            let found = fs::metadata(path).unwrap().mode() & 0o777;
            assert_eq!(found, wanted, "{}: {found:o} instead of {wanted:o}", path.display());
        }
        agent.must("close");
        name.assert_gone();
    }
}

#[test]
fn another_user_needs_the_mode_and_only_the_mode() {
    if !root("become another user") {
        return;
    }
    let (mut reader, mut writer) = (Peer::native(), Peer::native());
    writer.must(&format!("become {NOBODY}"));
    if cfg!(macos_sys) {
        // As on macOS, where these objects know no umask.
        reader.must("umask 000");
    }
    let name = Name::new("user");
    reader.must(&format!("create {} 64 1024", &*name));
    let message = writer.must_fail(&format!("connect {} 0", &*name), "PermissionDenied");
    assert!(message.contains(&*name), "{message}");
    // Nor can that user take the name away.
    let message = writer.ask(&format!("create {} 64 1024", &*name));
    assert!(
        message.starts_with("err PermissionDenied") || message.starts_with("err ReaderAlready"),
        "{message}"
    );
    assert!(!name.leftovers().is_empty());
    reader.must("close");

    let name = Name::new("user");
    reader.must(&format!("create {} 64 1024 adaptive 666", &*name));
    writer.must(&format!("connect {} 0", &*name));
    writer.tell("stream 1 300 1 900 mix");
    reader.must("drain 1 300 1 900");
    writer.must_reply();
    // D5: `kill(pid, 0)` is forbidden across users; that is not death, and neither is it life.
    assert_eq!(reader.must("connected"), "true");
    assert_eq!(writer.must("connected"), "true");
    let mut second = Peer::native();
    second.must_fail(&format!("connect {} 0", &*name), "WriterAlreadyConnected");
    writer.kill();
    reader.must_fail("read 20000 0", "WriterGone");
    let mut writer = Peer::native();
    writer.must(&format!("become {NOBODY}"));
    writer.must(&format!("connect {} 20000", &*name));
    writer.must("timeout 20000");
    for key in 301.. {
        writer.tell(&format!("write {key} 300 write"));
        if writer.reply_within(Duration::from_millis(300)).is_none() {
            break;
        }
    }
    sleep(Duration::from_millis(60));
    reader.kill();
    let mut reply = writer.reply();
    while reply.starts_with("ok") {
        reply = writer.ask("write 1 300 write");
    }
    assert!(reply.starts_with("err ReaderGone"), "{reply}");
}

#[test]
fn an_ordinary_user_creates_buffers_too() {
    if !root("become another user") {
        return;
    }
    // Root sends its frames to another user only if it is asked to.
    let mut reader = Peer::native();
    let mut writer = Peer::native_with("ZEROBUFFER_OWNER", OsStr::new("any"));
    let name = Name::new("nobody");
    reader.must(&format!("become {NOBODY}"));
    reader.must(&format!("create {} 64 1024", &*name));
    assert_eq!(fs::metadata(name.shm()).unwrap().uid(), NOBODY);
    writer.must(&format!("connect {} 0", &*name));
    writer.must("write 1 100 write");
    assert_eq!(reader.must("read 1000 1"), "1 100");
    writer.must("close");
    reader.must("close");
    name.assert_gone();
}

/// A link in the place of the lock directory or of a lock file leads nowhere: nothing is made or
/// removed behind it.
#[test]
fn links_in_the_place_of_the_locks() {
    if !namespaces() {
        return;
    }
    for (link, target) in [
        ("/tmp/zerobuffer", "/tmp/victim"),
        ("/tmp/zerobuffer/locks", "/tmp/victim"),
        ("/tmp/zerobuffer/trap.lock", "/tmp/victim/file.lock"),
        ("/tmp/zerobuffer/locks/trap.lock", "/tmp/victim/file.lock"),
    ] {
        let mut agent = Peer::native_after(|| {
            private_mounts()?;
            mount_tmpfs(c"/dev/shm", c"size=1m")
        });
        agent.must("tmpfs /tmp");
        for directory in ["/tmp/victim", "/tmp/zerobuffer/locks"] {
            agent.must(&format!("mkdir {directory}"));
        }
        agent.must("touch /tmp/victim/file.lock");
        agent.must(&format!("link {target} {link}"));
        let reply = agent.ask("create trap 64 1024");
        let refused = ["err Os", "err PermissionDenied"].iter().any(|error| reply.starts_with(error));
        assert!(reply == "ok" || refused, "{link}: {reply}");
        assert_eq!(listing(&agent, "/tmp/victim").len(), 1, "{link}: something was made behind the link");
        agent.must("close");
        assert_eq!(listing(&agent, "/tmp/victim").len(), 1, "{link}: something was removed behind the link");
        assert_eq!(listing(&agent, "/dev/shm"), Vec::<PathBuf>::new());
    }
}

/// W12: a name that is no UTF-8 is a folder's name like any other.
#[test]
fn a_temporary_folder_whose_name_is_not_utf_8() {
    let mut folder =
        std::env::temp_dir().join(format!("zerobuffer-odd-{}-", std::process::id())).into_os_string();
    folder.push(OsStr::from_bytes(&[0xff]));
    fs::create_dir(&folder).unwrap();
    let (mut agent, name) = (Peer::native_with("TMPDIR", &folder), Name::new("odd"));
    let lock = PathBuf::from(&folder).join("zerobuffer/locks").join(format!("{}.lock", &*name));
    agent.must(&format!("create {} 0 1024", &*name));
    assert!(lock.exists(), "{} is not used", lock.display());
    agent.must("close");
    assert!(!lock.exists(), "{} was left", lock.display());
    name.assert_gone();
    fs::remove_dir_all(folder).unwrap();
}

/// W12: a reader that is just closing and its successor wait for the lock on the folder together.
#[test]
fn a_wait_for_the_folder_is_none_for_the_name() {
    for _ in 0..8 {
        let name = Name::new("folder-wait");
        let closing = Reader::create(&name, BufferConfig::ring(64).metadata(0)).unwrap();
        let folder = fs::File::open("/dev/shm").unwrap();
        folder.lock().unwrap();
        let closed = thread::spawn(move || closing.close());
        sleep(Duration::from_millis(10));
        let next = thread::spawn({
            let name = name.to_string();
            move || Reader::create(&name, BufferConfig::ring(64).metadata(0))
        });
        // Longer than a name is worth waiting for.
        sleep(Duration::from_millis(150));
        drop(folder);
        next.join().unwrap().unwrap();
        closed.join().unwrap().unwrap();
    }
}

/// Runs what follows as process 1 of a new pid namespace; this process waits for it outside.
fn own_pid_namespace() -> io::Result<()> {
    // SAFETY: plain numbers and a local status; the waiting process never returns from here.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWPID))?;
        let child = libc::fork();
        if child <= 0 {
            return if child == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // By number: musl has no function for it.
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        libc::_exit(libc::WEXITSTATUS(status))
    }
}

/// A container in the sense of the kernel: pids, mounts, `/proc` and the folders of lock files are
/// its own, `/dev/shm` is everybody's.
fn own_container() -> io::Result<()> {
    own_pid_namespace()?;
    private_mounts()?;
    mount_tmpfs(c"/tmp/zerobuffer", c"size=1m")?;
    let proc = c"proc".as_ptr();
    // SAFETY: terminated constants only.
    unsafe { check(libc::mount(proc, c"/proc".as_ptr(), proc, 0, null())) }
}

/// D6: pids mean nothing across pid namespaces; presence is seen by the kernel's locks.
#[test]
fn ends_in_different_pid_namespaces() {
    if namespaces() {
        streams_deaths_and_successors(own_pid_namespace, Name::assert_gone);
    }
}

/// W8, W12: nor do the lock files mean anything, which each container has for itself.
#[cfg_attr(
    macos_sys,
    ignore = "macOS has no containers, and its presence is on the lock file that each of these has for itself"
)]
#[test]
fn ends_in_different_containers() {
    if namespaces() {
        fs::create_dir_all("/tmp/zerobuffer").unwrap();
        // The lock files of a killed reader stay where its successor cannot see them.
        streams_deaths_and_successors(own_container, |name| {
            assert!(!name.shm().exists() && !name.semaphores().iter().any(|path| path.exists()));
        });
    }
}

fn streams_deaths_and_successors(surroundings: fn() -> io::Result<()>, assert_gone: fn(&Name)) {
    let inside = || Peer::native_after(surroundings);
    for (reader_inside, writer_inside) in [(true, false), (false, true), (true, true)] {
        let start = |is_inside: bool| if is_inside { inside() } else { Peer::native() };
        let (mut reader, mut writer) = (start(reader_inside), start(writer_inside));
        let name = Name::new("apart");
        reader.must(&format!("create {} 64 2048", &*name));
        writer.must(&format!("connect {} 0", &*name));
        writer.tell("stream 1 500 1 2032 mix");
        reader.must("drain 1 500 1 2032");
        writer.must_reply();
        assert_eq!((reader.must("connected"), writer.must("connected")), ("true".into(), "true".into()));
        // A third party takes neither place.
        let mut other = start(!writer_inside);
        other.must_fail(&format!("connect {} 0", &*name), "WriterAlreadyConnected");
        other.must_fail(&format!("create {} 64 2048", &*name), "ReaderAlreadyConnected");

        writer.tell("chatter 501 1 2032 mix");
        reader.tell("until-gone 501 1 2032");
        assert_eq!(writer.reply(), "sent 501");
        sleep(Duration::from_millis(30));
        writer.kill();
        let delivered: u64 = reader.must_reply().parse().unwrap();
        assert!(delivered > 0);
        assert_eq!(Segment::open(&name).free(), 2048);
        let mut writer = start(writer_inside);
        writer.must(&format!("connect {} 20000", &*name));
        writer.must("timeout 20000");
        let next = 501 + delivered;
        writer.tell(&format!("write {next} 2032 write"));
        assert_eq!(reader.must(&format!("hold 10000 {next}")), format!("0 {next} 2032"));
        assert_eq!(writer.must_reply(), next.to_string());
        writer.tell(&format!("write {} 2032 write", next + 1));
        sleep(Duration::from_millis(60));
        reader.kill();
        assert!(writer.reply().starts_with("err ReaderGone"));
        // And the dead reader's name is free for a process anywhere.
        let mut reader = start(!reader_inside);
        reader.must(&format!("create {} 64 2048", &*name));
        writer.must("close");
        reader.must("close");
        assert_gone(&name);
    }
}

/// The number of a writer in a container, mostly 1, exists wherever its reader looks. It must be
/// known for a native one although it died before any reader saw it alive.
#[cfg_attr(macos_sys, ignore = "macOS has no pid namespaces, and its semaphores have no note of the writer")]
#[test]
fn a_writer_of_another_pid_namespace_that_nobody_has_seen_alive() {
    if !namespaces() {
        return;
    }
    let name = Name::new("unseen");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    for with_successor in [false, true] {
        let mut writer = Peer::native_after(own_pid_namespace);
        writer.must(&format!("connect {} 0", &*name));
        let children = format!("/proc/{0}/task/{0}/children", writer.pid());
        let inside = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        // SAFETY: a plain number, of a process that this test has started.
        assert_eq!(unsafe { libc::kill(inside, libc::SIGKILL) }, 0);
        drop(writer);
        if with_successor {
            let name = name.to_string();
            let successor =
                std::thread::spawn(move || Writer::connect(&name).and_then(|mut w| w.write(b"next")));
            // The dead one's end may be reported first.
            let frame = std::iter::repeat_with(|| reader.read_timeout(Duration::from_secs(10)))
                .find(|read| !matches!(read, Err(Error::WriterGone { .. })));
            assert_eq!(frame.unwrap().unwrap().unwrap().data(), b"next");
            successor.join().unwrap().unwrap();
        } else {
            let ended = reader.read_timeout(Duration::from_secs(10));
            assert!(matches!(ended, Err(Error::WriterGone { .. })), "{ended:?}");
        }
    }
}
