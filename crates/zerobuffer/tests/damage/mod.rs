//! A buffer's files as bytes, damaged past every endpoint: what a hostile peer may do, drawn from a
//! source of bytes.
//!
//! The fuzzer's source is its input, that of the tests with running streams a seeded generator.

#![allow(dead_code, reason = "each user has its own part of this module")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CONTROL: u64 = 128;
/// Bytes of the native block behind the ring; of those, its words and the table of jumps.
const NATIVE: u64 = 1024;
const NATIVE_WORDS: u64 = 56;
const READ_POS: u64 = 56;
const WRITE_POS: u64 = 48;

/// Gives the next byte of a script, or of a generator.
pub(crate) type Source<'a> = &'a mut dyn FnMut() -> u8;

/// Access by `pread` and `pwrite`, which tmpfs keeps coherent with every mapping.
pub(crate) struct Victim {
    memory: File,
    semaphores: [File; 2],
    metadata: u64,
    payload: u64,
    /// Bytes behind the ring: a segment that is made by hand may have none.
    native: u64,
}

/// Where the three shared objects of a buffer lie.
pub(crate) fn objects(name: &str) -> [PathBuf; 3] {
    [name.to_owned(), format!("sem.sem-w-{name}"), format!("sem.sem-r-{name}")]
        .map(|file| Path::new("/dev/shm").join(file))
}

fn short(source: Source<'_>) -> u64 {
    u16::from_le_bytes([source(), source()]).into()
}

fn long(source: Source<'_>) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|_| source()))
}

impl Victim {
    /// Opens the files of a buffer that exists, with the sizes that it was created with.
    pub(crate) fn open(name: &str, metadata: u64, payload: u64) -> io::Result<Self> {
        let [memory, data, space] = objects(name);
        let open = |path| OpenOptions::new().read(true).write(true).open(path);
        let (memory, semaphores) = (open(memory)?, [open(data)?, open(space)?]);
        let native =
            if memory.metadata()?.len() >= CONTROL + metadata + payload + NATIVE { NATIVE } else { 0 };
        Ok(Self { memory, semaphores, metadata, payload, native })
    }

    fn get(&self, at: u64) -> io::Result<u64> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at)?;
        Ok(u64::from_le_bytes(word))
    }

    /// Where the reader or the writer stands in the ring.
    fn position(&self, of_reader: bool) -> io::Result<u64> {
        let block = CONTROL + self.metadata + self.payload;
        let word = |at| self.get(block + at);
        if self.native == 0 || word(128)? % 2 == 0 {
            return Ok(self.get(if of_reader { READ_POS } else { WRITE_POS })? % self.payload);
        }
        let (stream, newest) = (word(if of_reader { 72 } else { 0 })?, word(8)?);
        for number in (newest.saturating_sub(15)..=newest).rev() {
            let entry = 192 + 16 * (number % 16);
            let (at, to) = (word(entry)?, word(entry + 8)?);
            if at <= stream {
                return Ok(to.wrapping_add(stream - at) % self.payload);
            }
        }
        Ok(0)
    }

    /// One change: of the control block, the native block, the metadata prefix, a frame header, any
    /// other word, or a semaphore.
    pub(crate) fn damage(&self, source: Source<'_>) -> io::Result<()> {
        let ring = CONTROL + self.metadata;
        let kind = source();
        let at = match kind % 8 {
            0..=2 if kind & 8 != 0 && self.native != 0 => {
                ring + self.payload + u64::from(source()) % NATIVE_WORDS * 8
            }
            0..=2 => u64::from(source() % 16) * 8,
            3 => CONTROL,
            // Where the reader or the writer stands, or shortly behind.
            4 | 5 => ring + self.position(kind & 8 == 0)? + u64::from(source() % 4) * 8,
            6 => short(source) % (ring + self.payload + self.native),
            // Only Linux has the semaphores in memory.
            _ if cfg!(macos_sys) => CONTROL,
            _ => {
                let value = self.value(source, 0);
                let [data, space] = &self.semaphores;
                let file = if kind & 8 == 0 { data } else { space };
                return file.write_all_at(&value.to_le_bytes(), 0);
            }
        };
        // Never beyond the end: the file must keep its size.
        let at = at.min(ring + self.payload + self.native - 8);
        let value = self.value(source, self.get(at)?);
        self.memory.write_all_at(&value.to_le_bytes(), at)
    }

    /// A value that something may trip over, given what is there.
    fn value(&self, source: Source<'_>, old: u64) -> u64 {
        let payload = self.payload;
        match source() {
            kind @ 0..64 => old ^ (1 << kind),
            kind @ 64..128 => old.wrapping_add(u64::from(kind - 64)).wrapping_sub(32),
            kind @ 128..192 => (payload + u64::from(kind - 128)).wrapping_sub(32),
            kind @ 192..224 => u64::from(kind - 192),
            kind @ 224..240 => u64::MAX - u64::from(kind - 224),
            240..244 => 1 << (source() % 64),
            244..250 => short(source),
            _ => long(source),
        }
    }
}

/// A seeded generator of bytes (splitmix64).
pub(crate) fn generator(mut seed: u64) -> impl FnMut() -> u8 {
    move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 56) as u8
    }
}

/// Damages whichever buffers have the names, again and again, for so long; how many changes were
/// made.
///
/// The pauses are of every length up to some milliseconds, so the ends get everywhere between two
/// changes.
pub(crate) fn keep_damaging(names: &[String], metadata: u64, payload: u64, seed: u64, time: Duration) -> u64 {
    let (mut source, started, mut changes) = (generator(seed), Instant::now(), 0);
    while started.elapsed() < time {
        for name in names {
            // There is none while its reader makes it anew, and it may shrink away in between.
            let Ok(victim) = Victim::open(name, metadata, payload) else { continue };
            for _ in 0..=source() % 4 {
                changes += u64::from(victim.damage(&mut source).is_ok());
            }
        }
        thread::sleep(Duration::from_micros(1 << (source() % 14)));
    }
    changes
}
