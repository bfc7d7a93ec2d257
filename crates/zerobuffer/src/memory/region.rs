//! The shared segment as the protocol sees it: control words by atomics, the ring by checked byte
//! ranges.
//!
//! Every read and write of shared memory by the ring goes through this file. It knows no cursor.

#[cfg(test)]
pub(crate) mod heap;
mod hints;
mod metadata;

pub(crate) use hints::order_stores;

#[cfg(any(loom, shuttle))]
use super::Tracked;
use super::place::{Slot, Span};
#[cfg(any(loom, shuttle))]
use crate::sync::Arc;
use crate::{
    crash,
    layout::{FRAME_HEADER_SIZE, FrameHeader, Geometry, NATIVE_SIZE, NativeWord, Word},
    sync::{AtomicU64, Ordering},
};
use std::{
    fmt,
    ptr::{self, NonNull},
};

/// A private word, of std also under a model checker.
type AtomicWord = std::sync::atomic::AtomicU64;

/// A word at any address, as headers lie; one load, where bytes would be sixteen.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned(u64);

/// Memory that a region can lie in.
///
/// # Safety
///
/// `base` stays the same, and points at `len` readable and writable bytes, until the value is
/// dropped.
pub(crate) unsafe trait Memory: Send + Sync + 'static {
    fn base(&self) -> NonNull<u8>;
    fn len(&self) -> usize;
    /// A model checker's words cannot lie in plain memory.
    #[cfg(any(loom, shuttle))]
    fn tracked(&self) -> Arc<Tracked>;
}

/// A mapped segment.
pub(crate) struct Region {
    base: NonNull<u8>,
    /// Where the ring begins.
    ring: NonNull<u8>,
    /// Where the native block begins: behind the ring, or, where the segment has none, in `_spare`.
    native: NonNull<u8>,
    geometry: Geometry,
    #[cfg(any(loom, shuttle))]
    tracked: Arc<Tracked>,
    _memory: Box<dyn Memory>,
    /// A block of nobody else's, all zero: the words of a segment without one say "legacy form" for
    /// ever.
    _spare: Option<Box<[AtomicWord; NATIVE_SIZE as usize / 8]>>,
    /// Up to where the reader has seen frames published, on the scale of [`Span::end`].
    #[cfg(debug_assertions)]
    published: std::sync::atomic::AtomicU64,
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("geometry", &self.geometry).finish_non_exhaustive()
    }
}

