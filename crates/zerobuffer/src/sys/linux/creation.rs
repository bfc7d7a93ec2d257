//! Making, taking over and removing a buffer's names (W6, W12).

use super::{
    lock_file::{self, LockFile, Locks},
    names,
    semaphore::{self, Semaphore},
    shm::{self, Segment},
};
use crate::{
    crash,
    error::{Error, Result},
    layout::{ControlSnapshot, Word},
    sys::{
        Created, Request, Role, Signal, Verdict,
        blocked::{Blocked, retried},
        unix::{
            FileId, Mapping, Presence, YOUNG, directory::DirectoryLock, fork::Birth, is_shortage,
            judge_given, refuse_early, unlink_if,
        },
    },
};
use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{FileExt, PermissionsExt},
    path::PathBuf,
    time::Duration,
};

/// How long a judge waits for another judge to let go of a presence byte.
const JUDGING: Duration = Duration::from_millis(20);
/// How long a reader that is just closing may hold the lock files.
const LOCKED: Duration = Duration::from_millis(100);
/// How often lost races are repeated before giving up.
const ATTEMPTS: u32 = 5;

/// Creates the buffer: complete and privately first, its names last.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    let name = request.name;
    let path = shm::path(name);
    refuse_early(name)?;
    let file = shm::unnamed()?;
    shm::reserve(&file, name, request.size)?;
    crash::around(|| file.write_all_at(request.control, 0)).map_err(|e| Error::os("initialise", &path, e))?;
    let presence = presence_of(&file, request.level, &path)?;
    let mark = if presence.is_some() { 0o1000 } else { 0 };
    set_mode(&file, request.mode | mark, &path)?;
    // The presence locks live on a description of their own, so that this one may be mapped.
    let mapping = Mapping::new(&file, request.size).map_err(|e| Error::os("map", &path, e))?;
    if request.prefault {
        mapping.populate();
    }

    // What blocks the name for a moment is waited for without holding the lock that everybody needs.
    let (data, space, names) = retried(|| publish(request, &file, &path))?;
    Ok(Created { mapping, data, space, presence, names })
}

/// Gives a complete segment its names, under the locks that exclude all other creators.
fn publish(
    request: &Request<'_>,
    file: &File,
    path: &str,
) -> Result<(Semaphore, Semaphore, NameGuard), Blocked> {
    let name = request.name;
    let directory = DirectoryLock::acquire(shm::FOLDER)?;
    let locks = lock_name(name)?;
    // From here on the guard removes, on any failure, what has been made.
    let mut names = NameGuard {
        name: name.to_owned(),
        owned: Vec::new(),
        locks,
        directory: Some(directory),
        birth: Birth::now(),
    };
    let (data_name, space_name) =
        (names::semaphore(name, Signal::Data), names::semaphore(name, Signal::Space));
    for _ in 0..ATTEMPTS {
        remove_dead_segment(name)?;
        let mut data = names.make_semaphore(&data_name, request.mode)?;
        let mut space = names.make_semaphore(&space_name, request.mode)?;
        if !names.link(file, path)? {
            continue;
        }
        // A clean-up of another implementation may have removed or replaced any of the names meanwhile.
        for _ in 0..ATTEMPTS {
            match names.first_lost() {
                None => {
                    names.directory = None;
                    return Ok((data, space, names));
                }
                Some(lost) if lost == shm::path(&data_name) => {
                    data = names.make_semaphore(&data_name, request.mode)?;
                }
                Some(lost) if lost == shm::path(&space_name) => {
                    space = names.make_semaphore(&space_name, request.mode)?;
                }
                Some(_) => break,
            }
        }
        break;
    }
    let reason = "other processes keep creating or removing objects of that name";
    Err(Error::NotReady { name: name.to_owned(), reason }.into())
}

