//! Making and taking over a buffer's names (W6, W12).

use super::{
    Mapping, Presence, Segment, Semaphore,
    lock_file::{self, Locks},
    names::Namespace,
    notes::Notes,
    object,
    presence::Key,
    segment::is_not_found,
};
use crate::{
    crash,
    error::{Error, Result},
    layout::{CONTROL_SIZE, ControlSnapshot, Geometry, Word},
    memory::{Memory, Region},
    sync::Ordering,
    sys::{
        Created, Request, Role, Signal, Verdict,
        blocked::{Blocked, retried},
        lives_by_pid,
    },
};
use std::{
    fs::File, io, mem, os::windows::io::OwnedHandle, path::PathBuf, ptr, sync::atomic::AtomicU64,
    time::Duration,
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_COMMITMENT_LIMIT, ERROR_DISK_FULL, ERROR_INVALID_PARAMETER, ERROR_NO_SYSTEM_RESOURCES,
        ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_PAGEFILE_QUOTA,
    },
    System::{
        Memory::FILE_MAP_READ,
        SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX},
    },
};

/// How long a segment that somebody is making is left alone.
const YOUNG: Duration = Duration::from_secs(2);
/// How long a judge waits for another judge to let go of a role.
const JUDGING: Duration = Duration::from_millis(20);
/// How long a reader that is just closing may hold the lock files.
const LOCKED: Duration = Duration::from_millis(100);
/// How long whoever has a dead reader's objects open is given to let go of them.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Creates the buffer. It has its name from the beginning, and is no buffer to anybody until its first word is stored.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    retried(|| publish(request))
}

fn publish(request: &Request<'_>) -> Result<Created, Blocked> {
    let name = request.name;
    let space = Namespace::of(request.global);
    let locks = lock_name(name)?;
    // Who makes the section has the name, until the last handle is closed.
    let section = make_segment(space, name, request.size)?;
    let mapping = Mapping::new(&section, request.size).map_err(|error| {
        if is_lack_of_memory(&error) {
            return no_space(name, request.size);
        }
        Error::os("map", space.segment(name), error)
    })?;
    let Some((notes, notes_section)) = Notes::make(space, name)? else {
        let reason = "what its dead reader left is still open in another process";
        return Err(Blocked { error: not_ready(name, reason), patience: LETTING_GO });
    };
    let key = Key::new(space, name, Some(&notes));
    let presence = presence_of(key, request.level);
    let data = Semaphore::make(space, name, Signal::Data, Some(notes.clone()))?;
    let space_semaphore = Semaphore::make(space, name, Signal::Space, Some(notes))?;
    if request.prefault {
        mapping.populate();
    }
    put_control(&mapping, request.control);
    let names = NameGuard { owned: vec![section, notes_section], locks };
    Ok(Created { mapping, data, space: space_semaphore, presence, names })
}

/// Takes the lock files of a name.
fn lock_name(name: &str) -> Result<Vec<File>, Blocked> {
    match lock_file::acquire(name) {
        Locks::Held(locks) => Ok(locks),
        Locks::Busy => Err(Blocked { error: already_connected(name), patience: LOCKED }),
    }
}

/// Names the process that the present segment records; 0 if there is none.
fn already_connected(name: &str) -> Error {
    let control = Segment::open_read_only(name).ok().and_then(|segment| segment.control());
    let pid = control.map_or(0, |bytes| ControlSnapshot::from_bytes(&bytes).reader_pid);
    Error::ReaderAlreadyConnected { name: name.to_owned(), pid }
}

fn not_ready(name: &str, reason: &'static str) -> Error {
    Error::NotReady { name: name.to_owned(), reason }
}

