//! A buffer's files as bytes, written past every endpoint.

use crate::{fresh, script::Script};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt as _,
};

pub(crate) const CONTROL: u64 = 128;

/// Access by `pread` and `pwrite`, which tmpfs keeps coherent with every mapping.
pub(crate) struct Segment {
    memory: File,
    semaphores: [File; 2],
    len: u64,
    metadata: u64,
    payload: u64,
}

impl Segment {
    /// Opens the files of a buffer that exists, with the sizes that it was created with.
    pub(crate) fn open(name: &str, metadata: u64, payload: u64) -> Self {
        let [memory, data, space] =
            fresh::shared(name).map(|path| OpenOptions::new().read(true).write(true).open(path).unwrap());
        let len = memory.metadata().unwrap().len();
        Self { memory, semaphores: [data, space], len, metadata, payload }
    }

    fn get(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at).unwrap();
        u64::from_le_bytes(word)
    }

    /// One hostile change: of the control block, the metadata prefix, a frame header, any other word, a semaphore.
    pub(crate) fn damage(&self, script: &mut Script<'_>) {
        let ring = CONTROL + self.metadata;
        let kind = script.byte();
        let at = match kind % 8 {
            0..=2 => u64::from(script.byte() % 16) * 8,
            3 => CONTROL,
            // Where the reader or the writer stands, or shortly behind.
            4 | 5 => {
                let position = self.get(if kind & 8 == 0 { 56 } else { 48 }) % self.payload;
                ring + position + u64::from(script.byte() % 4) * 8
            }
            6 => script.short() % self.len,
            _ => {
                let value = self.value(script, 0);
                let file = &self.semaphores[usize::from(kind >> 3) % 2];
                return file.write_all_at(&value.to_le_bytes(), 0).unwrap();
            }
        };
        // Never beyond the end: the file must keep its size.
        let at = at.min(self.len - 8);
        let value = self.value(script, self.get(at));
        self.memory.write_all_at(&value.to_le_bytes(), at).unwrap();
    }

    /// A value that something may trip over, given what is there.
    fn value(&self, script: &mut Script<'_>, old: u64) -> u64 {
        let payload = self.payload;
        match script.byte() {
            kind @ 0..64 => old ^ (1 << kind),
            kind @ 64..128 => old.wrapping_add(u64::from(kind - 64)).wrapping_sub(32),
            kind @ 128..192 => (payload + u64::from(kind - 128)).wrapping_sub(32),
            kind @ 192..224 => u64::from(kind - 192),
            kind @ 224..240 => u64::MAX - u64::from(kind - 224),
            240..244 => 1 << (script.byte() % 64),
            244..250 => script.short(),
            _ => script.long(),
        }
    }
}
