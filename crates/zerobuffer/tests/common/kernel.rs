//! Windows: named kernel objects, made and looked at past every endpoint.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
};
use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE},
    System::{
        Memory::{
            CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
            OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
        },
        Threading::{CreateSemaphoreW, OpenSemaphoreW, ReleaseSemaphore, SYNCHRONIZATION_SYNCHRONIZE},
    },
};

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is valid, and this is its only owner.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Which of a buffer's objects exist, in either convention; by their names.
pub(crate) fn existing(name: &str) -> Vec<String> {
    let sections = [name.to_owned(), format!(r"Global\{name}"), format!("zerobuffer/notes/{name}")];
    let semaphores = ["w", "r"]
        .iter()
        .flat_map(|side| [format!("sem-{side}-{name}"), format!(r"Global\sem-/sem-{side}-{name}")]);
    let mut found: Vec<String> =
        sections.into_iter().filter(|section| open_section(section).is_ok()).collect();
    found.extend(semaphores.filter(|semaphore| {
        // SAFETY: the name outlives the call.
        owned(unsafe { OpenSemaphoreW(SYNCHRONIZATION_SYNCHRONIZE, 0, wide(semaphore).as_ptr()) }).is_ok()
    }));
    found
}

fn open_section(name: &str) -> io::Result<OwnedHandle> {
    // SAFETY: the name outlives the call.
    owned(unsafe { OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, 0, wide(name).as_ptr()) })
}

/// A section of that many bytes, as another implementation makes it: the name lives as long as
/// this.
pub(crate) fn make_section(name: &str, size: usize) -> OwnedHandle {
    let name = wide(name);
    // SAFETY: the name outlives the call.
    owned(unsafe {
        CreateFileMappingW(INVALID_HANDLE_VALUE, ptr::null(), PAGE_READWRITE, 0, size as u32, name.as_ptr())
    })
    .unwrap()
}

/// A semaphore without a token, as another implementation makes it.
pub(crate) fn make_semaphore(name: &str) -> OwnedHandle {
    let name = wide(name);
    // SAFETY: the name outlives the call.
    owned(unsafe { CreateSemaphoreW(ptr::null(), 0, i32::MAX, name.as_ptr()) }).unwrap()
}

pub(crate) fn post(semaphore: &OwnedHandle) {
    // SAFETY: the handle is open.
    assert_ne!(unsafe { ReleaseSemaphore(semaphore.as_raw_handle(), 1, ptr::null_mut()) }, 0);
}

/// A view of a whole section, whose handle is closed again.
#[derive(Debug)]
pub(crate) struct View(*mut u8);

// SAFETY: plain memory, which every process may change at any time anyway.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    pub(crate) fn open(name: &str) -> Self {
        Self::of(&open_section(name).unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    pub(crate) fn of(section: &OwnedHandle) -> Self {
        // SAFETY: a fresh view at an address of the system's choice.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0) };
        assert!(!view.Value.is_null(), "{}", io::Error::last_os_error());
        Self(view.Value.cast())
    }

    pub(crate) fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        // SAFETY: the tests stay inside the segments that they know; volatile, since others write.
        (offset..offset + len).map(|at| unsafe { ptr::read_volatile(self.0.add(at)) }).collect()
    }

    pub(crate) fn put(&self, offset: usize, data: &[u8]) {
        if let (Ok(word), 0) = (<[u8; 8]>::try_from(data), offset % 8) {
            // SAFETY: as above; a word is stored whole, as an endpoint stores it.
            unsafe { ptr::write_volatile(self.0.add(offset).cast(), u64::from_le_bytes(word)) };
            return;
        }
        for (at, byte) in data.iter().enumerate() {
            // SAFETY: as above.
            unsafe { ptr::write_volatile(self.0.add(offset + at), *byte) };
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the address is this view's.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.0.cast() }) };
    }
}
