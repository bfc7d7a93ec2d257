//! S3: memory of another program that looks like a half-made buffer, with companions that somebody
//! else has planted.

use crate::attack::Target;
use anyhow::Result;
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, SystemTime},
};
use zerobuffer::{BufferConfig, Reader, observe};

/// What a program of root's has made: zeros so far.
const MEMORY: &str = "/dev/shm/psm_4711";
const NAME: &str = "psm_4711";
const SIZE: usize = 921_600;

pub(crate) fn prepare() -> Result<()> {
    fs::write(MEMORY, vec![0; SIZE])?;
    Ok(())
}

/// Root looks for a buffer of its own under that name, and has left-overs removed.
pub(crate) fn create_and_clean(target: &Target) -> Result<()> {
    while target.is_open() {
        if let Ok(reader) = Reader::create(NAME, BufferConfig::ring(64).metadata(0)) {
            let _ = reader.close();
        }
        for orphan in observe::orphans()? {
            let _ = observe::remove(&orphan);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

pub(crate) fn plant(_: u64) -> Result<()> {
    let mut semaphore = vec![0; 32];
    if let Some(shared) = semaphore.get_mut(8) {
        *shared = 128;
    }
    let _ = fs::create_dir_all("/tmp/zerobuffer/locks");
    loop {
        for path in ["/dev/shm/sem.sem-w-psm_4711", "/dev/shm/sem.sem-r-psm_4711"] {
            if !Path::new(path).exists() {
                fs::write(path, &semaphore)?;
            }
        }
        for path in ["/tmp/zerobuffer/psm_4711.lock", "/tmp/zerobuffer/locks/psm_4711.lock"] {
            if !Path::new(path).exists() {
                let _ = fs::write(path, "");
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn memory_was_touched() -> Option<String> {
    match fs::metadata(MEMORY) {
        Err(_) => Some(format!("{MEMORY} is gone")),
        Ok(meta) if meta.len() != SIZE as u64 => Some(format!("{MEMORY} has another size")),
        Ok(meta) => {
            let age = meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            let is_changed = fs::read(MEMORY).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0));
            is_changed.then(|| format!("{MEMORY} was written to, {age:?} ago"))
        }
    }
}
