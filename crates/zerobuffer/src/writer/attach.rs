//! Attaching to a buffer (W7): open and validate everything, take the role's lock, then register.

use super::{WriterShared, tokens};
use crate::{
    config::Owner,
    error::{Error, Result},
    layout::{ControlSnapshot, TOMBSTONE, Word, level as capability},
    link::{Link, Patience, Peer, owner},
    liveness::{Facts, KnownBy, NEVER_SEEN, Process, Reason},
    memory::Region,
    ring::{Attach, Producer, metadata},
    sync::{AtomicBool, AtomicU64, End, Instant, Ordering, order, sleep},
    sys::{self, Held, Presence, Role, Segment, Semaphore, Signal, is_shortage, process},
};
use std::{io, time::Duration};

/// How long a half-made buffer is given to be finished.
const MAKING: Duration = Duration::from_millis(500);
/// How long the reader is given to notice that the previous writer died.
const REPAIR_GRACE: Duration = Duration::from_millis(500);
/// How long another judge may hold a byte.
const JUDGING: Duration = Duration::from_millis(20);
/// Pause between two looks for a buffer that does not exist yet.
const RETRY_EVERY: Duration = Duration::from_millis(2);

/// Attaches, waiting for a buffer to appear as long as there is patience.
pub(super) fn attach(
    name: &str,
    trusted: Owner,
    patience: &mut Patience<'_>,
    whole_ring: bool,
) -> Result<(WriterShared, Producer)> {
    sys::check_name(name)?;
    let started = Instant::now();
    loop {
        let (trouble, grace) = match open(name, trusted) {
            Ok(opened) => match register(name, opened, patience, whole_ring) {
                // The reader closed between validation and registration: the next one may be on its
                // way.
                Err(error @ Error::NotReady { .. }) => (error, Duration::ZERO),
                other => return other,
            },
            Err(OpenError::Making(error)) => (error, MAKING),
            Err(OpenError::Absent(error)) => (error, Duration::ZERO),
            Err(OpenError::Final(error)) => return Err(error),
        };
        log::debug!(target: "zerobuffer::writer", "waiting for buffer '{name}': {trouble}");
        if patience.pause(RETRY_EVERY, started + grace).is_break() {
            return Err(match trouble {
                Error::NotFound { name, .. } => Error::NotFound { name, waited: patience.waited() },
                other => other,
            });
        }
    }
}

