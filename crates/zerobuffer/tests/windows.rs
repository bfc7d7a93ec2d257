//! What is different on Windows: names that live with handles, the two conventions of other
//! implementations, sessions.
// Named kernel objects.
#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::fs;
use std::os::windows::io::OwnedHandle;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::kernel::{View, existing, make_section, make_semaphore, post};
use common::segment::{FREE, READER_PID, WRITER_PID, WRITTEN_COUNT, by_hand};
use common::{Name, Peer, check, content, expect_error};
use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig, observe};

const LONG: Duration = Duration::from_secs(60);

/// A buffer as another implementation's reader makes it. The names live as long as this.
struct Old {
    view: View,
    data: OwnedHandle,
    _space: OwnedHandle,
    _section: OwnedHandle,
}

/// As C# names it.
fn session_names(name: &str) -> [String; 3] {
    [name.to_owned(), format!("sem-w-{name}"), format!("sem-r-{name}")]
}

/// As C++ names it.
fn machine_names(name: &str) -> [String; 3] {
    [format!(r"Global\{name}"), format!(r"Global\sem-/sem-w-{name}"), format!(r"Global\sem-/sem-r-{name}")]
}

impl Old {
    fn plant([segment, data, space]: &[String; 3], reader_pid: u64) -> Self {
        let bytes = by_hand(64, 1024, reader_pid);
        let section = make_section(segment, bytes.len());
        let view = View::of(&section);
        view.put(0, &bytes);
        Self { view, data: make_semaphore(data), _space: make_semaphore(space), _section: section }
    }

    fn word(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.view.bytes(offset as usize, 8).try_into().unwrap())
    }
}

/// A process that lives, and whose pid stands for another implementation's endpoint.
fn other() -> Peer {
    Peer::native()
}

/// The pid of a process that has ended.
fn dead_pid() -> u64 {
    let mut peer = other();
    peer.kill();
    peer.pid()
}

#[test]
fn a_writer_finds_the_readers_of_both_conventions() {
    for names in [session_names, machine_names] {
        let (name, reader) = (Name::new("old"), other());
        let old = Old::plant(&names(&name), reader.pid());
        let mut writer = Writer::connect(&name).unwrap();
        assert_eq!(old.word(WRITER_PID), u64::from(std::process::id()));
        // With a legacy reader the largest frame passes an empty ring once, and there is one token
        // per frame.
        writer.write(&content(1, 100)).unwrap();
        writer.write(&content(2, 100)).unwrap();
        assert_eq!((old.word(WRITTEN_COUNT), old.word(FREE)), (2, 1024 - 232));
        let frame = old.view.bytes(128 + 64 + 16, 100);
        check(&frame, 1).unwrap();
        assert_eq!(observe::inspect(&name).unwrap().data_tokens, Some(2));
        let message = expect_error(Writer::connect(&name), "WriterAlreadyConnected");
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        writer.close().unwrap();
        assert_eq!(old.word(WRITER_PID), 0);
        drop(old);
        name.assert_gone();
    }
}

/// A legacy reader is alive by its pid alone: its name is refused, and never waited for.
#[test]
fn a_live_legacy_reader_keeps_its_name() {
    let (name, reader) = (Name::new("old-live"), other());
    let old = Old::plant(&session_names(&name), reader.pid());
    let message =
        expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0)), "ReaderAlreadyConnected");
    assert!(message.contains(&reader.pid().to_string()), "{message}");
    assert_eq!(old.word(READER_PID), reader.pid());
}

/// A name that a legacy writer keeps open after its reader's death. A reader that wants it asks
/// that writer, waits for a moment, and says what is in the way. Once the writer lets go, the name
/// is had at once.
#[test]
fn a_dead_reader_whose_name_is_kept_open() {
    let name = Name::new("old-dead");
    let old = Old::plant(&session_names(&name), dead_pid());
    let orphans = observe::orphans().unwrap();
    // There is no lock file, so it is not listed; the look itself works.
    assert!(orphans.iter().all(|orphan| orphan.name != *name));
    let message = expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0)), "NotReady");
    assert!(message.contains(&*name) && message.contains("close that writer"), "{message}");
    assert_eq!(old.word(READER_PID), 0, "the writer was not asked");
    expect_error(Writer::connect(&name), "NotReady");

    let waiting = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            drop(old);
        });
        let reader = Reader::create(&name, BufferConfig::ring(128).metadata(0)).unwrap();
        assert!(waiting.elapsed() >= Duration::from_millis(200));
        assert_eq!(reader.capacity(), 128);
        reader.close().unwrap();
    });
    name.assert_gone();
}

