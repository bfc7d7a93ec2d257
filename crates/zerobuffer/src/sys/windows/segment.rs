//! The segment of another process, before anything in it is trusted.

use super::{
    Mapping, Presence, Semaphore, mapping, names::Namespace, notes::Notes, object, owner, presence::Key,
    watch::Watch,
};
use crate::{
    error::{Error, Result},
    layout::{CONTROL_SIZE, ControlSnapshot, NATIVE_SIZE},
    memory::Memory,
    sys::{Role, Signal},
};
use std::{
    io,
    os::windows::io::OwnedHandle,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};
use windows_sys::Win32::{
    Storage::FileSystem::READ_CONTROL,
    System::Memory::{FILE_MAP_READ, FILE_MAP_WRITE},
};

/// A segment that exists under a name. While this is held, the name cannot go to another one.
#[derive(Debug)]
pub(crate) struct Segment {
    section: OwnedHandle,
    view: Mapping,
    /// As it was before the notes were looked for; after that, if there are none.
    control: Option<[u8; 128]>,
    notes: Option<Arc<Notes>>,
    key: Key,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
}

impl Segment {
    pub(crate) fn open(name: &str) -> Result<Self> {
        Self::find(name, true)
    }

    pub(crate) fn open_read_only(name: &str) -> Result<Self> {
        Self::find(name, false)
    }

    /// In the session's namespace, then in the machine's.
    fn find(name: &str, write: bool) -> Result<Self> {
        let mut absent = None;
        for space in Namespace::ALL {
            match Self::open_in(space, name, write) {
                Err(error) if is_not_found(&error) => absent = absent.or(Some(error)),
                other => return other,
            }
        }
        Err(absent.unwrap_or_else(|| Error::os("open", name, io::ErrorKind::NotFound.into())))
    }

    pub(super) fn open_in(space: Namespace, name: &str, write: bool) -> Result<Self> {
        let path = space.segment(name);
        let access = if write { FILE_MAP_READ | FILE_MAP_WRITE } else { FILE_MAP_READ };
        let failed = |error: io::Error| {
            if object::is_other_kind(&error) {
                let error = io::Error::other("an object of that name exists and is no buffer");
                return Error::os("open", &path, error);
            }
            Error::os("open", &path, error)
        };
        let section = open_section(&path, access).map_err(failed)?;
        let uid = owner::of(&section);
        let view = Mapping::read_only(&section).map_err(failed)?;
        // A native reader makes its notes before the segment's first word, and this reads them in
        // the other order. So a segment that is seen finished was never without them.
        let mut control = copy_of_control(&view);
        fence(Ordering::Acquire);
        // After the segment: while its handle is open, no other one has the name, and no other
        // notes.
        let notes = Notes::open(space, name, write).map_err(failed)?;
        if notes.is_none() && control.is_some_and(|bytes| ControlSnapshot::from_bytes(&bytes).oieb_size != 0)
        {
            // A legacy reader, or one that has closed meanwhile: then its pid goes before its
            // notes.
            control = copy_of_control(&view);
        }
        let key = Key::new(space, name, notes.as_deref());
        let pages = view.len() as u64;
        let native = if notes.is_some() { NATIVE_SIZE } else { 0 };
        let said = |bytes| exact_size(&ControlSnapshot::from_bytes(&bytes), native, pages);
        let size = control.map_or(pages, said);
        Ok(Self { section, view, control, notes, key, size, mode: 0, uid })
    }

    pub(super) fn space(&self) -> Namespace {
        self.key.space
    }

    /// The control block when this was opened; `None` if the segment is too short to have one.
    pub(crate) fn control(&self) -> Option<[u8; 128]> {
        self.control
    }

    /// A copy of the bytes at `offset`.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.view.copy(bytes, offset)
    }

    /// Maps the first `len` bytes. The memory lives on when this segment is dropped; its name does
    /// not depend on it.
    pub(crate) fn map(&self, len: u64) -> io::Result<Mapping> {
        Mapping::new(&self.section, len)
    }

    /// The presence of an endpoint of this segment, which has taken no role yet.
    #[allow(clippy::unnecessary_wraps, reason = "other systems open a file for it")]
    pub(crate) fn presence(&self) -> io::Result<Presence> {
        Ok(Presence::new(self.key.clone()))
    }

    /// Whether anybody has the role.
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        self.key.is_held(role)
    }

    /// The capability level that the role's endpoint has announced; 0 if it has not.
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        self.key.level(role)
    }

    /// One of the two semaphores of this buffer.
    pub(crate) fn semaphore(&self, name: &str, signal: Signal) -> Result<Semaphore> {
        Semaphore::open(self.key.space, name, signal, self.notes.clone())
    }

    /// Whether anything shows that it is a buffer's: the notes of a native reader, or the
    /// semaphores.
    pub(crate) fn has_companions(&self) -> bool {
        let exists = |signal| Semaphore::value_of(self.key.space, &self.key.name, signal).is_ok();
        self.is_marked() || [Signal::Data, Signal::Space].into_iter().all(exists)
    }

    /// The pid in the notes.
    pub(super) fn noted_writer(&self) -> Option<u64> {
        self.notes.as_ref().map(|notes| notes.writer())
    }

    /// To look into it for longer. The section's handle is closed: it would keep the name.
    #[allow(clippy::unnecessary_wraps, reason = "other systems map it here")]
    pub(crate) fn watch(self) -> io::Result<Watch> {
        let marked = self.is_marked();
        Ok(Watch { view: self.view, key: self.key, marked, size: self.size })
    }

    /// Made by a reader of this implementation, which is present while it lives (W8).
    pub(crate) fn is_marked(&self) -> bool {
        self.notes.is_some()
    }
}

/// Its owner may be read, if it has let others read that; of one's own it always may.
fn open_section(path: &str, access: u32) -> io::Result<OwnedHandle> {
    match object::open_section(path, access | READ_CONTROL) {
        Err(error) if object::is_denied(&error) => object::open_section(path, access),
        opened => opened,
    }
}

fn copy_of_control(view: &Mapping) -> Option<[u8; 128]> {
    let mut bytes = [0; 128];
    view.copy(&mut bytes, 0).is_ok().then_some(bytes)
}

pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Os { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Sections have whole pages. A segment is as long as its control block says, if it lies in just so
/// many pages. The native block of a reader that makes notes is added.
fn exact_size(control: &ControlSnapshot, native: u64, pages: u64) -> u64 {
    let parts = [CONTROL_SIZE, control.metadata_size, control.payload_size, native];
    let said = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
    let fits = |said: &u64| said.checked_next_multiple_of(mapping::PAGE as u64) == Some(pages);
    said.filter(fits).unwrap_or(pages)
}
