//! Numbered places for what handles stand for, and the handles themselves.
//!
//! A place is used again, a handle never is: it bears the number of the use.

use std::{
    ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Reader = 1,
    Writer,
    Frame,
    Options,
    Client,
    Server,
    Responder,
    Info,
    Tap,
    Newest,
    Broadcaster,
    Subscriber,
}

const INDEX_BITS: u32 = 20;
const INDEX: u64 = (1 << INDEX_BITS) - 1;
/// A place can be used so often before a handle comes again: a week of ten million frames per
/// second through one place.
const GENERATION: u64 = (1 << 39) - 1;
/// Above the generation, in no handle: a thread is in a call on it.
pub(crate) const BUSY: u64 = 1 << BUSY_BIT;
const BUSY_BIT: u32 = 59;
const KIND_SHIFT: u32 = 60;

const CHUNK: usize = 256;
const CHUNKS: usize = (1 << INDEX_BITS) / CHUNK;

/// One place.
pub(crate) trait Place: Default + Send + Sync {
    /// How often it was used.
    fn uses(&self) -> &AtomicU64;
}

/// All places of one kind. They are never freed, so a stale handle leads to a place, whose handle
/// is another one.
pub(crate) struct Slots<P> {
    kind: Kind,
    /// NULL, or a chunk that stays for ever.
    chunks: [AtomicPtr<[P; CHUNK]>; CHUNKS],
    free: Mutex<Free>,
}

struct Free {
    indices: Vec<u32>,
    chunks: usize,
}

impl<P: Place> Slots<P> {
    #[allow(clippy::large_stack_arrays, reason = "evaluated when the library is compiled")]
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            free: Mutex::new(Free { indices: Vec::new(), chunks: 0 }),
        }
    }

    /// The place that a handle was made for, if it is one of this kind. Whether it still is open
    /// under it is another question.
    #[inline(always)]
    pub(crate) fn find(&self, handle: u64) -> Option<&P> {
        if handle >> BUSY_BIT != (self.kind as u64) << (KIND_SHIFT - BUSY_BIT) {
            return None;
        }
        self.at((handle & INDEX) as usize)
    }

    #[inline(always)]
    pub(crate) fn at(&self, index: usize) -> Option<&P> {
        let chunk = self.chunks.get(index / CHUNK)?.load(Ordering::Acquire);
        // SAFETY: `take` has put it there, and nobody frees it or makes a mutable reference to it.
        unsafe { chunk.as_ref() }?.get(index % CHUNK)
    }

    /// So many free places, if there are.
    pub(crate) fn take(&self, count: usize, into: &mut Vec<u32>) {
        let mut free = self.lock();
        if free.indices.is_empty() && free.chunks < CHUNKS {
            let chunk = free.chunks;
            free.chunks += 1;
            let places: Box<[P]> = (0..CHUNK).map(|_| P::default()).collect();
            let places: Result<Box<[P; CHUNK]>, _> = places.try_into();
            // Nobody else makes this chunk: its number is taken under the lock.
            if let (Some(place), Ok(places)) = (self.chunks.get(chunk), places) {
                place.store(Box::into_raw(places), Ordering::Release);
            }
            let first = (chunk * CHUNK) as u32;
            free.indices.extend((first..first + CHUNK as u32).rev());
        }
        let at = free.indices.len().saturating_sub(count);
        into.extend(free.indices.drain(at..));
    }

    pub(crate) fn give_back(&self, indices: impl IntoIterator<Item = u32>) {
        self.lock().indices.extend(indices);
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle of the next use of a free place, which is the caller's alone.
    #[inline]
    pub(crate) fn next_handle(&self, index: u32, place: &P) -> u64 {
        let uses = (place.uses().load(Ordering::Relaxed) + 1) & GENERATION;
        place.uses().store(uses, Ordering::Relaxed);
        (self.kind as u64) << KIND_SHIFT | uses << INDEX_BITS | u64::from(index)
    }
}

#[inline]
pub(crate) fn index_of(handle: u64) -> u32 {
    (handle & INDEX) as u32
}