/// The section under its name, zeroed and committed.
fn make_segment(space: Namespace, name: &str, size: u64) -> Result<OwnedHandle, Blocked> {
    let path = space.segment(name);
    let made = crash::around(|| object::make_section(&path, size));
    let exists = |space| match object::open_section(&path, FILE_MAP_READ) {
        Err(error) => !(object::is_absent(&error) && space == Namespace::Machine),
        Ok(_) => true,
    };
    match made {
        Ok(named) if !named.existed => Ok(named.handle),
        Ok(_) => Err(in_the_way(space, name)),
        Err(error) if is_lack_of_memory(&error) => Err(no_space(name, size).into()),
        Err(error) if object::is_other_kind(&error) => Err(foreign(name).into()),
        Err(error) if object::is_denied(&error) && !exists(space) => {
            Err(Error::NoPrivilege { name: name.to_owned(), privilege: "SeCreateGlobalPrivilege" }.into())
        }
        Err(error) => Err(Error::os("create", path, error).into()),
    }
}

fn no_space(name: &str, needed: u64) -> Error {
    Error::NoSpace { name: name.to_owned(), needed, available: available() }
}

fn foreign(name: &str) -> Error {
    not_ready(name, "an object of that name exists and is no buffer; choose another name")
}

fn is_lack_of_memory(error: &io::Error) -> bool {
    let codes = [
        ERROR_COMMITMENT_LIMIT,
        ERROR_DISK_FULL,
        // A size beyond what any section can have.
        ERROR_INVALID_PARAMETER,
        ERROR_NO_SYSTEM_RESOURCES,
        ERROR_NOT_ENOUGH_MEMORY,
        ERROR_OUTOFMEMORY,
        ERROR_PAGEFILE_QUOTA,
    ];
    error.raw_os_error().is_some_and(|code| codes.contains(&code.cast_unsigned()))
}

/// Bytes that may still be committed.
fn available() -> u64 {
    // SAFETY: a structure that is zeroed but for its length is a valid out-parameter.
    unsafe {
        let mut status: MEMORYSTATUSEX = mem::zeroed();
        status.dwLength = size_of::<MEMORYSTATUSEX>() as u32;
        if GlobalMemoryStatusEx(&raw mut status) == 0 { 0 } else { status.ullAvailPageFile }
    }
}

/// The reader's presence; `None`, with one warning, where it does not work (W8).
fn presence_of(key: Key, level: u8) -> Option<Presence> {
    let presence = Presence::new(key);
    let locked = presence.try_lock(Role::Reader).and_then(|locked| {
        presence.announce(Role::Reader, level)?;
        Ok(locked)
    });
    match locked {
        Ok(true) => Some(presence),
        Ok(false) => None,
        Err(error) => {
            log::warn!(target: "zerobuffer::reader", "presence does not work here ({error}): peers judge this process by its pid");
            None
        }
    }
}

/// Stores the control block, and its first word last: without it a segment is still being made.
fn put_control(mapping: &Mapping, control: &[u8; CONTROL_SIZE as usize]) {
    let (first, rest) = control.split_at(8);
    let word = first.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte));
    let base = mapping.base().as_ptr();
    // SAFETY: the mapping has at least a control block, and nobody else uses this one yet.
    crash::around(|| unsafe { ptr::copy_nonoverlapping(rest.as_ptr(), base.add(8), rest.len()) });
    // SAFETY: as above; the word is aligned, and others read it after it was stored.
    crash::around(|| unsafe { AtomicU64::from_ptr(base.cast()) }.store(word, Ordering::SeqCst));
}

/// The names of a buffer, given up on drop.
#[derive(Debug)]
pub(crate) struct NameGuard {
    /// The handles that keep the names of the segment and of its notes.
    owned: Vec<OwnedHandle>,
    locks: Vec<File>,
}

impl NameGuard {
    /// Gives the names up, the segment's first, the lock files last. Memory that is mapped stays.
    #[allow(clippy::unnecessary_wraps, reason = "removing a file can fail on other systems")]
    pub(crate) fn remove(&mut self) -> Result<()> {
        self.owned.drain(..).for_each(|handle| crash::around(|| drop(handle)));
        self.locks.drain(..).for_each(|file| crash::around(|| drop(file)));
        Ok(())
    }
}

impl Drop for NameGuard {
    fn drop(&mut self) {
        // Closing handles does not fail.
        let _ = self.remove();
    }
}

/// Judges a segment by its reader (W8): by its presence where the segment is marked, else by the pid.
pub(crate) fn judge(segment: &Segment) -> Verdict {
    judge_given(segment, segment.is_held(Role::Reader).ok())
}

