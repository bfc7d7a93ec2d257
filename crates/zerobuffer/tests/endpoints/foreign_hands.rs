//! What others do to a buffer that is in use: read locks on its presence bytes, names that are
//! taken away.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::AsRawFd,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::common::{Name, Peer, skipped};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig, observe};

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    // SAFETY: takes nothing.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skipped("only root can act as another user");
    }
    root
}

/// Runs `body` as another user. On Linux each thread has its own.
fn as_nobody<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(move || {
        // SAFETY: plain numbers; the call itself, unlike that of the C library, changes this thread
        // only.
        let done = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
                | libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY)
                | libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY)
        };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
        body()
    });
    thread.join().unwrap()
}

/// A read lock on a whole file, which ends with the file.
fn read_lock(file: &File) -> io::Result<()> {
    // SAFETY: a zeroed `flock` is valid, and means "from the beginning to the end".
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_RDLCK as libc::c_short;
    // SAFETY: the descriptor is open and the structure outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn config(mode: u32) -> BufferConfig {
    BufferConfig::ring(4096).mode(mode)
}

/// A user who may only read takes read locks on all there is, before and after the writer came.
#[test]
fn read_locks_keep_nobody_out_and_hide_nothing() {
    if !is_root() {
        return;
    }
    let name = Name::new("read-locks");
    let mut reader = Reader::create(&name, config(0o644)).unwrap();
    let (segment, guard) = (name.shm(), name.semaphores()[0].clone());
    let held = as_nobody(move || {
        assert_eq!(File::open(guard).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let file = File::open(segment).unwrap();
        // The reader's own locks are in the way of one lock on everything: those between and behind
        // them are not.
        let mut lock: libc::flock = unsafe_zeroed();
        lock.l_type = libc::F_RDLCK as libc::c_short;
        for (start, len) in [(1, 2), (128, 64), (1, 63), (256, 0)] {
            (lock.l_start, lock.l_len) = (start, len);
            // SAFETY: the descriptor is open and the structure outlives the call.
            assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
        }
        file
    });
    let mut writer = Peer::native();
    writer.must(&format!("connect {} 1000", &*name));
    assert!(reader.is_writer_connected());
    let seen = observe::inspect(&name).unwrap().writer.unwrap();
    assert!(seen.alive && seen.level > 0, "{seen:?}");
    // A second one is refused by the first one's locks, which lie where nobody else can put any.
    let second = Writer::connect_with(&name, WriterConfig::default().connect_timeout(Duration::ZERO));
    assert!(matches!(second, Err(Error::WriterAlreadyConnected { .. })), "{second:?}");
    writer.must("write 1 100 write");
    assert_eq!(reader.read().unwrap().sequence(), 1);

    writer.kill();
    let started = Instant::now();
    let end = reader.read_timeout(Duration::from_secs(20));
    assert!(matches!(end, Err(Error::WriterGone { .. })), "{end:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!reader.is_writer_connected());
    let mut successor = Writer::connect(&name).unwrap();
    successor.write(b"next").unwrap();
    assert_eq!(reader.read().unwrap().data(), b"next");
    drop(held);
}

fn unsafe_zeroed() -> libc::flock {
    // SAFETY: a zeroed `flock` is valid.
    unsafe { std::mem::zeroed() }
}

/// A dead reader's name is taken over although somebody who may only read has locked its byte.
#[test]
fn a_read_lock_does_not_keep_a_dead_readers_name() {
    if !is_root() {
        return;
    }
    let name = Name::new("read-name");
    let mut reader = Peer::native();
    reader.must(&format!("create {} 64 1024 adaptive 644", &*name));
    reader.kill();
    let segment = name.shm();
    let held = as_nobody(move || {
        let file = File::open(segment).unwrap();
        read_lock(&file).unwrap();
        file
    });
    let info = observe::inspect(&name).unwrap();
    assert!(info.reader.is_some_and(|reader| !reader.alive), "the lock hides its death");
    let reader = Reader::create(&name, config(0o600)).unwrap();
    drop(held);
    reader.close().unwrap();
    name.assert_gone();
}

#[test]
fn the_guard_is_open_to_whoever_may_write() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, guard) in [(0o600, 0o600), (0o644, 0o600), (0o640, 0o600), (0o664, 0o660), (0o666, 0o666)] {
        let name = Name::new("guard");
        let _reader = Reader::create(&name, config(mode)).unwrap();
        let bits = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let [data, space] = name.semaphores();
        assert_eq!((bits(&name.shm()), bits(&data), bits(&space)), (mode, guard, mode), "{mode:o}");
    }
}

