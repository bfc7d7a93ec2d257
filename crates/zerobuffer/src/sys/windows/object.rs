//! Kernel objects by name: made or opened, closed on drop.

use std::{
    ffi::OsStr,
    io,
    os::windows::{
        ffi::OsStrExt,
        io::{AsRawHandle, FromRawHandle, OwnedHandle},
    },
    ptr,
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE,
        ERROR_PATH_NOT_FOUND, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
    },
    System::{
        Memory::{CreateFileMappingW, OpenFileMappingW, PAGE_READWRITE, SEC_COMMIT},
        Threading::{
            CreateEventW, CreateSemaphoreW, OpenEventW, OpenSemaphoreW, SYNCHRONIZATION_SYNCHRONIZE,
        },
    },
};

/// An object that was asked for by name.
pub(super) struct Named {
    pub(super) handle: OwnedHandle,
    /// It was there before; then its size and contents are another process's choice.
    pub(super) existed: bool,
}

/// A text as the system takes it: UTF-16, ended by 0.
struct Wide(Vec<u16>);

impl Wide {
    fn new(text: &str) -> Self {
        Self(OsStr::new(text).encode_wide().chain([0]).collect())
    }

    fn as_ptr(&self) -> *const u16 {
        self.0.as_ptr()
    }
}

/// Takes over the handle that a call has just returned; the calling thread's last error is still
/// that call's.
fn owned(handle: HANDLE) -> io::Result<Named> {
    // SAFETY: reads a word of this thread.
    let error = unsafe { GetLastError() };
    if handle.is_null() {
        return Err(io::Error::from_raw_os_error(error.cast_signed()));
    }
    // SAFETY: the handle is valid, and this is its only owner.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok(Named { handle, existed: error == ERROR_ALREADY_EXISTS })
}

/// A section of that many bytes, all of them committed: that there is not enough is an error here
/// and never a fault later.
pub(super) fn make_section(name: &str, size: u64) -> io::Result<Named> {
    let name = Wide::new(name);
    let (high, low) = ((size >> 32) as u32, size as u32);
    let protection = PAGE_READWRITE | SEC_COMMIT;
    // SAFETY: the name outlives the call; no file stands behind the section, the attributes are the
    // default ones.
    owned(unsafe {
        CreateFileMappingW(INVALID_HANDLE_VALUE, ptr::null(), protection, high, low, name.as_ptr())
    })
}

pub(super) fn open_section(name: &str, access: u32) -> io::Result<OwnedHandle> {
    let name = Wide::new(name);
    // SAFETY: the name outlives the call.
    owned(unsafe { OpenFileMappingW(access, 0, name.as_ptr()) }).map(|named| named.handle)
}

/// A semaphore without a token, or the one that has the name.
pub(super) fn make_semaphore(name: &str) -> io::Result<Named> {
    let name = Wide::new(name);
    // SAFETY: the name outlives the call; the attributes are the default ones.
    owned(unsafe { CreateSemaphoreW(ptr::null(), 0, i32::MAX, name.as_ptr()) })
}

pub(super) fn open_semaphore(name: &str, access: u32) -> io::Result<OwnedHandle> {
    let name = Wide::new(name);
    // SAFETY: the name outlives the call.
    owned(unsafe { OpenSemaphoreW(access, 0, name.as_ptr()) }).map(|named| named.handle)
}

/// An event of which nothing but its existence is ever looked at.
pub(super) fn make_event(name: &str) -> io::Result<Named> {
    let name = Wide::new(name);
    // SAFETY: the name outlives the call; the attributes are the default ones.
    owned(unsafe { CreateEventW(ptr::null(), 1, 0, name.as_ptr()) })
}

/// Whether an event of that name exists; one that this user may not open does.
pub(super) fn event_exists(name: &str) -> io::Result<bool> {
    let name = Wide::new(name);
    // SAFETY: the name outlives the call.
    match owned(unsafe { OpenEventW(SYNCHRONIZATION_SYNCHRONIZE, 0, name.as_ptr()) }) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) if is_denied(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn has_code(error: &io::Error, codes: &[u32]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code.cast_unsigned()))
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    has_code(error, &[ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND])
}

pub(super) fn is_denied(error: &io::Error) -> bool {
    has_code(error, &[ERROR_ACCESS_DENIED])
}

/// Another kind of object has the name.
pub(super) fn is_other_kind(error: &io::Error) -> bool {
    has_code(error, &[ERROR_INVALID_HANDLE])
}

pub(super) fn raw(handle: &OwnedHandle) -> HANDLE {
    handle.as_raw_handle()
}
