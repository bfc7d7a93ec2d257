//! macOS: named objects of the kernel, looked at past every endpoint. Shared memory is reached by a
//! mapping alone.

use std::ffi::CString;
use std::ptr;

use super::Name;

fn terminated(name: &str) -> CString {
    CString::new(name).unwrap()
}

/// Which of a buffer's objects exist, by their names. A semaphore whose name would be shortened is
/// left out.
pub(crate) fn existing(name: &str) -> Vec<String> {
    let segment = format!("/{name}");
    let mut found = Vec::new();
    // SAFETY: the name outlives the calls, and the descriptor is this function's own.
    unsafe {
        let descriptor = libc::shm_open(terminated(&segment).as_ptr(), libc::O_RDONLY, 0);
        if descriptor >= 0 {
            libc::close(descriptor);
            found.push(segment);
        }
    }
    for semaphore in [format!("/sem-w-{name}"), format!("/sem-r-{name}")] {
        // SAFETY: the name outlives the calls, and the semaphore is opened here.
        unsafe {
            let opened = libc::sem_open(terminated(&semaphore).as_ptr(), 0);
            if opened != libc::SEM_FAILED {
                libc::sem_close(opened);
                found.push(semaphore);
            }
        }
    }
    found
}

/// A buffer's shared memory; the view keeps the memory and not its name.
#[derive(Debug)]
pub(crate) struct View {
    base: *mut u8,
    len: usize,
}

// SAFETY: plain memory, mapped until the drop; tests access it as bytes.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    pub(crate) fn open(name: &Name) -> Self {
        let segment = terminated(&format!("/{}", &**name));
        // SAFETY: the name outlives the calls, the structure is one that the call fills, and the
        // mapping is a fresh one.
        unsafe {
            let descriptor = libc::shm_open(segment.as_ptr(), libc::O_RDWR, 0);
            assert!(descriptor >= 0, "{}", std::io::Error::last_os_error());
            let mut stat: libc::stat = std::mem::zeroed();
            assert_eq!(libc::fstat(descriptor, &raw mut stat), 0);
            let len = usize::try_from(stat.st_size).unwrap();
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, descriptor, 0);
            assert_ne!(base, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
            libc::close(descriptor);
            Self { base: base.cast(), len }
        }
    }

    pub(crate) fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.len);
        // SAFETY: the range was just checked; its changes by others meanwhile are what the tests
        // are about.
        (offset..offset + len).map(|at| unsafe { self.base.add(at).read_volatile() }).collect()
    }

    pub(crate) fn put(&self, offset: usize, data: &[u8]) {
        assert!(offset + data.len() <= self.len);
        for (at, byte) in (offset..).zip(data) {
            // SAFETY: as in `bytes`.
            unsafe { self.base.add(at).write_volatile(*byte) };
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}
