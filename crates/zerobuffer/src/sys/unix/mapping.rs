//! A shared mapping of a whole file.

use crate::ring::Memory;
use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    ptr::{self, NonNull},
};

/// Readable and writable pages, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory, valid from every thread until drop.
unsafe impl Send for Mapping {}
// SAFETY: as above; who may touch which byte is the users' concern.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes; the caller has seen that the file is at least that long.
    pub(crate) fn new(file: &File, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// Maps all pages now instead of one fault per page at first touch. Only a hint: failure changes nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn populate(&self) {
        // SAFETY: the range is this mapping; the call reads and writes no byte of it.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_POPULATE_WRITE) };
    }

    /// Takes all pages now instead of one fault per page at first touch. Only for memory that has no user yet.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn populate(&self) {
        // The smallest page of the system.
        for at in (0..self.len).step_by(4096) {
            // SAFETY: the byte lies in the mapping; a read is enough, since fresh memory has no page of zeros to share.
            unsafe { ptr::read_volatile(self.base.as_ptr().add(at)) };
        }
    }
}

// SAFETY: a mapping keeps its address and length until drop.
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
        // SAFETY: the range is this mapping, and users of its memory hold a share of its owner.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