/// Takes the lock files of a name.
fn lock_name(name: &str) -> Result<Vec<LockFile>, Blocked> {
    match lock_file::acquire(name) {
        Locks::Held(locks) => Ok(locks),
        Locks::Busy => Err(Blocked { error: already_connected(name), patience: LOCKED }),
        Locks::Short { path, error } => Err(Error::os("open", path.display().to_string(), error).into()),
    }
}

/// Names the process that the present segment records; 0 if there is none.
fn already_connected(name: &str) -> Error {
    let control = Segment::open_read_only(name).ok().and_then(|segment| segment.control());
    let pid = control.map_or(0, |bytes| ControlSnapshot::from_bytes(&bytes).reader_pid);
    Error::ReaderAlreadyConnected { name: name.to_owned(), pid }
}

/// The reader's presence; `None`, with one warning, where the file system has no such locks (W8).
fn presence_of(file: &File, level: u8, path: &str) -> Result<Option<Presence>> {
    let locked = Presence::of(file).and_then(|presence| {
        let locked = presence.try_lock(Role::Reader)?;
        let announced = presence.announce(Role::Reader, level)?;
        Ok((locked && announced).then_some(presence))
    });
    match locked {
        Err(error) if is_shortage(&error) => Err(Error::os("open the presence lock of", path, error)),
        Err(error) => {
            log::warn!(target: "zerobuffer::reader", "presence locks do not work here ({error}): peers judge this process by its pid");
            Ok(None)
        }
        Ok(presence) => Ok(presence),
    }
}

fn set_mode(file: &File, mode: u32, path: &str) -> Result<()> {
    let set = crash::around(|| file.set_permissions(Permissions::from_mode(mode)));
    set.map_err(|e| Error::os("set the mode of", path, e))
}

/// The names of a buffer, removed on drop as far as they still are ours (W6).
#[derive(Debug)]
pub(crate) struct NameGuard {
    name: String,
    /// Semaphores and segment, in the order of creation.
    owned: Vec<(String, FileId)>,
    locks: Vec<LockFile>,
    /// While the names are being made; a failure removes them under this same lock.
    directory: Option<DirectoryLock>,
    birth: Birth,
}

impl NameGuard {
    /// Makes a fresh semaphore in place of whatever has the name.
    fn make_semaphore(&mut self, file_name: &str, mode: u32) -> Result<Semaphore> {
        let path = shm::path(file_name);
        let file = shm::unnamed()?;
        shm::reserve(&file, &self.name, semaphore::SIZE)?;
        let written = crash::around(|| file.write_all_at(&semaphore::FRESH, 0));
        written.map_err(|e| Error::os("initialise", &path, e))?;
        set_mode(&file, mode, &path)?;
        for _ in 0..ATTEMPTS {
            match crash::around(|| fs::remove_file(&path)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::os("replace", path, e)),
                _ => {}
            }
            if self.link(&file, &path)? {
                return Semaphore::of(&file, &path);
            }
        }
        Err(Error::os("create", path, io::ErrorKind::AlreadyExists.into()))
    }

    /// Gives a file its name and remembers it. `Ok(false)`: the name is taken.
    fn link(&mut self, file: &File, path: &str) -> Result<bool> {
        let id = FileId::of(file).map_err(|e| Error::os("inspect", path, e))?;
        let linked = shm::link(file, path)?;
        if linked {
            self.owned.retain(|(known, _)| known != path);
            self.owned.push((path.to_owned(), id));
        }
        Ok(linked)
    }

    /// A name that no longer is ours.
    fn first_lost(&self) -> Option<String> {
        self.owned.iter().find(|(path, id)| FileId::named(path) != Some(*id)).map(|(path, _)| path.clone())
    }

    /// Removes what still is ours: the segment, the semaphores, then the lock files while they are held.
    pub(crate) fn remove(&mut self) -> Result<()> {
        if self.birth.is_forked() {
            self.owned.clear();
            self.locks.clear();
            return Ok(());
        }
        // Names are removed even if the lock cannot be had.
        let _directory = self.directory.take().or_else(|| DirectoryLock::acquire(shm::FOLDER).ok());
        let mut result = Ok(());
        while let Some((path, id)) = self.owned.pop() {
            result = result.and(unlink_if(&path, id).map(drop));
        }
        self.locks.drain(..).for_each(LockFile::remove);
        result
    }
}

