//! Making, taking over and removing a buffer's names (W6, W12).
//!
//! Shared memory has no unnamed form here. It gets its name under the lock of the folder, with the
//! lock file held before it and both semaphores made. A writer can meet a block in between whose
//! first field is 0, which says "wait". A crash in between leaves such a block, whose lock file
//! nobody holds. The next reader of the name takes it for dead.

use super::{
    lock_file::{self, LockFile, ensure_folder},
    names, observe,
    semaphore::Semaphore,
    shm::{self, Segment},
};
use crate::{
    error::{Error, Result},
    layout::ControlSnapshot,
    sys::{
        Created, Removal, Request, Role, Signal, Verdict,
        blocked::{Blocked, retried},
        takeover::{self, Facts, Hold, Site, take_over},
        unix::{FileId, Folder, Mapping, directory::DirectoryLock, fork::Birth, refuse_early},
    },
};
use std::{io, path::PathBuf, sync::Arc, time::Duration};

/// How long a reader that is just closing, or another judge, may hold the lock file.
const LOCKED: Duration = Duration::from_millis(100);
/// Mode of a lock file that is made for cleaning only.
const PRIVATE: u32 = 0o600;
/// Marks the memory of a reader that holds presence locks.
const STICKY: u32 = 0o1000;

/// Creates the buffer.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    let folder = ensure_folder()?;
    let seen = Segment::open_read_only(request.name).map(|segment| assess(&segment));
    refuse_early(request.name, &seen)?;
    // What blocks the name for a moment is waited for without holding the lock that everybody
    // needs.
    retried(|| publish(request, &folder))
}

/// Makes everything, under the locks that exclude all other creators.
fn publish(request: &Request<'_>, folder: &Arc<Folder>) -> Result<Created, Blocked> {
    let &Request { name, mode, size, .. } = request;
    let directory = DirectoryLock::acquire(folder)?;
    let (lock, was_taken_over) = take_name(folder, name, mode)?;
    // Only then semaphores of this name are known to be a dead reader's.
    let is_left = was_taken_over || lock.found_of.is_some();
    let Some(lock) = lock.renew(name, mode)? else { return Err(busy(name)) };
    let id = lock.id;
    // From here on the guard removes, on any failure, what has been made.
    let mut names = NameGuard {
        name: name.to_owned(),
        folder: Arc::clone(folder),
        owned: Vec::new(),
        lock: Some(id),
        directory: Some(directory),
        birth: Birth::now(),
    };
    lock.presence()
        .announce(Role::Reader, request.level)
        .map_err(|e| Error::os("lock", shm::path(name), e))?;
    let data = names.make_semaphore(Signal::Data, mode, is_left)?;
    let space = names.make_semaphore(Signal::Space, mode, is_left)?;
    let Some(file) = shm::create(name, mode | STICKY)? else {
        let reason = "other processes keep creating or removing objects of that name";
        return Err(Error::NotReady { name: name.to_owned(), reason }.into());
    };
    names.owned.push(Object::Segment);
    shm::set_size(&file, name, size)?;
    let mapping = Mapping::new(&file, size).map_err(|e| Error::os("map", shm::path(name), e))?;
    if request.prefault {
        mapping.populate();
    }
    shm::initialise(&mapping, request.control);
    names.directory = None;
    Ok(Created { mapping, data, space, presence: Some(lock.into_presence()), names })
}

/// Takes the lock file, then removes a dead reader's segment; `true`: there was one. A lock file
/// that was made for a name which cannot be had goes again.
fn take_name(folder: &Arc<Folder>, name: &str, mode: u32) -> Result<(LockFile, bool), Blocked> {
    let lock = LockFile::acquire(folder, name, mode)?.ok_or_else(|| busy(name))?;
    match take_over(&Place { name, lock: &lock }) {
        Ok(removed) => Ok((lock, removed)),
        Err(blocked) => {
            if lock.found_of.is_none() {
                // The reason is what the caller wants to know.
                let _ = lock.remove(name);
            }
            Err(blocked)
        }
    }
}

/// Another process holds the lock file: names the one that the present segment records; 0 if there
/// is none.
fn busy(name: &str) -> Blocked {
    let control = Segment::open_read_only(name).ok().and_then(|segment| segment.control());
    let pid = control.map_or(0, |bytes| ControlSnapshot::from_bytes(&bytes).reader_pid);
    Blocked { error: Error::ReaderAlreadyConnected { name: name.to_owned(), pid }, patience: LOCKED }
}

/// The names of a buffer. Those that still are this reader's are removed on drop (W6).
#[derive(Debug)]
pub(crate) struct NameGuard {
    name: String,
    /// Where the lock file is.
    folder: Arc<Folder>,
    /// In the order of creation.
    owned: Vec<Object>,
    /// Which lock file is this reader's, until it is removed; the endpoint's presence holds it.
    lock: Option<FileId>,
    /// While the names are being made; a failure removes them under this same lock.
    directory: Option<DirectoryLock>,
    birth: Birth,
}

#[derive(Debug)]
enum Object {
    Semaphore(Signal),
    Segment,
}