/// Why a buffer cannot be opened now.
enum OpenError {
    /// A reader is about to create it.
    Making(Error),
    /// There is no live reader; one may come.
    Absent(Error),
    Final(Error),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// A validated buffer to which nothing has been done.
struct Opened {
    region: Region,
    data: Semaphore,
    space: Semaphore,
    presence: Option<Presence>,
    reader_pid: u64,
    /// What the reader can do.
    peer: Peer,
}

fn open(name: &str, trusted: Owner) -> Result<Opened, OpenError> {
    let not_ready = |reason| Error::NotReady { name: name.to_owned(), reason };
    let segment = Segment::open(name).map_err(|error| match error.of_absent(name) {
        absent @ Error::NotFound { .. } => OpenError::Absent(absent),
        other => OpenError::Final(other),
    })?;
    owner::check(name, segment.uid, trusted)?;
    let Some(control) = segment.control() else {
        let expected = "at least 128 bytes of control block".to_owned();
        let error =
            Error::Corrupt { name: name.to_owned(), field: "segment size", value: segment.size, expected };
        return Err(if segment.size == 0 { OpenError::Making(error) } else { OpenError::Final(error) });
    };
    let control = ControlSnapshot::from_bytes(&control);
    if control.oieb_size == 0 {
        return Err(OpenError::Making(not_ready("its reader is still initialising it")));
    }
    let geometry = control.geometry(name, segment.size)?;
    let path = sys::shm_path(name);
    let presence = match segment.presence() {
        Err(error) if is_shortage(&error) => {
            return Err(OpenError::Final(Error::os("open the presence lock of", path, error)));
        }
        presence => presence
            .inspect_err(
                |error| log::warn!(target: "zerobuffer::writer", "no presence lock on {path}: {error}"),
            )
            .ok(),
    };
    let held = presence.as_ref().and_then(|presence| presence.is_held(Role::Reader).ok());
    let level = match &presence {
        Some(presence) if held == Some(true) => presence.level(Role::Reader).unwrap_or(0),
        _ => 0,
    };
    let reader = Facts {
        pid: control.reader_pid,
        process: Process::of(control.reader_pid),
        known: if segment.is_marked() { KnownBy::Mark } else { KnownBy::Nothing },
        held,
        level,
        still_for: NEVER_SEEN,
    };
    match reader.reader().reason() {
        None => {}
        Some(Reason::Closed | Reason::Closing) => {
            return Err(OpenError::Absent(not_ready("its reader has closed it")));
        }
        Some(_) => {
            let reason = "its reader is dead; start a new one, which takes the name over";
            return Err(OpenError::Absent(not_ready(reason)));
        }
    }
    let semaphore = |signal| {
        segment.semaphore(name, signal).map_err(|error| match error {
            Error::Os { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                OpenError::Making(not_ready("one of its semaphores does not exist"))
            }
            other => OpenError::Final(other),
        })
    };
    let data = semaphore(Signal::Data)?;
    let space = semaphore(Signal::Space)?;
    // With a reader that keeps account in a native block.
    let peer = Peer::of_level(level);
    let geometry =
        if peer.has_native_form() { geometry.with_native_block(name, segment.size)? } else { geometry };
    let mapping = segment.map(geometry.segment()).map_err(|e| Error::os("map", path, e))?;
    let region = Region::new(mapping, geometry).ok_or_else(|| not_ready("its mapping is too small"))?;
    Ok(Opened { region, data, space, presence, reader_pid: control.reader_pid, peer })
}

/// Takes the writer's role, waiting for a predecessor's end while there is patience. On failure
/// every lock is dropped with `opened`, and nothing is left behind.
fn register(
    name: &str,
    opened: Opened,
    patience: &mut Patience<'_>,
    whole_ring: bool,
) -> Result<(WriterShared, Producer)> {
    let Opened { region, data, space, presence, reader_pid, peer } = opened;
    let own_pid = process::own_pid();
    let locks = presence.as_ref();
    let refused = || Error::WriterAlreadyConnected {
        name: name.to_owned(),
        pid: region.load(Word::WriterPid, Ordering::Relaxed),
    };
    let claimed = hold(locks, Role::Claim).ok_or_else(refused)?;
    let native = peer.repairs().then_some(&data);
    let locked = claim(name, &region, locks, native, patience)?.ok_or_else(refused)?;

    let registration = Registration { region: &region, data: &data, own_pid };
    let replaced =
        locks.is_some_and(Presence::is_unlinked) || region.load(Word::ReaderPid, Ordering::SeqCst) == 0;
    if replaced {
        return Err(Error::NotReady { name: name.to_owned(), reason: "its reader has just closed it" });
    }
    let free_sequences = peer.free_sequences();
    let native = locked && peer.has_native_form();
    let attach = Attach { own_pid, native, free_sequences, whole_ring };
    let producer = Producer::attach(&region, attach).map_err(|fault| fault.on(name))?;
    let sequence = producer.next_sequence();
    // Nothing fails from here on.
    std::mem::forget(registration);
    if free_sequences {
        metadata::remove(&region);
    }
    if !peer.is_native() {
        let posted = tokens::post_missing(&region, &data);
        if posted > 0 {
            log::warn!(target: "zerobuffer::writer", "buffer '{name}': a writer died before it announced {posted} of its frames to the reader; announced now");
        }
    }
    drop(claimed);
    if peer.ignores_surplus_tokens() {
        // A reader that waits for a writer looks up at once; to all others the token means nothing.
        data.post();
    }
    log::info!(target: "zerobuffer::writer", "attached to buffer '{name}' of reader {reader_pid}, next sequence {sequence}");
    let link = Link::new(Role::Writer, name, region, [data, space], presence);
    let shared = WriterShared {
        link,
        reader_pid,
        peer,
        replaced_by: AtomicU64::new(0),
        warned: AtomicBool::new(false),
        #[cfg(feature = "async")]
        seen: crate::link::reactor::Seen::new(),
    };
    Ok((shared, producer))
}

/// Takes the registration back if the attach fails after it.
struct Registration<'a> {
    region: &'a Region,
    data: &'a Semaphore,
    own_pid: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.region.exchange(Word::WriterPid, self.own_pid, 0);
        self.data.forget_writer();
    }
}

