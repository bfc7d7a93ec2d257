//! S6: a process that may only read a buffer puts read locks on its presence bytes.

use crate::{attack::Target, stage};
use anyhow::Result;
use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
    path::Path,
    thread,
    time::Duration,
};
use zerobuffer::{BufferConfig, Error, Reader, Writer};

const NAME: &str = "camera";
const BUFFER: &str = "/dev/shm/camera";
/// Written by the other user when its lock lies there for the first time.
const LOCKED: &str = "/tmp/locked";
const REFUSED: &str = "/tmp/refused";

#[expect(clippy::unnecessary_wraps, reason = "as the others")]
pub(crate) fn prepare() -> Result<()> {
    Ok(())
}

/// Root's writer comes and goes, at a buffer that everybody may read.
pub(crate) fn connect(target: &Target) -> Result<()> {
    let _reader = Reader::create(NAME, BufferConfig::ring(4096).metadata(0).mode(0o644))?;
    stage::until_there(LOCKED);
    while target.is_open() {
        match Writer::connect(NAME) {
            Ok(writer) => drop(writer),
            Err(error @ Error::WriterAlreadyConnected { .. }) => fs::write(REFUSED, error.to_string())?,
            Err(error) => return Err(error.into()),
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Sets or drops a read lock on the presence byte of the writer, and on its level.
fn read_lock(segment: &File, kind: i32) -> bool {
    [(1, 1), (128, 64)].into_iter().all(|(start, len)| {
        // SAFETY: a zeroed `flock` is valid. The descriptor is open, and the structure outlives
        // the call.
        unsafe {
            let mut lock: libc::flock = std::mem::zeroed();
            lock.l_type = libc::c_short::try_from(kind).unwrap_or_default();
            (lock.l_start, lock.l_len) = (start, len);
            libc::fcntl(segment.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) == 0
        }
    })
}

/// A read lock, held for most of the time.
pub(crate) fn lock(seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    stage::until_there(BUFFER);
    let segment = File::open(BUFFER)?;
    loop {
        // A writer that holds its byte keeps it out for a moment.
        if read_lock(&segment, libc::F_RDLCK) {
            fs::write(LOCKED, "")?;
            thread::sleep(Duration::from_millis(random.u64(1..20)));
        }
        read_lock(&segment, libc::F_UNLCK);
    }
}

pub(crate) fn writer_was_refused() -> Option<String> {
    Path::new(REFUSED).exists().then(|| "root's writer was refused beside a reader of its own".to_owned())
}