/// `held`: whether somebody other than the judge is present as the reader; `None` where the judge cannot ask.
fn judge_given(segment: &Segment, held: Option<bool>) -> Verdict {
    let control = segment.control().map(|bytes| ControlSnapshot::from_bytes(&bytes));
    let Some(control) = control else { return Verdict::Foreign };
    let pid = control.reader_pid;
    match control.oieb_size {
        // Its maker keeps it; without one there is no segment.
        0 => Verdict::Young,
        128 if segment.is_marked() && held == Some(true) => Verdict::Alive { pid },
        128 if segment.is_marked() && held == Some(false) => {
            Verdict::Dead { pid, reason: "its reader died (not present)" }
        }
        128 if lives_by_pid(pid, held) => Verdict::Alive { pid },
        128 if control.geometry("", segment.size).is_err() => Verdict::Foreign,
        128 if pid == 0 => Verdict::Dead { pid, reason: "its reader closed it" },
        128 => Verdict::Dead { pid, reason: "its reader died (no such process)" },
        _ => Verdict::Foreign,
    }
}

/// Under the lock files: who has the name, and for how long it is worth waiting for it. A dead reader's is in use by
/// somebody who is told to let go.
fn in_the_way(space: Namespace, name: &str) -> Blocked {
    let segment = match Segment::open_in(space, name, true) {
        Ok(segment) => segment,
        // It has just gone.
        Err(error) if is_not_found(&error) => return Blocked { error, patience: LETTING_GO },
        Err(error) => return error.into(),
    };
    // Death is judged while holding the reader's role; another judge holds it for an instant only.
    let presence = segment.presence().ok();
    let locked = presence.as_ref().and_then(|presence| presence.try_lock(Role::Reader).ok());
    if locked == Some(false) && segment.is_marked() {
        return Blocked { error: already_connected(name), patience: JUDGING };
    }
    match judge_given(&segment, locked.map(|_| false)) {
        Verdict::Alive { pid } => Error::ReaderAlreadyConnected { name: name.to_owned(), pid }.into(),
        Verdict::Foreign => foreign(name).into(),
        Verdict::Young => {
            let reason = "another process is creating it and does not finish";
            Blocked { error: not_ready(name, reason), patience: YOUNG }
        }
        Verdict::Dead { pid, reason } => {
            log::info!(target: "zerobuffer::reader", "waiting for buffer '{name}' of process {pid} to be let go of: {reason}");
            tell_writer(name, &segment, pid);
            let reason = "its reader is gone, and another process still has it open and keeps the name: close that writer";
            Blocked { error: not_ready(name, reason), patience: LETTING_GO }
        }
    }
}

/// A writer that is still attached to a dead reader's segment sees "no reader" at once.
fn tell_writer(name: &str, segment: &Segment, pid: u64) {
    let control = segment.control().map(|bytes| ControlSnapshot::from_bytes(&bytes));
    let geometry: Option<Geometry> = control.and_then(|control| control.geometry(name, segment.size).ok());
    let mapped = geometry.and_then(|geometry| {
        let mapping = segment.map(geometry.segment()).ok()?;
        Region::new(mapping, geometry)
    });
    if let Some(region) = mapped {
        region.exchange(Word::ReaderPid, pid, 0);
    }
    if let Ok(space) = segment.semaphore(name, Signal::Space) {
        space.post();
    }
}

/// Tells who has a dead buffer open to let go of it, and removes lock files that nobody holds; returns what is gone
/// (`zerobuffer clean`).
pub(crate) fn remove_dead(name: &str) -> Result<Vec<PathBuf>> {
    let before = super::objects(name).paths;
    retried(|| {
        let _locks = lock_name(name)?;
        Namespace::ALL.iter().try_for_each(|&space| {
            match object::open_section(&space.segment(name), FILE_MAP_READ) {
                Ok(_) => Err(in_the_way(space, name)),
                Err(_) => Ok(()),
            }
        })
    })?;
    let after = super::objects(name).paths;
    Ok(before.into_iter().filter(|path| !after.contains(path)).collect())
}
