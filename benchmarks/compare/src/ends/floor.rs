//! The floor: a busy-polled ring of slots in shared memory that does nothing but the copy.
//!
//! No checks, no waiting other than spinning, no recovery: what a ring on this machine cannot beat.
//! Each side keeps a copy of the other's counter and refreshes it only when that copy says "wait".

use std::fs::{File, OpenOptions, remove_file};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};

use super::transport::{Receiver, Sender, Shape, Transport, until};

pub(crate) struct Floor;

/// Room for the two counters, a cache line pair each.
const COUNTERS: usize = 256;
const READ_AT: usize = 128;

/// One mapping of the ring.
struct Memory {
    base: *mut u8,
    length: usize,
    stride: usize,
    shape: Shape,
}

pub(crate) struct FloorReceiver {
    memory: Memory,
    next: u64,
    written: u64,
    path: PathBuf,
}

pub(crate) struct FloorSender {
    memory: Memory,
    next: u64,
    read: u64,
}

impl Memory {
    fn map(file: &File, shape: Shape) -> Result<Self> {
        let (stride, length) = extent(shape);
        // SAFETY: a new shared mapping of `length` bytes, which the file has; nothing is at an
        // address of our choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            bail!("cannot map {length} bytes: {}", std::io::Error::last_os_error());
        }
        Ok(Self { base: base.cast(), length, stride, shape })
    }

    fn counter(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned, lives as long as `self`, and has COUNTERS bytes
        // before the slots; both processes reach the counters by atomics only.
        unsafe { AtomicU64::from_ptr(self.base.add(at).cast()) }
    }

    fn slot(&self, number: u64) -> *mut u8 {
        let index = number as usize & (self.shape.depth - 1);
        // SAFETY: `index` is below depth, a power of two, and the mapping has that many slots.
        unsafe { self.base.add(COUNTERS + index * self.stride) }
    }
}

/// Bytes from slot to slot, and of the whole.
fn extent(shape: Shape) -> (usize, usize) {
    let stride = shape.bytes.next_multiple_of(64);
    (stride, COUNTERS + stride * shape.depth)
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and nothing borrowed from it outlives
        // `self`.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/{name}"))
}

impl Transport for Floor {
    type Receiver = FloorReceiver;
    type Sender = FloorSender;

    fn receiver(name: &str, shape: Shape) -> Result<FloorReceiver> {
        if !shape.depth.is_power_of_two() {
            bail!("a depth of {} is not a power of two", shape.depth);
        }
        let path = path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.set_len(extent(shape).1 as u64)?;
        Ok(FloorReceiver { memory: Memory::map(&file, shape)?, next: 0, written: 0, path })
    }

    fn sender(name: &str, shape: Shape) -> Result<FloorSender> {
        let path = path(name);
        let file = until("the ring", || Ok(OpenOptions::new().read(true).write(true).open(&path).ok()))
            .with_context(|| path.display().to_string())?;
        Ok(FloorSender { memory: Memory::map(&file, shape)?, next: 0, read: 0 })
    }
}

impl Drop for FloorReceiver {
    fn drop(&mut self) {
        let _ = remove_file(&self.path);
    }
}

impl Receiver for FloorReceiver {
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        while self.written == self.next {
            self.written = self.memory.counter(0).load(Ordering::Acquire);
            if self.written == self.next {
                std::hint::spin_loop();
            }
        }
        // SAFETY: the sender has published this slot and does not touch it until the counter below
        // says so.
        let frame =
            unsafe { std::slice::from_raw_parts(self.memory.slot(self.next), self.memory.shape.bytes) };
        let seen = look(frame);
        self.next += 1;
        self.memory.counter(READ_AT).store(self.next, Ordering::Release);
        Ok(seen)
    }
}

impl Sender for FloorSender {
    fn copy(&mut self, frame: &[u8]) -> Result<()> {
        self.loan(|slot| slot.copy_from_slice(frame))
    }

    fn loan(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        while self.next - self.read == self.memory.shape.depth as u64 {
            self.read = self.memory.counter(READ_AT).load(Ordering::Acquire);
            if self.next - self.read == self.memory.shape.depth as u64 {
                std::hint::spin_loop();
            }
        }
        // SAFETY: the receiver has given this slot back and does not touch it until the counter
        // below says so.
        fill(unsafe { std::slice::from_raw_parts_mut(self.memory.slot(self.next), self.memory.shape.bytes) });
        self.next += 1;
        self.memory.counter(0).store(self.next, Ordering::Release);
        Ok(())
    }
}