impl NameGuard {
    /// Makes a fresh semaphore, in the place of the one that a dead reader has left.
    fn make_semaphore(&mut self, signal: Signal, mode: u32, is_left: bool) -> Result<Semaphore> {
        if is_left {
            Semaphore::unlink(&self.name, signal)?;
        }
        let object = names::semaphore(&self.name, signal);
        let semaphore = Semaphore::create(&self.name, signal, mode).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::NotABuffer { name: self.name.clone(), object },
            _ => Error::os("create", object, error),
        })?;
        self.owned.push(Object::Semaphore(signal));
        Ok(semaphore)
    }

    /// A name that no longer is this reader's. Objects without an identity are known by the lock
    /// file alone.
    pub(crate) fn first_lost(&self) -> Option<String> {
        let named = lock_file::id(&self.name);
        (self.lock.is_some() && named != self.lock)
            .then(|| names::lock_file(&self.name).display().to_string())
    }

    /// Removes what still is this reader's: the segment, the semaphores, then the lock file while
    /// it is held.
    pub(crate) fn remove(&mut self) -> Result<()> {
        if self.birth.is_forked() {
            (self.owned, self.lock) = (Vec::new(), None);
            return Ok(());
        }
        // A close waits for nobody: while the lock file is held nobody takes the name.
        let _directory = self.directory.take().or_else(|| DirectoryLock::try_acquire(&self.folder));
        let file = names::lock_file_name(&self.name);
        let named = self.folder.id(&file);
        // Objects have no identity of their own. They are this reader's unless another reader has a
        // lock file in its place.
        if named.is_some() && named != self.lock {
            (self.owned, self.lock) = (Vec::new(), None);
            return Ok(());
        }
        let mut result = Ok(());
        while let Some(object) = self.owned.pop() {
            let removed = match object {
                Object::Segment => shm::unlink(&self.name),
                Object::Semaphore(signal) => Semaphore::unlink(&self.name, signal),
            };
            result = result.and(removed.map(drop));
        }
        if let Some(id) = self.lock.take() {
            // Nothing can be done about a failure, and the file is harmless without its lock.
            let _ = self.folder.unlink_if(&file, id);
        }
        result
    }
}

impl Drop for NameGuard {
    fn drop(&mut self) {
        if !self.owned.is_empty() || self.lock.is_some() {
            // `Reader::close` reports failures; a dropped endpoint has nobody to tell.
            let _ = self.remove();
        }
    }
}

/// A name under the lock of the folder, with its lock file held.
struct Place<'a> {
    name: &'a str,
    lock: &'a LockFile,
}

/// Judges a segment by its reader, for observers.
pub(crate) fn assess(segment: &Segment) -> Verdict {
    let (held, companions) = (segment.is_held(Role::Reader).ok(), segment.has_companions());
    takeover::decide(&Facts { held, companions, ..segment.facts() })
}

impl Site for Place<'_> {
    type Segment = Segment;
    type Guard = ();

    fn name(&self) -> &str {
        self.name
    }

    fn object(&self) -> String {
        shm::path(self.name)
    }

    fn find(&self) -> Result<Option<Segment>> {
        match Segment::open(self.name) {
            Ok(segment) => Ok(Some(segment)),
            Err(Error::Os { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The lock file bears the role. One that had to be made tells nothing of the reader whose own
    /// was removed.
    fn hold(&self, _: &Segment) -> Result<Hold<()>> {
        Ok(Hold { taken: self.lock.found_of.map(|_| true), guard: () })
    }

    fn facts(&self, segment: &Segment, held: Option<bool>) -> Facts {
        let companions = self.lock.found_of == Some(segment.uid) || Semaphore::both_exist(self.name);
        Facts { held, companions, ..segment.facts() }
    }

    fn tell_writer(&self, segment: &Segment, _: u64) {
        if segment.control().is_some() {
            let _ = segment.forget_reader();
        }
        if let Ok(space) = Semaphore::open(self.name, Signal::Space) {
            space.post();
        }
    }

    fn remove(&self, _: Segment) -> Result<bool, Blocked> {
        Ok(shm::unlink(self.name)?)
    }
}

/// Removes everything of a dead buffer, judged again under the locks; returns what was removed
/// (`zerobuffer clean`).
pub(crate) fn remove_dead(name: &str, removal: Removal) -> Result<Vec<PathBuf>> {
    // One that is not marked was made by nobody that could run here: its lock file is asked as
    // everywhere.
    let is_others = observe::owners(name).iter().any(|uid| *uid != removal.uid);
    if is_others {
        return Err(Error::PermissionDenied { object: shm::path(name), operation: "remove another user's" });
    }
    if let Ok(segment) = Segment::open_read_only(name)
        && !(segment.is_marked() || removal.forced || observe::has_lock_file(name))
    {
        return Err(Error::NotReady { name: name.to_owned(), reason: Removal::UNPROVEN });
    }
    let folder = ensure_folder()?;
    let _directory = DirectoryLock::acquire(&folder)?;
    let (lock, was_segment) = take_name(&folder, name, PRIVATE).map_err(|blocked| blocked.error)?;
    let mut removed = Vec::new();
    if was_segment {
        removed.push(observe::segment(name));
    }
    // A lock file or a segment of that name shows whose the semaphores were.
    let is_known = was_segment || lock.found_of.is_some();
    for signal in [Signal::Data, Signal::Space] {
        if is_known && Semaphore::unlink(name, signal)? {
            removed.push(observe::semaphore(name, signal));
        }
    }
    let was_there = lock.found_of.is_some();
    if lock.remove(name)? && was_there {
        removed.push(names::lock_file(name));
    }
    Ok(removed)
}