/// Objects of other kinds under the names of a buffer.
#[test]
fn a_name_that_belongs_to_something_else() {
    let name = Name::new("foreign");
    for (kind, taken) in session_names(&name).into_iter().enumerate() {
        let semaphore = (kind == 0).then(|| make_semaphore(&taken));
        let section = (kind != 0).then(|| make_section(&taken, 64));
        let message = expect_error(
            Reader::create(&name, BufferConfig::ring(64).metadata(0)),
            if kind == 0 { "NotABuffer" } else { "NotReady" },
        );
        assert!(message.contains(&*name), "{message}");
        expect_error(Writer::connect(&name), if kind == 0 { "Os" } else { "NotFound" });
        drop((semaphore, section));
        name.assert_gone();
    }
    // A section that is no buffer.
    let section = make_section(&name, 4096);
    View::of(&section).put(0, &[7; 64]);
    let message = expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0)), "NotABuffer");
    assert!(message.contains("is no buffer"), "{message}");
    expect_error(Writer::connect(&name), "Corrupt");
}

/// Sizes that do not fit the section, and sections of every small size: an error with numbers,
/// never an access violation.
#[test]
fn segments_that_a_writer_must_not_attach_to() {
    let reader = other();
    for (offset, value) in
        [(8, 1 << 40), (8, u64::MAX - 63), (32, 1 << 40), (32, 8192), (32, u64::MAX), (0, 127)]
    {
        let name = Name::new("segment");
        let old = Old::plant(&session_names(&name), reader.pid());
        old.view.put(offset, &u64::to_le_bytes(value));
        let before = old.view.bytes(0, 1216);
        let error = Writer::connect(&name).map(drop).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::Version { .. }), "{offset} {value}: {error}");
        assert_eq!(old.view.bytes(0, 1216), before, "a failed attach leaves no trace");
    }
}

/// A closed reader's frames keep its memory and not its name.
#[test]
fn held_frames_do_not_keep_the_name() {
    let name = Name::new("held-name");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(&content(1, 300)).unwrap();
    let (frame, handle) = (reader.read().unwrap(), reader.handle());
    reader.close().unwrap();
    // The legacy writer is still attached, and holds the semaphores' names.
    let mut next = Reader::create(&name, BufferConfig::ring(2048).metadata(0)).unwrap();
    expect_error(writer.write(b"x"), "ReaderGone");
    check(frame.data(), 1).unwrap();
    assert!(!writer.is_reader_connected(), "the successor is taken for the reader");
    let mut successor = Writer::connect(&name).unwrap();
    successor.write(&content(1, 500)).unwrap();
    check(next.read().unwrap().data(), 1).unwrap();
    drop((writer, successor, next));
    name.assert_gone();
    check(frame.data(), 1).unwrap();
    drop((frame, handle));
}

/// The writer of a killed reader does not take the successor, which holds the same name, for its
/// reader.
#[test]
fn a_successor_is_not_taken_for_the_dead_reader() {
    let name = Name::new("heir");
    let mut reader = Peer::native();
    reader.must(&format!("create {} 0 1024", &*name));
    let writer = Writer::connect(&name).unwrap();
    assert!(writer.is_reader_connected());
    reader.kill();
    let next = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    assert!(!writer.is_reader_connected());
    assert!(!next.is_writer_connected());
    drop(writer);
    Writer::connect(&name).unwrap().write(b"to the successor").unwrap();
}

/// wine grants the privilege; on Windows this needs it, and the error names it.
#[test]
fn a_global_buffer() {
    let name = Name::new("global");
    let config = BufferConfig::ring(1024).metadata(64).global(true);
    let mut reader = match Reader::create(&name, config) {
        Err(Error::NoPrivilege { privilege, .. }) => {
            assert_eq!(privilege, "SeCreateGlobalPrivilege");
            common::skipped("this process may not create global objects");
            return;
        }
        other => other.unwrap(),
    };
    let [segment, data, space] = machine_names(&name);
    let found = existing(&name);
    assert!([segment, data, space].iter().all(|object| found.contains(object)), "{found:?}");
    assert!(!found.contains(&name.to_string()), "{found:?}");
    let mut writer = Peer::native();
    writer.must(&format!("connect {} 0", &*name));
    writer.must("write 1 100 write");
    check(reader.read_timeout(LONG).unwrap().expect("a frame is there").data(), 1).unwrap();
    assert!(observe::list().unwrap().iter().any(|info| info.name == *name));
    expect_error(
        Reader::create(&name, BufferConfig::ring(1024).metadata(64).global(true)),
        "ReaderAlreadyConnected",
    );
    writer.must("close");
    reader.close().unwrap();
    name.assert_gone();
}

/// Both buffers of a channel, each by its own option.
#[test]
fn a_global_channel() {
    let channel = Name::new("gchan");
    let [request, response] = ["request", "response"].map(|side| Name::of(&format!("{}_{side}", &*channel)));
    let buffer = BufferConfig::ring(1024).metadata(64);
    for (request_is_global, response_is_global) in [(true, true), (true, false), (false, true)] {
        let config = ServerConfig::default().buffer(buffer.clone().global(request_is_global));
        let server = Server::new(&channel, config);
        match server.start(|request, mut responder| Ok(responder.write(request.data()).map(drop)?)) {
            Err(Error::NoPrivilege { .. }) => {
                common::skipped("this process may not create global objects");
                return;
            }
            other => other.unwrap(),
        }
        let config = ClientConfig::default().response_size(1024).connect_timeout(LONG);
        let client = Client::connect_with(&channel, config.global(response_is_global)).unwrap();
        for (name, is_global) in [(&request, request_is_global), (&response, response_is_global)] {
            let segments = [(machine_names(name), is_global), (session_names(name), !is_global)];
            let found = existing(name);
            for ([segment, ..], expected) in segments {
                assert_eq!(found.contains(&segment), expected, "{segment}: {found:?}");
            }
        }
        let answer = client.call(b"across sessions", LONG).unwrap();
        assert_eq!(answer.data(), b"across sessions");
        drop((answer, client));
        server.stop();
        request.assert_gone();
        response.assert_gone();
    }
}