/// Registers our pid, and says whether the presence byte is really locked. `Ok(None)`: a live
/// writer is there.
///
/// With a native reader a crashed predecessor's entry is removed by that reader alone, which
/// repairs the ring first (W10). A tombstone asks it to, and this waits for it. `data` is that
/// reader's semaphore; `None`: it is a legacy one.
fn claim(
    name: &str,
    region: &Region,
    locks: Option<&Presence>,
    data: Option<&Semaphore>,
    patience: &mut Patience<'_>,
) -> Result<Option<bool>> {
    let own_pid = process::own_pid();
    let native_reader = data.is_some();
    // Asked while holding the byte, which a native writer would hold.
    let is_stale = |pid| {
        let is_noted = data.is_some_and(|data| data.noted_writer() == pid);
        let known = if is_noted { KnownBy::Note } else { KnownBy::Nothing };
        let (process, held) = (Process::of(pid), locks.map(|_| false));
        Facts { pid, process, known, held, level: 0, still_for: NEVER_SEEN }.writer().is_gone()
    };
    let started = Instant::now();
    loop {
        let Some(held) = hold(locks, Role::Writer) else { return Ok(None) };
        // With the byte held: a registered native writer is dead, an old one is judged by its pid.
        let pid = region.load(Word::WriterPid, order(End::E8Acquire, Ordering::SeqCst));
        let stale = pid != 0 && is_stale(pid);
        let vacant = pid == 0 || (!native_reader && stale);
        // With the byte held, whose last holder has let go of both; before the registration, so who
        // sees that sees the level.
        if vacant && announced(name, locks) {
            // Edge E8, acquire end: positions and `free` are read after this. First the note: a
            // reader that sees the number knows whose it is, even if it looks after our death.
            // Where the locks do not work, a note would make a living writer look dead.
            if let Some(data) = data.filter(|_| held.is_locked()) {
                data.note_writer(own_pid);
            }
            if region.exchange_as(Word::WriterPid, pid, own_pid, order(End::E8Acquire, Ordering::SeqCst)) {
                let locked = held.is_locked();
                held.keep();
                return Ok(Some(locked));
            }
            if let Some(data) = data {
                data.forget_writer();
            }
        } else if !vacant && stale {
            region.exchange(Word::WriterPid, pid, TOMBSTONE);
        } else if !vacant && !native_reader {
            return Ok(None);
        }
        drop(held);
        // A token without a frame: to a legacy reader, or beside a live legacy writer, it would
        // announce one.
        if let Some(data) = data.filter(|_| stale) {
            data.post();
        }
        // The reader that would repair the ring is gone: the next one makes another buffer.
        if native_reader && !vacant && has_lost_reader(region, locks) {
            return Err(Error::NotReady {
                name: name.to_owned(),
                reason: "its reader is dead or has closed it; start a new one, which takes the name over",
            });
        }
        if patience.pause(Duration::from_millis(1), started + REPAIR_GRACE).is_break() {
            return if stale && !vacant {
                Err(Error::CrashNotNoticed { name: name.to_owned(), waited: started.elapsed() })
            } else {
                Ok(None)
            };
        }
    }
}

/// Whether a reader that held its presence byte holds it no more.
fn has_lost_reader(region: &Region, locks: Option<&Presence>) -> bool {
    region.load(Word::ReaderPid, Ordering::SeqCst) == 0
        || locks.is_some_and(|presence| presence.is_held(Role::Reader).is_ok_and(|held| !held))
}

