//! Shared-memory objects of POSIX: they have no path, no inode and no times, cannot be read but
//! through a mapping, and get their size once.

use super::{lock_file, names, semaphore::Semaphore};
use crate::{
    crash,
    error::{Error, Result},
    layout::{CONTROL_SIZE, Word},
    memory::Memory,
    sys::{
        Role, Signal,
        copy::copy,
        takeover::Facts,
        unix::{FileId, Mapping, Presence, facts, fork::PrivateFd, is_held, is_shortage, level},
    },
};
use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// What the error texts call a buffer's memory.
pub(crate) fn path(name: &str) -> String {
    names::segment(name)
}

fn shm_open(name: &str, flags: libc::c_int, mode: u32) -> io::Result<File> {
    let name = CString::new(names::segment(name))?;
    // SAFETY: the name outlives the call; the descriptor is close-on-exec by itself.
    let fd = unsafe { libc::shm_open(name.as_ptr(), flags, mode as libc::c_uint) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else has.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Makes an object of that name. `Ok(None)`: the name is taken. The mode is taken as it is: the
/// kernel has no umask here.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn create(name: &str, mode: u32) -> Result<Option<File>> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    match crash::around(|| shm_open(name, flags, mode)) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(Error::os("create", path(name), e)),
    }
}

/// Removes the name. `Ok(false)`: there was none.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn unlink(name: &str) -> Result<bool> {
    let c_name = CString::new(names::segment(name)).map_err(|e| Error::os("remove", path(name), e.into()))?;
    // SAFETY: the name outlives the call.
    if crash::around(|| unsafe { libc::shm_unlink(c_name.as_ptr()) }) == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        e if e.kind() == io::ErrorKind::NotFound => Ok(false),
        e => Err(Error::os("remove", path(name), e)),
    }
}

/// Gives a new object its size. Nothing is reserved by that: macOS takes the pages when they are
/// touched, and has no call that takes them before. What the machine cannot hold is refused here
/// all the same.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn set_size(file: &File, name: &str, size: u64) -> Result<()> {
    let available = physical_memory();
    let too_large = || Error::NoSpace { name: name.to_owned(), needed: size, available };
    if size > available {
        return Err(too_large());
    }
    match crash::around(|| file.set_len(size)) {
        Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => Err(too_large()),
        Err(e) => Err(Error::os("set the size of", path(name), e)),
        Ok(()) => Ok(()),
    }
}

/// Bytes of memory that the machine has.
fn physical_memory() -> u64 {
    let ask = |what| {
        // SAFETY: asks for a number.
        u64::try_from(unsafe { libc::sysconf(what) }).unwrap_or(0)
    };
    ask(libc::_SC_PHYS_PAGES).saturating_mul(ask(libc::_SC_PAGESIZE))
}

/// Stores the control block of a new buffer, its first field last: a process that sees that field
/// sees all of them.
#[cfg_attr(crash_points, track_caller)]
pub(crate) fn initialise(mapping: &Mapping, control: &[u8; CONTROL_SIZE as usize]) {
    for (at, chunk) in control.chunks_exact(8).enumerate().rev() {
        let value = chunk.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte));
        let word = word(mapping, at * 8);
        crash::around(|| word.store(value, Ordering::Release));
    }
}

/// A word of the control block.
fn word(mapping: &Mapping, offset: usize) -> &AtomicU64 {
    debug_assert!(offset.is_multiple_of(8) && offset < CONTROL_SIZE as usize);
    // SAFETY: the callers map at least a control block and ask for a word inside it. The base is
    // page aligned, the mapping outlives the reference, and every process accesses these words
    // atomically.
    unsafe { AtomicU64::from_ptr(mapping.base().as_ptr().add(offset).cast()) }
}

