//! A page beside the segment by which a native reader is known, and which tells its instance from
//! all others.
//!
//! Its name lives as long as the reader, as the segment's does. That it is there is the mark (W8)
//! of a segment whose reader is native. The number in it names the presence events of exactly this
//! segment. So the writer of a dead reader does not take the successor for it.

use super::{Mapping, names::Namespace, object, process};
use crate::{
    crash,
    error::{Error, Result},
    memory::Memory,
};
use std::{
    io,
    os::windows::io::OwnedHandle,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use windows_sys::Win32::System::Memory::{FILE_MAP_READ, FILE_MAP_WRITE};

/// "ZBNOTES1", stored last.
const MAGIC: u64 = u64::from_le_bytes(*b"ZBNOTES1");
const SIZE: u64 = super::mapping::PAGE as u64;

/// The words of the page.
#[derive(Clone, Copy)]
enum Note {
    Magic = 0,
    Instance = 8,
    /// The pid of the native writer that registers itself, or is registered.
    Writer = 16,
}

/// A view of the page.
#[derive(Debug)]
pub(super) struct Notes {
    page: Mapping,
}

impl Notes {
    /// Makes the page; the handle is its name's life. `Ok(None)`: it is still there from a dead
    /// reader.
    pub(super) fn make(space: Namespace, name: &str) -> Result<Option<(Arc<Self>, OwnedHandle)>> {
        let path = space.notes(name);
        let failed = |error| Error::os("create", &path, error);
        let named = crash::around(|| object::make_section(&path, SIZE)).map_err(failed)?;
        if named.existed {
            return Ok(None);
        }
        let notes = Self { page: Mapping::new(&named.handle, SIZE).map_err(failed)? };
        notes.put(Note::Instance, new_instance());
        notes.put(Note::Magic, MAGIC);
        Ok(Some((Arc::new(notes), named.handle)))
    }

    /// The page of the segment that the caller has open, if its reader is native.
    pub(super) fn open(space: Namespace, name: &str, write: bool) -> io::Result<Option<Arc<Self>>> {
        let access = if write { FILE_MAP_READ | FILE_MAP_WRITE } else { FILE_MAP_READ };
        let section = match object::open_section(&space.notes(name), access) {
            Err(error) if object::is_absent(&error) => return Ok(None),
            other => other?,
        };
        let page = if write { Mapping::new(&section, SIZE)? } else { Mapping::read_only(&section)? };
        let notes = Self { page };
        let complete = notes.page.len() as u64 >= SIZE && notes.get(Note::Magic) == MAGIC;
        Ok(complete.then(|| Arc::new(notes)))
    }

    fn note(&self, note: Note) -> &AtomicU64 {
        // SAFETY: the words lie in a page that is mapped as long as `self`, at multiples of 8;
        // every process accesses them atomically.
        unsafe { AtomicU64::from_ptr(self.page.base().as_ptr().add(note as usize).cast()) }
    }

    fn get(&self, note: Note) -> u64 {
        self.note(note).load(Ordering::SeqCst)
    }

    #[cfg_attr(crash_points, track_caller)]
    fn put(&self, note: Note, value: u64) {
        crash::around(|| self.note(note).store(value, Ordering::SeqCst));
    }

    /// By what the presence events of this segment are called.
    pub(super) fn identity(&self) -> String {
        format!("{:016x}", self.get(Note::Instance))
    }

    pub(super) fn writer(&self) -> u64 {
        self.get(Note::Writer)
    }

    #[cfg_attr(crash_points, track_caller)]
    pub(super) fn set_writer(&self, pid: u64) {
        self.put(Note::Writer, pid);
    }
}

/// A number that no other segment has had. It is made of this process's number, its start time and
/// the count of its segments.
fn new_instance() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut mixed = process::own_pid() << 32 | count & 0xffff_ffff;
    for part in [process::own_start_time(), 0] {
        // splitmix64's finish: a bijection, so nothing of the number is lost.
        mixed ^= part;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed
}