/// Announces the level of this writer. `false`: another one's is still there.
fn announced(name: &str, locks: Option<&Presence>) -> bool {
    let Some(presence) = locks else { return true };
    presence.announce(Role::Writer, capability::WRITER).unwrap_or_else(|error| {
        log::warn!(target: "zerobuffer::writer", "buffer '{name}': presence locks do not work here ({error})");
        true
    })
}

/// Takes a role, waiting for a judge that holds it for an instant. Where presence does not work
/// there is nothing to take.
fn hold(locks: Option<&Presence>, role: Role) -> Option<Held<'_>> {
    let started = Instant::now();
    loop {
        match Held::take(locks, role) {
            Ok(None) if started.elapsed() < JUDGING => sleep(Duration::from_millis(1)),
            Ok(held) => return held,
            Err(_) => return Some(Held::nothing(role)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BufferConfig, Reader, Writer, layout::NativeWord};

    #[test]
    fn what_the_connect_time_out_has_spent_on_the_reader_is_spent() {
        let name = crate::testing::name("attach-left");
        let _reader = Reader::create(&name, BufferConfig::ring(256).metadata(64)).unwrap();
        let Ok(opened) = open(&name, Owner::Trusted) else { panic!("it does not open") };
        // A dead writer, whose reader does not read.
        opened.region.store(Word::WriterPid, TOMBSTONE, Ordering::SeqCst);
        let patience = Duration::from_secs(30);
        let failed = register(&name, opened, &mut Patience::at_most(Duration::ZERO), false);
        let Err(error) = failed else { panic!("attached beside a crashed writer") };
        assert_eq!(error.kind(), crate::ErrorKind::NotReady);
        assert!(matches!(error, Error::CrashNotNoticed { waited, .. } if waited < patience), "{error}");
    }

    /// The next reader makes another buffer, which may come any time: nothing is waited for here.
    #[test]
    fn a_crash_is_not_waited_for_beside_a_reader_that_has_gone() {
        let name = crate::testing::name("attach-both");
        let reader = Reader::create(&name, BufferConfig::ring(256).metadata(64)).unwrap();
        let Ok(opened) = open(&name, Owner::Trusted) else { panic!("it does not open") };
        opened.region.store(Word::WriterPid, TOMBSTONE, Ordering::SeqCst);
        drop(reader);
        // With a reader that is there it would be waited for, and then be `CrashNotNoticed`.
        let failed = register(&name, opened, &mut Patience::at_most(Duration::from_secs(10)), false);
        assert!(matches!(failed, Err(Error::NotReady { .. })), "{:?}", failed.err());
    }

    /// W7: what fails last fails before the predecessor's metadata are removed.
    #[test]
    fn an_attach_that_fails_leaves_no_trace() {
        let name = crate::testing::name("attach-trace");
        let _reader =
            Reader::create(&name, BufferConfig::ring(256).metadata(64).free_sequences(true)).unwrap();
        let mut first = Writer::connect(&name).unwrap();
        first.set_metadata(b"mine").unwrap();
        first.close().unwrap();
        let Ok(Opened { region, .. }) = open(&name, Owner::Trusted) else { panic!("it does not open") };
        let all = [
            Word::MetadataFree,
            Word::MetadataWritten,
            Word::PayloadFree,
            Word::WritePos,
            Word::WrittenCount,
            Word::WriterPid,
        ];
        let words = || all.map(|word| region.load(word, Ordering::SeqCst));
        region.native_store(NativeWord::CREDITED, 257, Ordering::SeqCst);
        let before = words();
        assert!(matches!(Writer::connect(&name), Err(Error::Corrupt { field: "published", .. })));
        assert_eq!(words(), before);
        region.native_store(NativeWord::CREDITED, 0, Ordering::SeqCst);
        let _second = Writer::connect(&name).unwrap();
        assert_eq!(region.load(Word::MetadataWritten, Ordering::SeqCst), 0, "the predecessor's metadata");
    }
}
