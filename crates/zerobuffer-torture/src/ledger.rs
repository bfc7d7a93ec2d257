//! What an endpoint has done, in a file of its own that outlives its process: a mapped page of
//! plain counters.

use anyhow::{Context as _, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

const BYTES: usize = 4096;

/// One counter.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    /// Inode of the segment.
    Segment,
    /// First sequence number: the next one at the attach, or 1.
    First,
    /// Last sequence number that was committed, or delivered.
    Last,
    Frames,
    Bytes,
}

/// The writing side; one thread writes.
pub(crate) struct Ledger {
    base: NonNull<u64>,
}

impl Ledger {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let make = || {
            let file = File::options().read(true).write(true).create_new(true).open(path)?;
            file.set_permissions(fs::Permissions::from_mode(0o666))?;
            file.set_len(BYTES as u64)?;
            // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that
            // exists.
            let base = unsafe {
                let protection = ProtFlags::READ | ProtFlags::WRITE;
                mmap(ptr::null_mut(), BYTES, protection, MapFlags::SHARED, &file, 0)?
            };
            NonNull::new(base.cast()).ok_or(std::io::ErrorKind::OutOfMemory.into())
        };
        let base = make().map_err(|error: std::io::Error| error);
        Ok(Self { base: base.with_context(|| format!("cannot make {}", path.display()))? })
    }

    fn word(&self, field: Field) -> &AtomicU64 {
        // SAFETY: the mapping is never removed, page aligned, and longer than all fields; all
        // accesses are atomic.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(field as usize)) }
    }

    pub(crate) fn set(&self, field: Field, value: u64) {
        self.word(field).store(value, Ordering::Release);
    }

    /// Records a frame that has been committed or delivered.
    pub(crate) fn frame(&self, sequence: u64, bytes: usize) {
        self.set(Field::Last, sequence);
        self.set(Field::Frames, self.word(Field::Frames).load(Ordering::Relaxed) + 1);
        self.set(Field::Bytes, self.word(Field::Bytes).load(Ordering::Relaxed) + bytes as u64);
    }
}

/// A ledger as the supervisor reads it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    pub(crate) segment: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Record {
    fn read(path: &Path) -> Result<Self> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let word = |field: Field| {
            let start = field as usize * 8;
            let bytes = data.get(start..start + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        Ok(Self {
            segment: word(Field::Segment),
            first: word(Field::First),
            last: word(Field::Last),
            frames: word(Field::Frames),
            bytes: word(Field::Bytes),
        })
    }
}

/// All ledgers of a round whose file name starts with `prefix`, in the order of the numbers in it.
pub(crate) fn records(folder: &Path, prefix: &str) -> Result<Vec<Record>> {
    Ok(numbered(folder, prefix)?.into_iter().map(|(_, record)| record).collect())
}

/// The same, each with the number of its process.
pub(crate) fn numbered(folder: &Path, prefix: &str) -> Result<Vec<(u64, Record)>> {
    let mut found: Vec<(Vec<u64>, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(rest) = name.strip_prefix(prefix) {
            found.push((rest.split('-').filter_map(|number| number.parse().ok()).collect(), path));
        }
    }
    found.sort();
    let read = |(numbers, path): (Vec<u64>, PathBuf)| -> Result<(u64, Record)> {
        Ok((numbers.first().copied().unwrap_or(0), Record::read(&path)?))
    };
    found.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read() {
        let folder = std::env::temp_dir().join(format!("torture-ledger-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let ledger = Ledger::create(&folder.join("w-1")).unwrap();
        ledger.set(Field::Segment, 77);
        ledger.set(Field::First, 5);
        ledger.frame(5, 100);
        ledger.frame(6, 20);
        for later in ["w-10-0", "w-2-1", "w-2-0"] {
            Ledger::create(&folder.join(later)).unwrap();
        }
        let found = records(&folder, "w-").unwrap();
        let none = records(&folder, "r-").unwrap();
        let numbers: Vec<u64> =
            numbered(&folder, "w-").unwrap().into_iter().map(|(number, _)| number).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert!(none.is_empty());
        assert_eq!(numbers, [1, 2, 2, 10]);
        let Record { segment, first, last, frames, bytes } = found[0];
        assert_eq!((segment, first, last, frames, bytes), (77, 5, 6, 2, 120));
    }
}
