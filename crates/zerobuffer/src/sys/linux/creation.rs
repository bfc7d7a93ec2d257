//! Making, taking over and removing a buffer's names (W6, W12).

use super::{
    companions, limits,
    lock_file::{self, LockFile, Locks},
    names,
    segment::Segment,
    semaphore::{self, Semaphore},
    shm,
};
use crate::{
    crash,
    error::{Error, Result},
    layout::{ControlSnapshot, Word},
    sys::{
        Created, Removal, Request, Role, Signal, Verdict,
        blocked::{Blocked, retried},
        takeover::{self, Facts, Hold, Site, take_over},
        unix::{
            FileId, Folder, Holder, Mapping, Presence, directory::DirectoryLock, fork::Birth, is_shortage,
            own_uid, refuse_early, set_mode, writers_only,
        },
    },
};
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};

/// How long a reader that is just closing may hold the lock files.
const LOCKED: Duration = Duration::from_millis(100);
/// How often lost races are repeated before giving up.
const ATTEMPTS: u32 = 5;

/// Creates the buffer: complete and privately first, its names last.
pub(crate) fn create(request: &Request<'_>) -> Result<Created> {
    let name = request.name;
    let path = shm::path(name);
    refuse_early(name, &Segment::open_read_only(name).map(|segment| assess(&segment)))?;
    let folder = Arc::new(shm::folder()?);
    let available = folder.available();
    if request.size > available {
        return Err(Error::NoSpace { name: name.to_owned(), needed: request.size, available });
    }
    limits::check(name, request.size)?;
    let file = unnamed(&folder)?;
    shm::reserve(&file, name, request.size)?;
    crash::around(|| file.write_all_at(request.control, 0)).map_err(|e| Error::os("initialise", &path, e))?;
    let presence = presence_of(&file, request.level, &path)?;
    let mark = if presence.is_some() { 0o1000 } else { 0 };
    put_mode(&file, request.mode | mark, &path)?;
    // The presence locks live on a description of their own, so this one may be mapped.
    let mapping = Mapping::new(&file, request.size).map_err(|e| Error::os("map", &path, e))?;
    if request.prefault {
        mapping.populate();
    }

    // What blocks the name for a moment is waited for without holding the lock that everybody
    // needs.
    let (data, space, names) = retried(|| publish(request, &folder, &file))?;
    let presence = match presence {
        None => None,
        Some(presence) => {
            let guard = folder.open(&names::semaphore(name, Signal::Data), libc::O_RDWR);
            let guarded = guard.and_then(|guard| presence.with_guard(&guard));
            Some(guarded.map_err(|e| Error::os("open the presence lock of", &path, e))?)
        }
    };
    Ok(Created { mapping, data, space, presence, names })
}

