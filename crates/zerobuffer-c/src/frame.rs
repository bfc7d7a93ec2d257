//! Frames: data, size, number, and giving them back.

use crate::{
    arguments::Out,
    border::{border, border_or},
    fault::Fault,
    slots::{Kind, Place, Slots, index_of},
    status::zb_status::{self, ZB_INVALID_HANDLE, ZB_NO_SPACE, ZB_OK},
};
use std::{
    cell::{RefCell, UnsafeCell},
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
};
use zerobuffer::Frame;

/// A received frame. Its data stay where they are until it is released, also after its reader was
/// closed. Any thread may use and release it.
#[derive(Debug)]
pub struct zb_frame {
    _opaque: (),
}

/// The place of one frame.
#[derive(Default)]
struct FramePlace {
    live: AtomicU64,
    uses: AtomicU64,
    data: AtomicPtr<u8>,
    size: AtomicUsize,
    sequence: AtomicU64,
    frame: UnsafeCell<Option<Frame>>,
}

// SAFETY: `frame` is put in before the place goes live, and taken out by the one thread that has
// ended that; nobody else uses it.
unsafe impl Sync for FramePlace {}

impl Place for FramePlace {
    fn uses(&self) -> &AtomicU64 {
        &self.uses
    }
}

static FRAMES: Slots<FramePlace> = Slots::new(Kind::Frame);

/// Free places that a thread keeps for itself: no lock per frame.
const KEPT: usize = 64;

struct Kept(RefCell<Vec<u32>>);

impl Drop for Kept {
    fn drop(&mut self) {
        FRAMES.give_back(std::mem::take(self.0.get_mut()));
    }
}

thread_local! {
    static KEPT_PLACES: Kept = const { Kept(RefCell::new(Vec::new())) };
}

fn take_place() -> Option<u32> {
    let kept = KEPT_PLACES.try_with(|kept| {
        let mut kept = kept.0.borrow_mut();
        if kept.is_empty() {
            FRAMES.take(KEPT / 2, &mut kept);
        }
        kept.pop()
    });
    kept.unwrap_or_else(|_| {
        // The thread is ending.
        let mut one = Vec::new();
        FRAMES.take(1, &mut one);
        one.pop()
    })
}

fn give_place_back(index: u32) {
    let kept = KEPT_PLACES.try_with(|kept| {
        let mut kept = kept.0.borrow_mut();
        kept.push(index);
        if kept.len() > KEPT {
            FRAMES.give_back(kept.drain(..KEPT / 2));
        }
    });
    if kept.is_err() {
        FRAMES.give_back([index]);
    }
}

/// A handle for a frame; `sequence` is what it shows as its number.
#[inline]
pub(crate) fn insert(mut frame: Frame, sequence: u64) -> Result<*mut zb_frame, Fault> {
    let place = take_place().and_then(|index| Some((index, FRAMES.at(index as usize)?)));
    let Some((index, place)) = place else {
        return Err(Fault::new(ZB_NO_SPACE, "a million frames are held: release some"));
    };
    let data = frame.data_mut();
    place.data.store(data.as_mut_ptr(), Ordering::Relaxed);
    place.size.store(data.len(), Ordering::Relaxed);
    place.sequence.store(sequence, Ordering::Relaxed);
    // SAFETY: the place is free, and this thread alone has its index.
    unsafe { *place.frame.get() = Some(frame) };
    let handle = FRAMES.next_handle(index, place);
    place.live.store(handle, Ordering::Release);
    Ok(handle as usize as *mut zb_frame)
}

/// Takes a frame out; `None`: it is no frame, or was released before.
#[inline]
pub(crate) fn take(frame: *const zb_frame) -> Option<Frame> {
    let handle = frame.addr() as u64;
    let place = FRAMES.find(handle)?;
    place.live.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    // SAFETY: this thread has ended the use of the place. So it is alone with it until the index is
    // given back.
    let frame = unsafe { (*place.frame.get()).take() };
    give_place_back(index_of(handle));
    frame
}

#[inline]
fn look<T>(frame: *const zb_frame, what: impl FnOnce(&FramePlace) -> T) -> Result<T, Fault> {
    let handle = frame.addr() as u64;
    if let Some(place) = FRAMES.find(handle)
        && place.live.load(Ordering::Acquire) == handle
    {
        let found = what(place);
        if place.live.load(Ordering::Acquire) == handle {
            return Ok(found);
        }
    }
    Err(no_frame(frame))
}

#[cold]
fn no_frame(frame: *const zb_frame) -> Fault {
    let text = if frame.is_null() {
        "the frame is NULL".to_owned()
    } else {
        format!("{frame:p} is no frame: it was released before, or never was one")
    };
    Fault::new(ZB_INVALID_HANDLE, text)
}

/// The frame's data, which may be changed in place; NULL for what is no frame. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_frame_data(frame: *const zb_frame) -> *mut c_void {
    border_or(ptr::null_mut(), || look(frame, |place| place.data.load(Ordering::Relaxed).cast()))
}

/// The frame's size in bytes, at least 1; 0 for what is no frame. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_frame_size(frame: *const zb_frame) -> usize {
    border_or(0, || look(frame, |place| place.size.load(Ordering::Relaxed)))
}

/// The number that the writer gave the frame, from 1 on; of a response, that of its request. 0 for
/// what is no frame. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_frame_sequence(frame: *const zb_frame) -> u64 {
    border_or(0, || look(frame, |place| place.sequence.load(Ordering::Relaxed)))
}

/// All three at once; each place may be NULL. Any thread.
///
/// # Safety
///
/// `data`, `size` and `sequence` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_frame_get(
    frame: *const zb_frame,
    data: *mut *mut c_void,
    size: *mut usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let places = unsafe { (Out::optional(data), Out::optional(size), Out::optional(sequence)) };
        let found = look(frame, |place| {
            let data = place.data.load(Ordering::Relaxed).cast();
            (data, place.size.load(Ordering::Relaxed), place.sequence.load(Ordering::Relaxed))
        })?;
        if let Some(data) = places.0 {
            data.set(found.0);
        }
        if let Some(size) = places.1 {
            size.set(found.1);
        }
        if let Some(sequence) = places.2 {
            sequence.set(found.2);
        }
        Ok(ZB_OK)
    })
}

/// Returns the frame's space to the writer. Its data must not be used any more. A second release
/// is ZB_INVALID_HANDLE. Any thread; frames may be released in any order.
#[unsafe(no_mangle)]
pub extern "C" fn zb_frame_release(frame: *mut zb_frame) -> zb_status {
    border(|| match take(frame) {
        Some(frame) => {
            drop(frame);
            Ok(ZB_OK)
        }
        None => Err(no_frame(frame)),
    })
}
