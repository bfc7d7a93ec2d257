//! Presence locks as the kernel keeps them: one step asks for a holder, and nothing in memory is
//! ordered by it.

use super::{
    file::{File, Inode},
    machine,
};
use crate::{
    crash,
    sync::{Arc, AtomicU64, Ordering},
    sys::Role,
};
use std::{cell::Cell, io};

/// Nothing runs out here.
pub(crate) fn is_shortage(_: &io::Error) -> bool {
    false
}

/// The locks of one file: 0, or who holds them.
#[derive(Debug)]
pub(crate) struct Locks {
    bytes: [AtomicU64; 3],
    /// Announced levels of reader and writer, below the holder's number.
    levels: [AtomicU64; 2],
}

const LEVEL_BITS: u32 = 8;
const COUNT_BITS: u32 = 24;

impl Locks {
    pub(crate) fn new() -> Self {
        Self {
            bytes: std::array::from_fn(|_| AtomicU64::new(0)),
            levels: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn byte(&self, role: Role) -> &AtomicU64 {
        let [reader, writer, claim] = &self.bytes;
        match role {
            Role::Reader => reader,
            Role::Writer => writer,
            Role::Claim => claim,
        }
    }

    fn level(&self, role: Role) -> &AtomicU64 {
        let [reader, writer] = &self.levels;
        if role == Role::Reader { reader } else { writer }
    }

    fn release(&self, is_holder: impl Fn(u64) -> bool) {
        // The levels first. The kernel releases all in one step, so a byte that is found free has
        // its level free too.
        for (lock, bits) in
            self.levels.iter().map(|lock| (lock, LEVEL_BITS)).chain(self.bytes.iter().map(|lock| (lock, 0)))
        {
            let held = lock.fetch_add(0, Ordering::Relaxed);
            if held != 0 && is_holder(held >> bits) {
                // Nobody else changes a lock that is held.
                lock.fetch_sub(held, Ordering::Relaxed);
            }
        }
    }

    /// A process has ended.
    pub(crate) fn release_all(&self, pid: u64) {
        self.release(|holder| holder >> COUNT_BITS == pid);
    }
}

/// The locks of one endpoint on one file, released when this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    file: File,
    /// Process and number of the description that holds them.
    holder: u64,
}

impl Presence {
    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        std::thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });
        COUNT.set((COUNT.get() + 1) & ((1 << COUNT_BITS) - 1));
        Ok(Self { file: file.clone(), holder: machine::own_pid() << COUNT_BITS | COUNT.get() })
    }

    fn inode(&self) -> &Arc<Inode> {
        &self.file.0
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn try_lock(&self, role: Role) -> io::Result<bool> {
        let byte = self.inode().locks.byte(role);
        let locked =
            crash::around(|| byte.compare_exchange(0, self.holder, Ordering::Relaxed, Ordering::Relaxed));
        Ok(locked.is_ok_and(|_| true) || locked == Err(self.holder))
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn unlock(&self, role: Role) -> io::Result<()> {
        let byte = self.inode().locks.byte(role);
        let _ = crash::around(|| byte.compare_exchange(self.holder, 0, Ordering::Relaxed, Ordering::Relaxed));
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        let holder = self.inode().locks.byte(role).fetch_add(0, Ordering::Relaxed);
        Ok(holder != 0 && holder != self.holder)
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn announce(&self, role: Role, level: u8) -> io::Result<bool> {
        let lock = self.inode().locks.level(role);
        let level = if role == Role::Reader { machine::announced(level) } else { level };
        let value = self.holder << LEVEL_BITS | u64::from(level);
        let announced =
            crash::around(|| lock.compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed));
        Ok(announced.is_ok() || announced == Err(value))
    }

    #[allow(clippy::unnecessary_wraps, reason = "as on a real machine")]
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        let level = self.inode().locks.level(role).fetch_add(0, Ordering::Relaxed);
        Ok((level & ((1 << LEVEL_BITS) - 1)) as u8)
    }

    pub(crate) fn is_unlinked(&self) -> bool {
        self.file.is_unlinked()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // The kernel has released those of a dead process.
        if !machine::is_dead() {
            self.inode().locks.release(|holder| holder == self.holder);
        }
    }
}