// SAFETY: control words are atomics; the protocol gives every other byte to one endpoint at a time.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// `None` if the memory is too small for the geometry, or not aligned.
    pub(crate) fn new(memory: impl Memory, geometry: Geometry) -> Option<Self> {
        let base = memory.base();
        let fits = memory.len() as u64 >= geometry.segment() && base.as_ptr().addr().is_multiple_of(8);
        if !fits {
            return None;
        }
        let spare =
            (!geometry.native).then(|| Box::new([const { AtomicWord::new(0) }; NATIVE_SIZE as usize / 8]));
        let native = match &spare {
            Some(spare) => NonNull::from(&**spare).cast(),
            // SAFETY: the block is behind the ring, inside of what was just measured.
            None => unsafe { base.add(geometry.native_offset() as usize) },
        };
        Some(Self {
            base,
            native,
            // SAFETY: the ring is behind the control block and the metadata, inside of what was
            // just measured.
            ring: unsafe { base.add(geometry.payload_offset() as usize) },
            geometry,
            #[cfg(any(loom, shuttle))]
            tracked: memory.tracked(),
            _memory: Box::new(memory),
            _spare: spare,
            #[cfg(debug_assertions)]
            published: 0.into(),
        })
    }

    /// The share of the ring that is in use, 0.0 to 1.0.
    #[allow(clippy::cast_precision_loss, reason = "a share is rounded anyway")]
    pub(crate) fn utilization(&self) -> f64 {
        let capacity = self.capacity();
        let used = if self.is_native() {
            let credited = self.native_load(NativeWord::CREDITED, Ordering::Relaxed);
            self.native_load(NativeWord::PUBLISHED, Ordering::Relaxed).saturating_sub(credited)
        } else {
            capacity.saturating_sub(self.load(Word::PayloadFree, Ordering::Relaxed))
        };
        used.min(capacity) as f64 / capacity as f64
    }

    /// Whether the ring is in native form, read without an order.
    pub(crate) fn is_native(&self) -> bool {
        self.native_load(NativeWord::FORM, Ordering::Relaxed) % 2 == 1
    }

    /// Ring size in bytes, P.
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.geometry.payload
    }

    /// Bytes of the metadata block.
    pub(crate) fn metadata_capacity(&self) -> u64 {
        self.geometry.metadata
    }

    #[cfg(any(loom, shuttle))]
    fn word(&self, word: Word) -> &AtomicU64 {
        self.tracked.word(word)
    }

    #[cfg(not(any(loom, shuttle)))]
    #[inline]
    fn word(&self, word: Word) -> &AtomicU64 {
        // SAFETY: every word lies in the first 128 bytes at a multiple of 8, and is accessed
        // atomically by all.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(word as usize).cast()) }
    }

    #[cfg(any(loom, shuttle))]
    fn native(&self, word: NativeWord) -> &AtomicU64 {
        self.tracked.native(word)
    }

    #[cfg(not(any(loom, shuttle)))]
    #[inline]
    fn native(&self, word: NativeWord) -> &AtomicU64 {
        // SAFETY: every word lies in the block's 1024 bytes at a multiple of 8, and is accessed
        // atomically by all.
        unsafe { AtomicU64::from_ptr(self.native.as_ptr().add(word.offset()).cast()) }
    }

    #[inline]
    pub(crate) fn native_load(&self, word: NativeWord, order: Ordering) -> u64 {
        self.native(word).load(order)
    }

    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    pub(crate) fn native_store(&self, word: NativeWord, value: u64, order: Ordering) {
        crash::around(|| self.native(word).store(value, order));
    }

    /// Adds and returns the value before; adding 0 reads the newest value.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn native_add(&self, word: NativeWord, value: u64, order: Ordering) -> u64 {
        crash::around(|| self.native(word).fetch_add(value, order))
    }

    #[inline]
    pub(crate) fn load(&self, word: Word, order: Ordering) -> u64 {
        self.word(word).load(order)
    }

    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    pub(crate) fn store(&self, word: Word, value: u64, order: Ordering) {
        crash::around(|| self.word(word).store(value, order));
    }

    /// Adds and returns the value before.
    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    pub(crate) fn add(&self, word: Word, value: u64) -> u64 {
        self.add_as(word, value, Ordering::SeqCst)
    }

    /// [`Self::add`] as the end of an edge.
    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    pub(crate) fn add_as(&self, word: Word, value: u64, order: Ordering) -> u64 {
        crash::around(|| self.word(word).fetch_add(value, order))
    }

    /// Subtracts and returns the value before.
    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    pub(crate) fn subtract_as(&self, word: Word, value: u64, order: Ordering) -> u64 {
        crash::around(|| self.word(word).fetch_sub(value, order))
    }

    /// Replaces `old` by `new`; `false` if the word holds something else.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn exchange(&self, word: Word, old: u64, new: u64) -> bool {
        self.exchange_as(word, old, new, Ordering::SeqCst)
    }

    /// [`Self::exchange`] as the end of an edge.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn exchange_as(&self, word: Word, old: u64, new: u64, order: Ordering) -> bool {
        let word = self.word(word);
        crash::around(|| word.compare_exchange(old, new, order, Ordering::SeqCst).is_ok())
    }

    /// The address of `len` ring bytes at `at`; `None` if they are not inside the ring.
    #[inline]
    fn ring(&self, at: u64, len: u64) -> Option<NonNull<u8>> {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.geometry.payload);
        // SAFETY: offset and length are inside the segment, as `new` promises its size.
        inside.then(|| unsafe { self.ring.add(at as usize) })
    }

    /// A copy of the header at `at`, made once; `None` if there is no room for one.
    #[inline]
    pub(crate) fn header(&self, at: u64) -> Option<FrameHeader> {
        let address = self.ring(at, FRAME_HEADER_SIZE)?;
        self.reads(address, FRAME_HEADER_SIZE);
        let address = address.cast::<Unaligned>();
        // SAFETY: 16 readable bytes. A header that its writer may be storing just now is read only
        // to be judged implausible; volatile keeps it a single copy.
        let [size, sequence] = unsafe { [address.read_volatile(), address.add(1).read_volatile()] };
        Some(FrameHeader { size: u64::from_le(size.0), sequence: u64::from_le(sequence.0) })
    }

    /// Stores a header; `false` if there is no room for one.
    #[cfg_attr(crash_points, track_caller)]
    #[inline]
    #[must_use]
    pub(crate) fn put_header(&self, at: u64, header: FrameHeader) -> bool {
        let Some(address) = self.ring(at, FRAME_HEADER_SIZE) else { return false };
        self.writes(address, FRAME_HEADER_SIZE);
        // SAFETY: 16 writable bytes that no reader looks at before they are published.
        crash::around(|| unsafe { ptr::write(address.as_ptr().cast::<[u8; 16]>(), header.to_bytes()) });
        true
    }

    /// The payload range of a frame whose header is at `at`; empty if it is not inside the ring.
    #[inline]
    fn payload(&self, at: u64, len: u64) -> NonNull<[u8]> {
        let start = at.checked_add(FRAME_HEADER_SIZE).and_then(|start| self.ring(start, len));
        match start {
            Some(start) => NonNull::slice_from_raw_parts(start, len as usize),
            None => NonNull::slice_from_raw_parts(NonNull::dangling(), 0),
        }
    }

    /// Tells debug builds up to where the reader has seen frames published.
    #[inline]
    pub(crate) fn note_published(&self, end: u64) {
        #[cfg(debug_assertions)]
        self.published.fetch_max(end, Ordering::Relaxed);
        let _ = end;
    }

    /// In debug builds: a frame lies in what was published, and in its own share of that. An access
    /// outside of it, and inside the mapping, is one that no guard page and no sanitizer sees.
    #[inline]
    fn check(&self, span: &Span) {
        #[cfg(debug_assertions)]
        {
            let published = self.published.load(Ordering::Relaxed);
            let Span { at, size, start, end, .. } = *span;
            let inside = size.checked_add(FRAME_HEADER_SIZE).is_some_and(|total| total <= end - start);
            let inside = inside && at <= self.capacity() && end - start <= self.capacity() - at;
            debug_assert!(inside && end <= published, "{span:?} of {published} bytes published");
        }
        let _ = span;
    }

    /// The address as it is; to loom's tests, a read of these bytes by the caller.
    #[inline]
    fn read_only(&self, bytes: NonNull<[u8]>) -> NonNull<[u8]> {
        self.reads(bytes.cast(), bytes.len() as u64);
        bytes
    }

    /// The address as it is; to loom's tests, a write of these bytes by the caller.
    #[inline]
    fn writable(&self, bytes: NonNull<[u8]>) -> NonNull<[u8]> {
        self.writes(bytes.cast(), bytes.len() as u64);
        bytes
    }

    #[inline]
    #[cfg_attr(not(loom), allow(clippy::unused_self, reason = "only loom's bytes are tracked"))]
    fn reads(&self, _start: NonNull<u8>, _len: u64) {
        #[cfg(loom)]
        self.tracked.reads(_start.addr().get() - self.base.addr().get(), _len as usize);
    }

    #[inline]
    #[cfg_attr(not(loom), allow(clippy::unused_self, reason = "only loom's bytes are tracked"))]
    fn writes(&self, _start: NonNull<u8>, _len: u64) {
        #[cfg(loom)]
        self.tracked.writes(_start.addr().get() - self.base.addr().get(), _len as usize);
    }

    /// The payload of a frame that has been read and not released.
    #[inline]
    pub(crate) fn frame(&self, span: &Span) -> &[u8] {
        self.check(span);
        // SAFETY: the range is inside the ring, and the region keeps it mapped. The protocol leaves
        // the bytes of a frame alone until its span is released. A peer that breaks the protocol is
        // SECURITY.md's subject.
        unsafe { self.read_only(self.payload(span.at, span.size)).as_ref() }
    }

    /// The payload of a frame that has been read and not released, to be changed in place.
    #[inline]
    pub(crate) fn frame_mut<'a>(&'a self, span: &'a mut Span) -> &'a mut [u8] {
        self.check(span);
        // SAFETY: as above; a span exists once, so the exclusive borrow of it is one of its bytes.
        unsafe { self.writable(self.payload(span.at, span.size)).as_mut() }
    }

    /// The payload of a reserved, unpublished slot.
    #[inline]
    pub(crate) fn slot_mut<'a>(&'a self, slot: &'a mut Slot) -> &'a mut [u8] {
        // SAFETY: the range is inside the ring, and the region keeps it mapped. No reader looks at
        // it before it is published. A slot exists once, so the exclusive borrow of it is one of
        // its bytes.
        unsafe { self.writable(self.payload(slot.at, slot.size)).as_mut() }
    }

    /// [`Self::slot_mut`], to be looked at.
    pub(crate) fn slot(&self, slot: &Slot) -> &[u8] {
        // SAFETY: as above, and the shared borrow of the slot keeps the exclusive one away.
        unsafe { self.read_only(self.payload(slot.at, slot.size)).as_ref() }
    }

    /// Zeroes ring bytes that nobody uses; out of range does nothing.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn zero(&self, at: u64, len: u64) {
        if let Some(address) = self.ring(at, len) {
            self.writes(address, len);
            // SAFETY: the bytes are inside the ring and belong to the writer, who calls this.
            crash::around(|| unsafe { address.write_bytes(0, len as usize) });
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_frame_outside_of_what_was_published_is_caught() {
        let region = heap::region(0, 256);
        region.note_published(256 + 100);
        let looked = |at, size, start, end| {
            let span = Span { at, size, sequence: 1, start, end };
            catch_unwind(AssertUnwindSafe(|| region.frame(&span).len() as u64)).ok()
        };
        assert_eq!(looked(40, 20, 256 + 40, 256 + 76), Some(20));
        for (at, size, start, end) in [
            // More than was published, more than its share, over the end of the ring.
            (40, 80, 256 + 40, 256 + 136),
            (40, 21, 256 + 40, 256 + 76),
            (200, 64, 200, 280),
        ] {
            assert_eq!(looked(at, size, start, end), None, "{at} {size} {start} {end}");
        }
    }
}