impl Drop for NameGuard {
    fn drop(&mut self) {
        if !(self.owned.is_empty() && self.locks.is_empty()) {
            // `Reader::close` reports failures; a dropped endpoint has nobody to tell.
            let _ = self.remove();
        }
    }
}

/// Under the directory lock and the lock files: makes sure that no segment has the name, or says who lives there.
/// `true`: one was removed.
fn remove_dead_segment(name: &str) -> Result<bool, Blocked> {
    let path = shm::path(name);
    let segment = match Segment::open(name) {
        Err(Error::Os { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let id = FileId::of(&segment.file).map_err(|e| Error::os("inspect", &path, e))?;
    // Death is judged while holding the reader's byte; another judge holds it for an instant only.
    let presence = match Presence::of(&segment.file) {
        // Judged by its pid alone, a reader in another pid namespace would be taken for a dead one.
        Err(error) if is_shortage(&error) => {
            return Err(Error::os("open the presence lock of", path, error).into());
        }
        presence => presence.ok(),
    };
    let locked = presence.as_ref().and_then(|presence| presence.try_lock(Role::Reader).ok());
    if locked == Some(false) {
        return Err(Blocked { error: already_connected(name), patience: JUDGING });
    }
    match judge_given(&segment, locked.map(|_| false)) {
        Verdict::Alive { pid } => Err(Error::ReaderAlreadyConnected { name: name.to_owned(), pid }.into()),
        Verdict::Foreign => {
            let reason =
                "a file of that name exists in /dev/shm and is no buffer; remove it or choose another name";
            Err(Error::NotReady { name: name.to_owned(), reason }.into())
        }
        Verdict::Young => {
            let reason = "another process is creating it and does not finish";
            Err(Blocked { error: Error::NotReady { name: name.to_owned(), reason }, patience: 2 * YOUNG })
        }
        Verdict::Dead { pid, reason } => {
            log::info!(target: "zerobuffer::reader", "taking over buffer '{name}' of process {pid}: {reason}");
            tell_writer(name, &segment);
            Ok(unlink_if(&path, id)?)
        }
    }
}

/// A writer that is still attached to a dead reader's segment sees "no reader" at once.
fn tell_writer(name: &str, segment: &Segment) {
    if segment.control().is_some() {
        let nobody = 0_u64.to_le_bytes();
        let _ = crash::around(|| segment.file.write_all_at(&nobody, Word::ReaderPid as u64));
    }
    if let Ok(space) = Semaphore::open(&names::semaphore(name, Signal::Space)) {
        space.post();
    }
}

/// Removes everything of a dead buffer, judged again under the locks; returns what was removed (`zerobuffer clean`).
pub(crate) fn remove_dead(name: &str) -> Result<Vec<PathBuf>> {
    let _directory = DirectoryLock::acquire(shm::FOLDER)?;
    let left_behind: Vec<_> = lock_file::paths(name).into_iter().filter(|path| path.exists()).collect();
    let locks = lock_name(name).map_err(|blocked| blocked.error)?;
    let mut removed = Vec::new();
    if remove_dead_segment(name).map_err(|blocked| blocked.error)? {
        removed.push(PathBuf::from(shm::path(name)));
    }
    for signal in [Signal::Data, Signal::Space] {
        let path = shm::path(&names::semaphore(name, signal));
        match crash::around(|| fs::remove_file(&path)) {
            Ok(()) => removed.push(PathBuf::from(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::os("remove", path, e)),
        }
    }
    for lock in locks {
        if left_behind.iter().any(|path| path == lock.path()) {
            removed.push(lock.path().to_owned());
        }
        lock.remove();
    }
    Ok(removed)
}
