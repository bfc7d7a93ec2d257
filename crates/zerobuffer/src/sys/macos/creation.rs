//! Making, taking over and removing a buffer's names (W6, W12).
//!
//! Shared memory has no unnamed form here: it has its name from the beginning, under the lock of the folder, with the
//! lock file held before it and both semaphores made. What a writer can meet in between is a block whose first field is
//! 0, which says "wait"; what a crash in between leaves is such a block, whose lock file nobody holds, and which the
//! next reader of the name takes for dead.

use super::{
    lock_file::{LockFile, ensure_folder},
    names, observe,
    semaphore::Semaphore,
    shm::{self, Segment},
};
use crate::{
    error::{Error, Result},
    layout::ControlSnapshot,
    sys::{
        Created, Request, Role, Signal, Verdict,
        blocked::{Blocked, retried},
        unix::{
            FileId, Mapping, YOUNG, directory::DirectoryLock, fork::Birth, judge_given, refuse_early,
            unlink_if,
        },
    },
};
use std::{io, path::PathBuf, time::Duration};

/// How long a reader that is just closing, or another judge, may hold the lock file.
const LOCKED: Duration = Duration::from_millis(100);
/// Mode of a lock file that is made for cleaning only.
const PRIVATE: u32 = 0o600;
/// Marks the memory of a reader that holds presence locks.
const STICKY: u32 = 0o1000;

/// Creates the buffer.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    ensure_folder()?;
    refuse_early(request.name)?;
    // What blocks the name for a moment is waited for without holding the lock that everybody needs.
    retried(|| publish(request))
}

/// Makes everything, under the locks that exclude all other creators.
fn publish(request: &Request<'_>) -> Result<Created, Blocked> {
    let &Request { name, mode, size, .. } = request;
    let directory = DirectoryLock::acquire(names::FOLDER)?;
    let (lock, _) = take_name(name, mode)?;
    let Some(lock) = lock.renew(name, mode)? else { return Err(busy(name)) };
    let id = lock.id;
    // From here on the guard removes, on any failure, what has been made.
    let mut names = NameGuard {
        name: name.to_owned(),
        owned: Vec::new(),
        lock: Some(id),
        directory: Some(directory),
        birth: Birth::now(),
    };
    lock.presence()
        .announce(Role::Reader, request.level)
        .map_err(|e| Error::os("lock", shm::path(name), e))?;
    let data = names.make_semaphore(Signal::Data, mode)?;
    let space = names.make_semaphore(Signal::Space, mode)?;
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

/// Takes the lock file, then removes a dead reader's segment; `true`: there was one. A lock file that was made for a name
/// which cannot be had goes again.
fn take_name(name: &str, mode: u32) -> Result<(LockFile, bool), Blocked> {
    let lock = LockFile::acquire(name, mode)?.ok_or_else(|| busy(name))?;
    match remove_dead_segment(name, &lock) {
        Ok(removed) => Ok((lock, removed)),
        Err(blocked) => {
            if lock.is_new {
                // The reason is what the caller wants to know.
                let _ = lock.remove(name);
            }
            Err(blocked)
        }
    }
}

/// Another process holds the lock file: names the one that the present segment records; 0 if there is none.
fn busy(name: &str) -> Blocked {
    let control = Segment::open_read_only(name).ok().and_then(|segment| segment.control());
    let pid = control.map_or(0, |bytes| ControlSnapshot::from_bytes(&bytes).reader_pid);
    Blocked { error: Error::ReaderAlreadyConnected { name: name.to_owned(), pid }, patience: LOCKED }
}

/// The names of a buffer, removed on drop as far as they still are ours (W6).
#[derive(Debug)]
pub(crate) struct NameGuard {
    name: String,
    /// In the order of creation.
    owned: Vec<Object>,
    /// Which lock file is ours, until it is removed; the endpoint's presence holds it.
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
    /// Makes a fresh semaphore in place of whatever has the name.
    fn make_semaphore(&mut self, signal: Signal, mode: u32) -> Result<Semaphore> {
        Semaphore::unlink(&self.name, signal)?;
        let semaphore = Semaphore::create(&self.name, signal, mode)
            .map_err(|e| Error::os("create", names::semaphore(&self.name, signal), e))?;
        self.owned.push(Object::Semaphore(signal));
        Ok(semaphore)
    }

    /// Removes what still is ours: the segment, the semaphores, then the lock file while it is held.
    pub(crate) fn remove(&mut self) -> Result<()> {
        if self.birth.is_forked() {
            (self.owned, self.lock) = (Vec::new(), None);
            return Ok(());
        }
        // Names are removed even if the lock cannot be had.
        let _directory = self.directory.take().or_else(|| DirectoryLock::acquire(names::FOLDER).ok());
        let path = names::lock_file(&self.name);
        let named = FileId::named(&path);
        // Objects have no identity of their own: they are ours unless another reader has a lock file in our place.
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
            let _ = unlink_if(&path, id);
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

/// Under the lock of the folder and with the lock file held: makes sure that no segment has the name, or says who lives
/// there. `true`: one was removed.
fn remove_dead_segment(name: &str, lock: &LockFile) -> Result<bool, Blocked> {
    let segment = match Segment::open(name) {
        Err(Error::Os { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    // A lock file that had to be made tells nothing of the reader whose own was removed.
    match judge_given(&segment, (!lock.is_new).then_some(false)) {
        Verdict::Alive { pid } => Err(Error::ReaderAlreadyConnected { name: name.to_owned(), pid }.into()),
        Verdict::Foreign => {
            let reason =
                "shared memory of that name exists and is no buffer; remove it or choose another name";
            Err(Error::NotReady { name: name.to_owned(), reason }.into())
        }
        Verdict::Young => {
            let reason = "another process is creating it and does not finish";
            Err(Blocked { error: Error::NotReady { name: name.to_owned(), reason }, patience: 2 * YOUNG })
        }
        Verdict::Dead { pid, reason } => {
            log::info!(target: "zerobuffer::reader", "taking over buffer '{name}' of process {pid}: {reason}");
            // A writer that is still attached sees "no reader" at once.
            if segment.control().is_some() {
                let _ = segment.forget_reader();
            }
            if let Ok(space) = Semaphore::open(name, Signal::Space) {
                space.post();
            }
            Ok(shm::unlink(name)?)
        }
    }
}

/// Removes everything of a dead buffer, judged again under the locks; returns what was removed (`zerobuffer clean`).
pub(crate) fn remove_dead(name: &str) -> Result<Vec<PathBuf>> {
    ensure_folder()?;
    let _directory = DirectoryLock::acquire(names::FOLDER)?;
    let (lock, was_segment) = take_name(name, PRIVATE).map_err(|blocked| blocked.error)?;
    let mut removed = Vec::new();
    if was_segment {
        removed.push(observe::segment(name));
    }
    for signal in [Signal::Data, Signal::Space] {
        if Semaphore::unlink(name, signal)? {
            removed.push(observe::semaphore(name, signal));
        }
    }
    let was_there = !lock.is_new;
    if lock.remove(name)? && was_there {
        removed.push(names::lock_file(name));
    }
    Ok(removed)
}