/// Whether memory of that name is seen to exist, and how many bytes it takes.
pub(crate) fn size(name: &str) -> Option<u64> {
    match shm_open(name, libc::O_RDONLY, 0) {
        Ok(file) => Some(file.metadata().map_or(0, |meta| meta.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(0),
    }
}

/// A segment that exists under a name, and the lock file that goes with it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) file: File,
    /// Of whole pages: 16 KiB on Apple's processors, 4 KiB on Intel's.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// When its lock file was made or opened to others; long ago if there is none.
    pub(crate) changed: SystemTime,
    name: String,
    lock: Option<File>,
}

impl Segment {
    pub(crate) fn open(name: &str) -> Result<Self> {
        Self::inspect(name, true)
    }

    pub(crate) fn open_read_only(name: &str) -> Result<Self> {
        Self::inspect(name, false)
    }

    fn inspect(name: &str, write: bool) -> Result<Self> {
        let flags = if write { libc::O_RDWR } else { libc::O_RDONLY };
        loop {
            let lock = match lock_file::open(name, write) {
                // It may well be there, with locks on it.
                Err(error) if is_shortage(&error) => {
                    return Err(Error::os("open", names::lock_file(name).to_string_lossy(), error));
                }
                other => other.ok(),
            };
            let file = shm_open(name, flags, 0).map_err(|e| Error::os("open", path(name), e))?;
            // A reader makes its lock file before its memory, and removes it after. The same file
            // before and after means that the memory is that reader's.
            let named = lock_file::id(name);
            if let Some(lock) = &lock
                && FileId::of(lock).ok() != named
            {
                continue;
            }
            let meta = file.metadata().map_err(|e| Error::os("inspect", path(name), e))?;
            let changed =
                lock.as_ref().and_then(|lock| lock.metadata().ok()).map_or(SystemTime::UNIX_EPOCH, |meta| {
                    let nanos = u32::try_from(meta.ctime_nsec()).unwrap_or(0);
                    SystemTime::UNIX_EPOCH + Duration::new(meta.ctime().unsigned_abs(), nanos)
                });
            let (size, mode, uid) = (meta.len(), meta.mode() & 0o7777, meta.uid());
            return Ok(Self { file, size, mode, uid, changed, name: name.to_owned(), lock });
        }
    }

    /// What it is by itself.
    pub(super) fn facts(&self) -> Facts {
        facts(self.control(), self.size, self.is_marked(), self.changed)
    }

    /// A copy of the control block; `None` if the segment is too short to have one.
    pub(crate) fn control(&self) -> Option<[u8; 128]> {
        let mut bytes = [0; 128];
        self.read_at(&mut bytes, 0).is_ok().then_some(bytes)
    }

    /// Copies bytes out of the segment, by a mapping that lasts as long as the call. An object that
    /// has its size keeps it, so this cannot fault.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        View::new(&self.file, end)?.read_at(bytes, offset)
    }

    /// Says in the segment that it has no reader.
    pub(crate) fn forget_reader(&self) -> io::Result<()> {
        let mapping = Mapping::new(&self.file, CONTROL_SIZE)?;
        let word = word(&mapping, Word::ReaderPid as usize);
        crash::around(|| word.store(0, Ordering::SeqCst));
        Ok(())
    }

    /// Whether anything shows that it is a buffer's: its user's lock file, or the semaphores.
    pub(crate) fn has_companions(&self) -> bool {
        lock_file::owner(&self.name) == Some(self.uid) || Semaphore::both_exist(&self.name)
    }

    /// The sticky bit: made by a reader of this implementation, which holds a presence lock while
    /// it lives (W8).
    pub(crate) fn is_marked(&self) -> bool {
        self.mode & 0o1000 != 0
    }

    /// Maps the first `len` bytes; the caller has seen that there are as many.
    pub(crate) fn map(&self, len: u64) -> io::Result<Mapping> {
        Mapping::new(&self.file, len)
    }

    /// One of the two semaphores of the buffer that this is the segment of.
    #[allow(clippy::unused_self, reason = "on other systems the segment knows where they are")]
    pub(crate) fn semaphore(&self, name: &str, signal: Signal) -> Result<Semaphore> {
        Semaphore::open(name, signal)
    }

    /// A description for the presence locks of an endpoint: of the lock file that was there when
    /// this was opened.
    pub(crate) fn presence(&self) -> io::Result<Presence> {
        let known = FileId::of(self.lock()?)?;
        let fd = PrivateFd::open(|| {
            let file = lock_file::open(&self.name, true)?;
            if FileId::of(&file)? == known {
                Ok(OwnedFd::from(file))
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })?;
        Ok(Presence::on(fd))
    }

    /// Whether an endpoint holds the role's byte, without opening anything for writing.
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        is_held(self.lock()?, role)
    }

    /// The level that an endpoint has announced; 0 if none has.
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        level(self.lock()?, role)
    }

    fn lock(&self) -> io::Result<&File> {
        self.lock.as_ref().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "its lock file is missing"))
    }
}

/// A read-only mapping of the first bytes of an object.
#[derive(Debug)]
pub(super) struct View {
    base: *mut u8,
    len: usize,
}

impl View {
    pub(super) fn new(file: &File, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self { base: base.cast(), len })
        }
    }

    /// Copies the bytes at `offset`.
    pub(super) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let base = NonNull::new(self.base).ok_or(io::ErrorKind::UnexpectedEof)?;
        // SAFETY: the view is whole pages and lives as long as the borrow; an object that has its
        // size keeps it. Other processes store words atomically, or have finished with these bytes.
        unsafe { copy(base, self.len, bytes, offset) }
    }
}

// SAFETY: the mapping is plain memory that this only reads, valid from every thread until drop.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping, which nobody else knows.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}
