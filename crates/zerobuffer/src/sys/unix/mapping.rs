//! A shared mapping of a whole file, between pages that nobody may touch.

use crate::{memory::Memory, sync::AtomicU64};
use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    ptr::{self, NonNull},
};

/// Huge pages begin at multiples of this, where the kernel has them for shared memory.
const HUGE: usize = 2 << 20;

/// Readable and writable pages, unmapped on drop.
///
/// Before and behind them lies at least one page without access. Whatever a peer has written, an
/// access beyond the mapping ends the process instead of reaching somebody else's bytes. That costs
/// one system call per mapping.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    /// The address range that holds the mapping and the pages around it.
    reserved: NonNull<u8>,
    reserved_len: usize,
}

// SAFETY: the mapping is plain memory, valid from every thread until drop.
unsafe impl Send for Mapping {}
// SAFETY: as above; the callers keep to the bytes that they may touch.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes; the caller has seen that the file is at least that long.
    pub(crate) fn new(file: &File, len: u64) -> io::Result<Self> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = usize::try_from(len).map_err(|_| out_of_memory())?;
        // SAFETY: takes a number, and has no effect.
        let page =
            usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|_| out_of_memory())?;
        let align = if len >= HUGE { HUGE } else { page };
        // Rounding up to the alignment leaves the page in front.
        let reserved_len = len
            .checked_next_multiple_of(page)
            .and_then(|whole| whole.checked_add(align + 2 * page))
            .ok_or_else(out_of_memory)?;
        let nowhere = ptr::null_mut();
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
        let reserved = unsafe { libc::mmap(nowhere, reserved_len, libc::PROT_NONE, private, -1, 0) };
        if reserved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let reserved = NonNull::new(reserved.cast::<u8>()).ok_or_else(out_of_memory)?;
        let first = reserved.addr().get() + page;
        let at = page + (first.next_multiple_of(align) - first);
        // SAFETY: at most `align` bytes behind the first page, inside the reservation.
        let base = unsafe { reserved.add(at) };
        // Unmapped by its drop, whatever comes next.
        let mapping = Self { base, len, reserved, reserved_len };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let fixed = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: the pages replaced are inside the reservation just made, which nobody else knows.
        let mapped = unsafe { libc::mmap(base.as_ptr().cast(), len, access, fixed, file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(mapping) }
    }

    /// The word at an offset below 4096, a multiple of 8.
    #[cfg_attr(
        any(target_os = "macos", macos_sys),
        allow(dead_code, reason = "its semaphores are no memory")
    )]
    pub(crate) fn word<const AT: usize>(&self) -> &AtomicU64 {
        const { assert!(AT.is_multiple_of(8) && AT + 8 <= 4096, "the word lies in the first page") };
        // SAFETY: a mapping is whole pages, aligned to them, and lives as long as the borrow; every
        // process accesses the word atomically.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(AT).cast()) }
    }

    /// Maps all pages now instead of one fault per page at first touch. Only a hint: failure
    /// changes nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn populate(&self) {
        // SAFETY: the range is this mapping; the call reads and writes no byte of it.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_POPULATE_WRITE) };
    }

    /// Takes all pages now instead of one fault per page at first touch. Only for memory that has
    /// no user yet.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn populate(&self) {
        // The smallest page of the system.
        for at in (0..self.len).step_by(4096) {
            // SAFETY: the byte lies in the mapping; a read is enough, since fresh memory has no
            // page of zeros to share.
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
        // SAFETY: the range is this mapping and its margins, and users of its memory hold a share
        // of its owner.
        unsafe { libc::munmap(self.reserved.as_ptr().cast(), self.reserved_len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, ops::Range};

    /// The permissions of the mapping that holds an address of this process.
    fn access(address: usize) -> String {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| {
            let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let hex = |text| usize::from_str_radix(text, 16).unwrap();
            Range { start: hex(start), end: hex(end) }.contains(&address)
        });
        line.map_or("nothing", |line| line.split_whitespace().nth(1).unwrap()).to_owned()
    }

    #[test]
    fn a_mapping_lies_between_pages_without_access() {
        for len in [32, 4096, 10_000, HUGE, HUGE + 64, 3 * HUGE - 4096] {
            let path = std::env::temp_dir().join(format!("zerobuffer-mapping-{}", std::process::id()));
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            fs::remove_file(&path).unwrap();
            file.set_len(len as u64).unwrap();
            let mapping = Mapping::new(&file, len as u64).unwrap();
            let start = mapping.base().addr().get();
            let last_page = (start + len).next_multiple_of(4096);
            assert_eq!((access(start).as_str(), access(start + len - 1).as_str()), ("rw-s", "rw-s"));
            assert_eq!((access(start - 1).as_str(), access(last_page).as_str()), ("---p", "---p"), "{len}");
            assert!(len < HUGE || start.is_multiple_of(HUGE), "{len} bytes at {start:#x}");
        }
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let file = File::open("/proc/self/maps").unwrap();
        assert!(Mapping::new(&file, 4096).is_err());
        assert!(Mapping::new(&file, u64::MAX).is_err());
        assert!(Mapping::new(&file, 1 << 62).is_err());
    }
}
