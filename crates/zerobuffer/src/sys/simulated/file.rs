//! Files in memory: segments and semaphores, by name.

use super::{
    machine,
    presence::{Locks, Presence},
    semaphore::Semaphore,
};
use crate::{
    error::{Error, Result},
    layout::CONTROL_SIZE,
    memory::{Memory, Tracked},
    sync::{Arc, AtomicU64, Ordering},
    sys::{Role, Signal},
};
use std::{cell::UnsafeCell, io, ptr::NonNull};

/// What a name stands for.
#[derive(Debug)]
pub(crate) struct Inode {
    bytes: Box<[UnsafeCell<u64>]>,
    pub(crate) tracked: Arc<Tracked>,
    pub(crate) locks: Locks,
    /// 0 after its name was removed.
    links: AtomicU64,
}

// SAFETY: the bytes are shared as those of a mapped file are, and the rules of the ring say which
// end touches which. All threads of a model run on one thread of the operating system.
unsafe impl Send for Inode {}
// SAFETY: as above.
unsafe impl Sync for Inode {}

/// An open file.
#[derive(Clone, Debug)]
pub(crate) struct File(pub(crate) Arc<Inode>);

impl File {
    /// A new one, which begins with these bytes.
    pub(crate) fn new(head: &[u8; CONTROL_SIZE as usize], len: u64) -> Self {
        let len = len as usize;
        Self(Arc::new(Inode {
            bytes: (0..len.div_ceil(8)).map(|_| UnsafeCell::new(0)).collect(),
            tracked: Arc::new(Tracked::new(head, len)),
            locks: Locks::new(),
            links: AtomicU64::new(1),
        }))
    }

    /// Gives it a name, which the former file of that name loses.
    pub(crate) fn link(&self, name: &str) {
        if let Some(former) = machine::give_name(name, Arc::clone(&self.0)) {
            former.links.store(0, Ordering::Relaxed);
        }
    }

    /// Takes its name away, if it still is its name.
    pub(crate) fn unlink(&self, name: &str) {
        if machine::named(name).is_some_and(|named| Arc::ptr_eq(&named, &self.0)) {
            machine::take_name(name);
            self.0.links.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_unlinked(&self) -> bool {
        self.0.links.fetch_add(0, Ordering::Relaxed) == 0
    }

    #[allow(clippy::unnecessary_wraps, reason = "as a real file's")]
    pub(crate) fn metadata(&self) -> io::Result<&Self> {
        Ok(self)
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.bytes.len() as u64 * 8
    }

    /// A word of the native block, as a look from outside sees it.
    #[cfg(shuttle)]
    pub(crate) fn native_word(&self, offset: u64) -> u64 {
        self.0.tracked.native_at(offset as usize).load(Ordering::Acquire)
    }

    /// Any other word; other threads may run before it is read. 0 beyond the end.
    #[cfg(shuttle)]
    pub(crate) fn plain_word(&self, at: u64) -> u64 {
        crate::sync::yield_now();
        // SAFETY: the cell lives as long as the file. Threads of a model are switched at the
        // checker's operations only, so nobody stores into it meanwhile.
        self.0.bytes.get(at as usize / 8).map_or(0, |word| unsafe { *word.get() })
    }
}

pub(super) fn semaphore_name(name: &str, signal: Signal) -> String {
    format!("{name}/{signal:?}")
}

pub(crate) fn path(name: &str) -> String {
    name.to_owned()
}

pub(crate) fn open(path: &str) -> Result<File> {
    let missing = || Error::os("open", path, io::Error::from(io::ErrorKind::NotFound));
    machine::named(path).map(File).ok_or_else(missing)
}

/// The memory of a file.
#[derive(Debug)]
pub(crate) struct Mapping(File);

impl Mapping {
    #[allow(clippy::unnecessary_wraps, reason = "as a real mapping's")]
    pub(crate) fn new(file: &File, _len: u64) -> io::Result<Self> {
        Ok(Self(file.clone()))
    }

    pub(crate) fn word<const AT: usize>(&self) -> &AtomicU64 {
        self.0.0.tracked.at(AT)
    }
}

// SAFETY: a box keeps its address and length while the file exists, of which the mapping holds a
// share.
unsafe impl Memory for Mapping {
    fn base(&self) -> NonNull<u8> {
        NonNull::from(&*self.0.0.bytes).cast()
    }

    fn len(&self) -> usize {
        self.0.len() as usize
    }

    fn tracked(&self) -> Arc<Tracked> {
        Arc::clone(&self.0.0.tracked)
    }
}

/// A segment that exists under a name.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) uid: u32,
}

impl Segment {
    pub(crate) fn open(name: &str) -> Result<Self> {
        let file = open(name)?;
        Ok(Self { size: file.len(), uid: 0, file })
    }

    #[allow(clippy::unnecessary_wraps, reason = "as a real segment's")]
    pub(crate) fn control(&self) -> Option<[u8; CONTROL_SIZE as usize]> {
        Some(self.file.0.tracked.control())
    }

    pub(crate) fn map(&self, len: u64) -> io::Result<Mapping> {
        Mapping::new(&self.file, len)
    }

    pub(crate) fn presence(&self) -> io::Result<Presence> {
        Presence::of(&self.file)
    }

    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        self.presence()?.is_held(role)
    }

    #[allow(clippy::unused_self, reason = "elsewhere the segment knows where they are")]
    pub(crate) fn semaphore(&self, name: &str, signal: Signal) -> Result<Semaphore> {
        Semaphore::open(&semaphore_name(name, signal))
    }

    #[allow(clippy::unused_self, reason = "every reader is of this implementation")]
    pub(crate) fn is_marked(&self) -> bool {
        true
    }
}
