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
        Created, Removal, Request, Role, Signal, Verdict,
        blocked::{Blocked, retried},
        takeover::{self, Facts, Hold, Site, take_over},
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

/// How long a reader that is just closing may hold the lock files.
const LOCKED: Duration = Duration::from_millis(100);
/// The time for a process that has a dead reader's objects open to let go of them.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Creates the buffer. It has its name from the beginning, and is no buffer to anybody until its
/// first word is stored.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    retried(|| publish(request))
}

fn publish(request: &Request<'_>) -> Result<Created, Blocked> {
    let name = request.name;
    let space = Namespace::of(request.global);
    let locks = lock_name(name)?;
    // The maker of the section has the name, until the last handle is closed.
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
        Locks::Unknown { path, error } => {
            Err(Blocked { error: Error::os("open", path.display().to_string(), error), patience: LOCKED })
        }
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
    Error::NotABuffer { name: name.to_owned(), object: name.to_owned() }
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
    /// Names live as long as their handles here.
    #[allow(clippy::unused_self, reason = "as on the other systems")]
    pub(crate) fn first_lost(&self) -> Option<String> {
        None
    }

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

/// Judges a segment by its reader (W8): by its presence where the segment is marked, else by the
/// pid.
pub(crate) fn assess(segment: &Segment) -> Verdict {
    takeover::decide(&facts(segment, segment.is_held(Role::Reader).ok()))
}

fn facts(segment: &Segment, held: Option<bool>) -> Facts {
    let control = segment.control().map(|bytes| ControlSnapshot::from_bytes(&bytes));
    Facts {
        control,
        // A section has a size from the beginning; one that is too short is no buffer.
        size: segment.size.max(1),
        marked: segment.is_marked(),
        held,
        // Its maker keeps a section that is not initialised; without one there is none.
        young: control.is_none_or(|control| control.oieb_size == 0),
        // A closed reader's notes and semaphores go with it. Its section stays as long as somebody
        // looks at it, and is only waited for.
        companions: segment.has_companions() || control.is_some_and(|control| control.reader_pid == 0),
    }
}

/// A name, under its lock files.
struct Place<'a> {
    space: Namespace,
    name: &'a str,
}

impl Site for Place<'_> {
    type Segment = Segment;
    type Guard = Option<Presence>;

    fn name(&self) -> &str {
        self.name
    }

    fn object(&self) -> String {
        super::shm_path(self.name)
    }

    fn find(&self) -> Result<Option<Segment>> {
        match Segment::open_in(self.space, self.name, true) {
            Ok(segment) => Ok(Some(segment)),
            // It has just gone.
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn hold(&self, segment: &Segment) -> Result<Hold<Self::Guard>> {
        let presence = segment.presence().ok();
        let taken = presence.as_ref().and_then(|presence| presence.try_lock(Role::Reader).ok());
        // A legacy reader has no presence: the holder of its role is another judge.
        let taken = taken.map(|taken| taken || !segment.is_marked());
        Ok(Hold { taken, guard: presence })
    }

    fn facts(&self, segment: &Segment, held: Option<bool>) -> Facts {
        facts(segment, held)
    }

    fn tell_writer(&self, segment: &Segment, pid: u64) {
        tell_writer(self.name, segment, pid);
    }

    /// Nothing gives the name free but the last handle, which is in another process.
    fn remove(&self, _: Segment) -> Result<bool, Blocked> {
        let reason =
            "its reader is gone, and another process still has it open and keeps the name: close that writer";
        Err(Blocked { error: not_ready(self.name, reason), patience: LETTING_GO })
    }
}

/// Under the lock files: which reader has the name, and for how long it is worth waiting for it.
fn in_the_way(space: Namespace, name: &str) -> Blocked {
    if let Err(blocked) = take_over(&Place { space, name }) {
        blocked
    } else {
        let error = not_ready(name, "what had its name has just gone");
        Blocked { error, patience: LETTING_GO }
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

/// Tells who has a dead buffer open to let go of it, and removes lock files that nobody holds;
/// returns what is gone (`zerobuffer clean`).
///
/// Nothing is removed that somebody has open, so there is nothing to force.
pub(crate) fn remove_dead(name: &str, removal: Removal) -> Result<Vec<PathBuf>> {
    let before = super::objects(name, removal.uid).paths;
    retried(|| {
        let _locks = lock_name(name)?;
        Namespace::ALL.iter().try_for_each(|&space| {
            match object::open_section(&space.segment(name), FILE_MAP_READ) {
                Ok(_) => Err(in_the_way(space, name)),
                Err(_) => Ok(()),
            }
        })
    })?;
    let after = super::objects(name, removal.uid).paths;
    Ok(before.into_iter().filter(|path| !after.contains(path)).collect())
}