/// Gives a complete segment its names, under the locks that exclude all other creators.
fn publish(
    request: &Request<'_>,
    folder: &Arc<Folder>,
    file: &File,
) -> Result<(Semaphore, Semaphore, NameGuard), Blocked> {
    let name = request.name;
    let directory = DirectoryLock::acquire(folder)?;
    let locks = lock_name(name)?;
    // From here on the guard removes, on any failure, what has been made.
    let mut names = NameGuard {
        name: name.to_owned(),
        folder: Arc::clone(folder),
        owned: Vec::new(),
        locks,
        directory: Some(directory),
        birth: Birth::now(),
    };
    let (data_name, space_name) =
        (names::semaphore(name, Signal::Data), names::semaphore(name, Signal::Space));
    for _ in 0..ATTEMPTS {
        take_over(&Place { folder, name, locks: &names.locks, removal: None })?;
        // It bears locks too: see `Presence`.
        let guard_mode = writers_only(request.mode);
        let mut data = names.make_semaphore(&data_name, guard_mode)?;
        let mut space = names.make_semaphore(&space_name, request.mode)?;
        #[cfg(test)]
        tests::before_the_link(name);
        if !names.locks.iter().all(LockFile::has_its_name) {
            // A clean-up of another implementation has removed one since it was locked: begin
            // again, on a new one.
            return Err(Blocked { error: locked_by(name, None), patience: LOCKED });
        }
        if !names.link(file, name)? {
            continue;
        }
        // A clean-up of another implementation may have removed or replaced any of the names
        // meanwhile.
        for _ in 0..ATTEMPTS {
            match names.first_lost() {
                None => {
                    names.directory = None;
                    return Ok((data, space, names));
                }
                Some(lost) if lost == data_name => {
                    data = names.make_semaphore(&data_name, guard_mode)?;
                }
                Some(lost) if lost == space_name => {
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
pub(super) fn lock_name(name: &str) -> Result<Vec<LockFile>, Blocked> {
    match lock_file::acquire(name) {
        Locks::Held(locks) => Ok(locks),
        Locks::Busy(holder) => Err(Blocked { error: locked_by(name, holder.as_ref()), patience: LOCKED }),
        Locks::Unknown { path, error } => Err(Error::os("open", path.display().to_string(), error).into()),
    }
}

/// Names the process that the present segment records, else the one that holds a lock file; 0 if
/// neither is known.
fn locked_by(name: &str, holder: Option<&Holder>) -> Error {
    match (already_connected(name), holder) {
        (Error::ReaderAlreadyConnected { name, pid: 0 }, Some(holder)) => {
            Error::ReaderAlreadyConnected { name, pid: holder.pid }
        }
        (error, _) => error,
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

fn put_mode(file: &File, mode: u32, path: &str) -> Result<()> {
    crash::around(|| set_mode(file, mode)).map_err(|e| Error::os("set the mode of", path, e))
}

fn unnamed(folder: &Folder) -> Result<File> {
    folder.unnamed().map_err(|e| Error::os("make a file in", shm::FOLDER, e))
}

/// The names of a buffer. Those that still are this reader's are removed on drop (W6).
#[derive(Debug)]
pub(crate) struct NameGuard {
    name: String,
    /// Where they are.
    folder: Arc<Folder>,
    /// Semaphores and segment, in the order of creation.
    owned: Vec<(String, FileId)>,
    locks: Vec<LockFile>,
    /// While the names are being made; a failure removes them under this same lock.
    directory: Option<DirectoryLock>,
    birth: Birth,
}

impl NameGuard {
    /// Makes a fresh semaphore in the place of one that a dead reader of this user has left.
    fn make_semaphore(&mut self, file_name: &str, mode: u32) -> Result<Semaphore> {
        let path = shm::path(file_name);
        let file = unnamed(&self.folder)?;
        shm::reserve(&file, &self.name, semaphore::SIZE)?;
        let written = crash::around(|| file.write_all_at(&semaphore::FRESH, 0));
        written.map_err(|e| Error::os("initialise", &path, e))?;
        put_mode(&file, mode, &path)?;
        for _ in 0..ATTEMPTS {
            remove_semaphore(&self.folder, file_name, own_uid())?;
            if self.link(&file, file_name)? {
                return Semaphore::of(&file, &path);
            }
        }
        Err(Error::NotABuffer { name: self.name.clone(), object: path })
    }

    /// Gives a file its name and remembers it. `Ok(false)`: the name is taken.
    fn link(&mut self, file: &File, file_name: &str) -> Result<bool> {
        let id = FileId::of(file).map_err(|e| Error::os("inspect", shm::path(file_name), e))?;
        let linked = self.folder.link(file, file_name);
        let linked = linked.map_err(|e| Error::os("name", shm::path(file_name), e))?;
        if linked {
            self.owned.retain(|(known, _)| known != file_name);
            self.owned.push((file_name.to_owned(), id));
        }
        Ok(linked)
    }

    /// A name that no longer is this reader's.
    pub(crate) fn first_lost(&self) -> Option<String> {
        self.owned.iter().find(|(file, id)| self.folder.id(file) != Some(*id)).map(|(file, _)| file.clone())
    }

    /// Removes what still is this reader's: the segment, the semaphores, then the lock files while
    /// they are held.
    pub(crate) fn remove(&mut self) -> Result<()> {
        if self.birth.is_forked() {
            self.owned.clear();
            self.locks.clear();
            return Ok(());
        }
        // A close waits for nobody.
        let directory = self.directory.take().or_else(|| DirectoryLock::try_acquire(&self.folder));
        if directory.is_some() {
            // The segment goes first: a process that ends in between leaves no segment without its
            // semaphores.
            self.owned.reverse();
        }
        // Without the lock it goes last: while its name and our presence lock last, nobody replaces
        // a semaphore.
        let mut result = Ok(());
        for (file, id) in self.owned.drain(..) {
            result = result.and(self.folder.unlink_if(&file, id).map(drop));
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

/// A name in the folder, under the directory lock and the name's lock files.
pub(super) struct Place<'a> {
    pub(super) folder: &'a Folder,
    pub(super) name: &'a str,
    pub(super) locks: &'a [LockFile],
    /// What may be removed, if this is not for the own use of the name.
    pub(super) removal: Option<Removal>,
}

/// Judges a segment by its reader, for observers.
pub(crate) fn assess(segment: &Segment) -> Verdict {
    let (held, companions) = (segment.is_held(Role::Reader).ok(), segment.has_companions());
    takeover::decide(&Facts { held, companions, ..segment.facts() })
}

impl Site for Place<'_> {
    type Segment = Segment;
    type Guard = Option<Presence>;

    fn name(&self) -> &str {
        self.name
    }

    fn object(&self) -> String {
        shm::path(self.name)
    }

    fn find(&self) -> Result<Option<Segment>> {
        match Segment::open_in(self.folder, self.name, libc::O_RDWR) {
            Ok(segment) => self.check(&segment).map(|()| Some(segment)),
            Err(Error::Os { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            // A link, a folder, a device: no buffer is one.
            Err(Error::Os { object, source, .. }) if is_other_kind(&source) => {
                Err(Error::NotABuffer { name: self.name.to_owned(), object })
            }
            Err(error) => Err(error),
        }
    }

    fn hold(&self, segment: &Segment) -> Result<Hold<Self::Guard>> {
        let presence = match Presence::of(&segment.file) {
            // Judged by its pid alone, a reader in another pid namespace would be taken for a dead
            // one.
            Err(error) if is_shortage(&error) => {
                return Err(Error::os("open the presence lock of", shm::path(self.name), error));
            }
            presence => presence.ok(),
        };
        let taken = presence.as_ref().and_then(|presence| presence.try_lock(Role::Reader).ok());
        Ok(Hold { taken, guard: presence })
    }

    fn facts(&self, segment: &Segment, held: Option<bool>) -> Facts {
        let owners = self.locks.iter().filter_map(|lock| lock.found_of);
        let companions = companions::exist(self.folder, self.name, segment.uid, owners);
        Facts { held, companions, ..segment.facts() }
    }

    fn tell_writer(&self, segment: &Segment, _: u64) {
        if segment.control().is_some() {
            let nobody = 0_u64.to_le_bytes();
            let _ = crash::around(|| segment.file.write_all_at(&nobody, Word::ReaderPid as u64));
        }
        let file = names::semaphore(self.name, Signal::Space);
        if companions::is_semaphore(self.folder, &file, segment.uid)
            && let Ok(space) = Semaphore::open(&file)
        {
            space.post();
        }
    }

    fn remove(&self, segment: Segment) -> Result<bool, Blocked> {
        let id = FileId::of(&segment.file).map_err(|e| Error::os("inspect", shm::path(self.name), e))?;
        let removed = self.folder.unlink_if(self.name, id)?;
        for signal in [Signal::Data, Signal::Space] {
            remove_semaphore(self.folder, &names::semaphore(self.name, signal), segment.uid)?;
        }
        Ok(removed)
    }
}

/// What opening something says that can be no buffer.
fn is_other_kind(error: &io::Error) -> bool {
    let codes = [libc::ELOOP, libc::EISDIR, libc::ENXIO, libc::ENODEV, libc::ETXTBSY];
    error.kind() == io::ErrorKind::Other || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Removes a name if a semaphore of that user has it. `Ok(false)`: nothing has.
fn remove_semaphore(folder: &Folder, file: &str, uid: u32) -> Result<bool> {
    match folder.id(file) {
        Some(id) if companions::is_semaphore(folder, file, uid) => folder.unlink_if(file, id),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BufferConfig, Reader};
    use std::{cell::Cell, fs};

    thread_local! {
        /// What another process does once, between the locks of a creation and its names.
        static OTHER: Cell<Option<fn(&str)>> = const { Cell::new(None) };
    }

    pub(super) fn before_the_link(name: &str) {
        if let Some(act) = OTHER.take() {
            act(name);
        }
    }

    /// A legacy endpoint removes the lock file of a name by path when it ends, also where another
    /// process has locked it since. A second creator could lock a new file, and take a live
    /// reader's objects away.
    #[test]
    fn a_lock_file_that_was_removed_or_replaced_after_it_was_locked_is_locked_anew() {
        let remove = |name: &str| lock_file::paths(name).iter().for_each(|path| drop(fs::remove_file(path)));
        let replace = |name: &str| {
            for path in lock_file::paths(name) {
                let _ = fs::remove_file(&path);
                let _ = fs::write(&path, "");
            }
        };
        for act in [remove as fn(&str), replace] {
            let name = crate::testing::name("lock-recheck");
            OTHER.set(Some(act));
            let reader = Reader::create(&name, BufferConfig::ring(64).metadata(0)).unwrap();
            assert!(OTHER.take().is_none(), "it has happened");
            assert!(lock_file::paths(&name).iter().all(|path| path.exists()));
            assert!(lock_file::is_locked(&name), "the files that have the names are locked");
            reader.close().unwrap();
        }
    }
}