/// C++ and C# readers hold a lock file each that nobody else may open.
#[test]
fn a_lock_file_of_another_reader() {
    use std::os::windows::fs::OpenOptionsExt as _;
    drop(Reader::create(&Name::new("folders"), BufferConfig::ring(64).metadata(0)).unwrap());
    let name = Name::new("locked");
    for path in name.locks() {
        let lock = fs::OpenOptions::new().write(true).create_new(true).share_mode(0).open(&path).unwrap();
        expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0)), "ReaderAlreadyConnected");
        drop(lock);
        // Nobody holds it now: it is a leftover, which `clean` shows and removes.
        let orphans = observe::orphans().unwrap();
        let orphan = orphans.iter().find(|orphan| orphan.name == *name).expect("the lock file is left");
        assert_eq!(orphan.objects, std::slice::from_ref(&path));
        assert_eq!(observe::remove(orphan).unwrap(), [path]);
        name.assert_gone();
    }
    Reader::create(&name, BufferConfig::ring(64).metadata(0)).unwrap().close().unwrap();
    name.assert_gone();
}

/// Tokens that are not there, or too many: frames pass all the same (W5).
#[test]
fn surplus_tokens_do_no_harm() {
    let name = Name::new("tokens");
    let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
    let config = WriterConfig::default().write_timeout(Some(LONG));
    let mut writer = Writer::connect_with(&name, config).unwrap();
    let semaphores = session_names(&name).map(|object| make_semaphore_if(&object));
    for round in 0..20 {
        semaphores.iter().flatten().for_each(|semaphore| (0..round * 7).for_each(|_| post(semaphore)));
        writer.write(&content(round, 700)).unwrap();
        check(reader.read_timeout(LONG).unwrap().expect("a frame is there").data(), round).unwrap();
    }
    assert!(reader.read_timeout(Duration::from_millis(60)).unwrap().is_none());
}

/// Opens the buffer's semaphores; the segment is none.
fn make_semaphore_if(name: &str) -> Option<OwnedHandle> {
    name.starts_with("sem-").then(|| make_semaphore(name))
}

/// More than the machine can commit. wine commits whatever it is asked for, up to what a file may
/// have.
#[test]
fn a_ring_that_no_machine_has_room_for() {
    let name = Name::new("too-large");
    match Reader::create(&name, BufferConfig::ring(1 << 46).metadata(0).prefault(false)) {
        Err(Error::NoSpace { needed, available, .. }) => {
            assert!(available < needed, "{available} of {needed}");
        }
        other => panic!("{other:?}"),
    }
    name.assert_gone();
}

/// Other implementations end with a plain `data` semaphore: it may be looked at without a trace.
#[test]
fn looking_leaves_no_trace() {
    let (name, reader) = (Name::new("look"), other());
    let old = Old::plant(&session_names(&name), reader.pid());
    post(&old.data);
    for _ in 0..3 {
        let info = observe::inspect(&name).unwrap();
        assert_eq!((info.data_tokens, info.space_tokens), (Some(1), Some(0)));
        let peer = info.reader.expect("a reader is registered");
        assert_eq!((peer.pid, peer.alive, peer.level), (reader.pid(), true, 0));
        assert_eq!(info.defects, Vec::<String>::new());
    }
    drop(old);
    name.assert_gone();
}

/// Ends the threads that look, also if the test panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Names are there before what they name is finished.
#[test]
fn a_native_reader_is_never_taken_for_a_legacy_one() {
    let name = Name::new("half-made");
    let stop = AtomicBool::new(false);
    let look = || {
        while !stop.load(Ordering::Relaxed) {
            // While the reader makes or removes it, it is absent, or unfinished.
            let reader = observe::inspect(&name).ok().and_then(|info| info.reader);
            let level = reader.filter(|reader| reader.alive).map(|reader| reader.level);
            assert_ne!(level, Some(0));
        }
    };
    thread::scope(|scope| {
        let stopped = Stop(&stop);
        let lookers = [(); 3].map(|()| scope.spawn(look));
        for _ in 0..80 {
            let reader = loop {
                // An observer keeps the name for a moment.
                match Reader::create(&name, BufferConfig::ring(1024).metadata(64)) {
                    Err(Error::NotReady { .. } | Error::ReaderAlreadyConnected { .. }) => {}
                    other => break other.unwrap(),
                }
            };
            drop(reader);
        }
        drop(stopped);
        for looker in lookers {
            looker.join().unwrap();
        }
    });
}