/// Takes all names of a buffer away, as `RemoveIPC=yes` does.
fn remove_names(name: &Name) {
    for path in [name.shm()].iter().chain(&name.semaphores()) {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_reader_that_waits_for_its_first_writer_learns_that_its_names_are_gone() {
    let name = Name::new("vanished");
    for forever in [false, true] {
        let mut reader = Reader::create(&name, config(0o600)).unwrap();
        let (report, reported) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let read = if forever {
                reader.read().map(drop)
            } else {
                reader.wait_for_writer(Duration::from_secs(60)).map(drop)
            };
            report.send(read).unwrap();
        });
        thread::sleep(Duration::from_millis(100));
        remove_names(&name);
        let error = reported.recv_timeout(Duration::from_secs(20)).expect("it waits for ever").unwrap_err();
        waiting.join().unwrap();
        assert!(matches!(error, Error::NamesRemoved { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&*name) && message.contains("RemoveIPC"), "{message}");
        name.assert_gone();
    }
}

/// One name is enough: without a semaphore no writer attaches.
#[test]
fn a_semaphore_that_is_gone_is_noticed_too() {
    let name = Name::new("vanished-semaphore");
    let mut reader = Reader::create(&name, config(0o600)).unwrap();
    let gone = name.semaphores()[1].clone();
    fs::remove_file(&gone).unwrap();
    // Another file of that name is not the reader's.
    OpenOptions::new().write(true).create_new(true).open(&gone).unwrap();
    let error = reader.read_timeout(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(&error, Error::NamesRemoved { lost, .. } if lost.contains("sem-r")), "{error}");
}

#[test]
fn a_running_stream_goes_on_without_its_names_and_ends_with_its_writer() {
    let name = Name::new("vanished-stream");
    let mut reader = Reader::create(&name, config(0o600)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(b"first").unwrap();
    assert_eq!(reader.read().unwrap().data(), b"first");
    remove_names(&name);
    // Longer than the look that finds it.
    assert!(reader.read_timeout(Duration::from_millis(2500)).unwrap().is_none());
    assert!(reader.is_writer_connected() && writer.is_reader_connected());
    // A full ring, in which the writer waits beyond its own look.
    let blocked = thread::spawn(move || {
        for _ in 0..20 {
            writer.write(&[7; 1000]).unwrap();
        }
        writer
    });
    thread::sleep(Duration::from_millis(300));
    for _ in 0..20 {
        assert_eq!(reader.read_timeout(Duration::from_secs(20)).unwrap().unwrap().len(), 1000);
    }
    blocked.join().unwrap().close().unwrap();
    // Its end is reported first, then that no other one can come.
    let ends = [(); 3].map(|()| reader.read_timeout(Duration::from_secs(20)).unwrap_err());
    assert!(matches!(ends[0], Error::WriterGone { .. }), "{}", ends[0]);
    assert!(matches!(ends[1..], [Error::NamesRemoved { .. }, Error::NamesRemoved { .. }]), "{ends:?}");
    let reader_end = reader.wait_for_writer(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(reader_end, Error::NamesRemoved { .. }), "{reader_end}");
}

#[test]
fn a_writer_that_waits_in_a_full_ring_learns_that_its_names_are_gone() {
    let name = Name::new("vanished-writer");
    let _reader = Reader::create(&name, config(0o600)).unwrap();
    let mut writer = Writer::connect_with(&name, WriterConfig::default().write_timeout(None)).unwrap();
    remove_names(&name);
    let started = Instant::now();
    let error = (0..).find_map(|_| writer.write(&[7; 1000]).err()).unwrap();
    let message = error.to_string();
    assert!(matches!(error, Error::ReaderGone { .. }) && message.contains("RemoveIPC"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(20));
}
