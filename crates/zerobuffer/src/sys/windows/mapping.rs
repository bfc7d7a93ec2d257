//! A view of a section.

use super::object;
use crate::{memory::Memory, sys::copy};
use std::{
    io, mem,
    os::windows::io::OwnedHandle,
    ptr::{self, NonNull},
};
use windows_sys::Win32::System::Memory::{
    FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEMORY_BASIC_INFORMATION, MEMORY_MAPPED_VIEW_ADDRESS,
    MapViewOfFile, UnmapViewOfFile, VirtualQuery,
};

/// Bytes of a page; sizes of sections are rounded up to it.
pub(super) const PAGE: usize = 4096;

/// Committed pages, unmapped on drop. They live on when the section's handle is closed.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the view is plain memory, valid from every thread until drop.
unsafe impl Send for Mapping {}
// SAFETY: as above; the callers keep to the bytes that they may touch.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes, readable and writable; fails if the section is shorter or not
    /// all of it is there.
    pub(super) fn new(section: &OwnedHandle, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let whole = Self::view(section, FILE_MAP_READ | FILE_MAP_WRITE, len)?;
        if whole.len < len {
            return Err(io::Error::other("not all of its memory is committed"));
        }
        Ok(whole)
    }

    /// Maps all of a section to be read only.
    pub(super) fn read_only(section: &OwnedHandle) -> io::Result<Self> {
        Self::view(section, FILE_MAP_READ, 0)
    }

    fn view(section: &OwnedHandle, access: u32, len: usize) -> io::Result<Self> {
        // SAFETY: a fresh view at an address of the system's choice touches nothing that exists.
        let view = unsafe { MapViewOfFile(object::raw(section), access, 0, 0, len) };
        let base = NonNull::new(view.Value.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        let mut mapping = Self { base, len: 0 };
        // A foreign section may have pages that are only reserved: touching one would be an access
        // violation.
        mapping.len = committed(base);
        Ok(mapping)
    }

    /// A copy of the bytes at `offset`.
    pub(super) fn copy(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        // SAFETY: views begin at pages; theirs are committed and cannot be taken away while they
        // are mapped.
        unsafe { copy::copy(self.base, self.len, bytes, offset) }
    }

    /// Touches every page, so the stream does not pay a fault per page.
    pub(super) fn populate(&self) {
        for offset in (0..self.len).step_by(PAGE) {
            // SAFETY: inside the view, whose pages are committed.
            unsafe { ptr::read_volatile(self.base.as_ptr().add(offset)) };
        }
    }
}

/// How many bytes from the start of a view on are memory.
fn committed(base: NonNull<u8>) -> usize {
    // SAFETY: a zeroed structure is a valid out-parameter, whose size is the one given.
    unsafe {
        let mut region: MEMORY_BASIC_INFORMATION = mem::zeroed();
        let filled =
            VirtualQuery(base.as_ptr().cast(), &raw mut region, size_of::<MEMORY_BASIC_INFORMATION>());
        if filled != 0 && region.State == MEM_COMMIT { region.RegionSize } else { 0 }
    }
}

// SAFETY: a view keeps its address until drop, and its pages stay committed.
unsafe impl Memory for Mapping {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the address is this view's, and users of its memory hold a share of its owner.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.base.as_ptr().cast() }) };
    }
}
