//! A buffer's shared memory as bytes, read and written past every endpoint.

#[cfg(target_os = "linux")]
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
};

use super::Name;

pub(crate) const OIEB_SIZE: u64 = 0;
pub(crate) const VERSION: u64 = 4;
pub(crate) const METADATA_SIZE: u64 = 8;
pub(crate) const METADATA_FREE: u64 = 16;
pub(crate) const METADATA_WRITTEN: u64 = 24;
pub(crate) const PAYLOAD_SIZE: u64 = 32;
pub(crate) const FREE: u64 = 40;
pub(crate) const WRITE_POS: u64 = 48;
pub(crate) const READ_POS: u64 = 56;
pub(crate) const WRITTEN_COUNT: u64 = 64;
pub(crate) const READ_COUNT: u64 = 72;
pub(crate) const WRITER_PID: u64 = 80;
pub(crate) const READER_PID: u64 = 88;
/// Words of the native block, as offsets in it.
pub(crate) const PUBLISHED: u64 = 0;
pub(crate) const JUMPS: u64 = 8;
pub(crate) const FRAMES: u64 = 24;
pub(crate) const NEXT: u64 = 32;
pub(crate) const CREDITED: u64 = 64;
pub(crate) const TAKEN: u64 = 72;
pub(crate) const FORM: u64 = 128;
/// Where the metadata block starts.
pub(crate) const METADATA: u64 = 128;

/// Access by `pread` and `pwrite`, which tmpfs keeps coherent with every mapping.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct Segment(File);

#[cfg(target_os = "linux")]
impl Segment {
    pub(crate) fn open(name: &Name) -> Self {
        let path = name.shm();
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Self(file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.0.read_exact_at(&mut data, offset).unwrap();
        data
    }

    pub(crate) fn put(&self, offset: u64, data: &[u8]) {
        self.0.write_all_at(data, offset).unwrap();
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }
}

/// Access by a view, which keeps the memory and not its name.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Segment(super::kernel::View);

#[cfg(not(target_os = "linux"))]
impl Segment {
    pub(crate) fn open(name: &Name) -> Self {
        Self(super::kernel::View::open(name))
    }

    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        self.0.bytes(offset as usize, len)
    }

    pub(crate) fn put(&self, offset: u64, data: &[u8]) {
        self.0.put(offset as usize, data);
    }

    /// The tests that ask make whole segments with native readers.
    #[allow(clippy::unused_self, reason = "as the other one")]
    pub(crate) fn len(&self) -> u64 {
        u64::MAX
    }
}

impl Segment {
    pub(crate) fn get(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.bytes(offset, 8).try_into().unwrap())
    }

    pub(crate) fn set(&self, offset: u64, value: u64) {
        self.put(offset, &value.to_le_bytes());
    }

    /// A word of the native block; 0 if the segment has none.
    pub(crate) fn native(&self, word: u64) -> u64 {
        let block = self.ring() + self.get(PAYLOAD_SIZE);
        if self.len() < block + 1024 { 0 } else { self.get(block + word) }
    }

    pub(crate) fn set_native(&self, word: u64, value: u64) {
        self.set(self.ring() + self.get(PAYLOAD_SIZE) + word, value);
    }

    /// Whether the ring is in native form.
    pub(crate) fn is_native(&self) -> bool {
        self.native(FORM) % 2 == 1
    }

    /// Bytes that are free, whichever form the ring is in.
    pub(crate) fn free(&self) -> u64 {
        if self.is_native() {
            self.get(PAYLOAD_SIZE) - (self.native(PUBLISHED) - self.native(CREDITED))
        } else {
            self.get(FREE)
        }
    }

    /// The segment offset of ring position 0.
    pub(crate) fn ring(&self) -> u64 {
        METADATA + self.get(METADATA_SIZE)
    }
}

/// A whole segment made by hand: control block, empty metadata block, empty ring.
pub(crate) fn by_hand(metadata: u64, payload: u64, reader_pid: u64) -> Vec<u8> {
    let mut data = vec![0; usize::try_from(128 + metadata + payload).unwrap()];
    data[..8].copy_from_slice(&[128, 0, 0, 0, 1, 0, 0, 0]);
    for (offset, value) in [
        (METADATA_SIZE, metadata),
        (METADATA_FREE, metadata),
        (PAYLOAD_SIZE, payload),
        (FREE, payload),
        (READER_PID, reader_pid),
    ] {
        data[offset as usize..offset as usize + 8].copy_from_slice(&value.to_le_bytes());
    }
    data
}

/// The bytes of a glibc semaphore, as another process would have left it in /dev/shm.
#[cfg(target_os = "linux")]
pub(crate) fn semaphore_by_hand(value: u32) -> Vec<u8> {
    let mut data = vec![0; 32];
    // SAFETY: `data` is at least as large and, being from the allocator, as aligned as a `sem_t`.
    let done = unsafe { libc::sem_init(data.as_mut_ptr().cast(), 1, value) };
    assert_eq!(done, 0);
    data
}
