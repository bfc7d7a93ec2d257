//! Seeing the frames of a live stream without taking part in it.

use crate::{
    arguments::{Out, text, time},
    border::border,
    fault::Fault,
    reader::copy_metadata,
    slots::Kind,
    stat::{self, ZB_STAT_CAPACITY, ZB_STAT_LOST, unknown},
    status::zb_status::{self, ZB_CLOSED, ZB_NONE, ZB_OK, ZB_PEER_GONE, ZB_TIMEOUT},
    table::Table,
};
use std::{
    ffi::{c_char, c_void},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use zerobuffer::{
    WAIT_SLICE,
    observe::{Tap, TapFrame, TapState},
};

/// Sees the frames of a live stream, and disturbs nothing.
#[derive(Debug)]
pub struct zb_tap {
    _opaque: (),
}

struct Looking {
    tap: Tap,
    frame: Vec<u8>,
    interrupted: Arc<AtomicBool>,
}

static TAPS: Table<Looking, Arc<AtomicBool>> = Table::new(Kind::Tap, "tap");

/// Opens the buffer `name` to be looked at. It begins with the newest frame that is there. Any
/// thread.
///
/// # Safety
///
/// `name` is a text; `tap` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_tap_open(name: *const c_char, tap: *mut *mut zb_tap) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(tap, "the tap") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let opened = Tap::open(unsafe { text(name, "the name") }?)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let looking = Looking { tap: opened, frame: Vec::new(), interrupted: Arc::clone(&interrupted) };
        out.set(TAPS.insert(looking, interrupted)?);
        Ok(ZB_OK)
    })
}

/// Frees the tap; a call that another thread is in ends with ZB_CLOSED first. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_tap_close(tap: *mut zb_tap) -> zb_status {
    border(|| TAPS.close(tap, |interrupted| interrupted.store(true, Ordering::Relaxed)).map(|_| ZB_OK))
}

/// Where a frame of a tap is put.
struct Places {
    data: Out<*const c_void>,
    size: Out<usize>,
    sequence: Option<Out<u64>>,
}

fn look(tap: *mut zb_tap, timeout_ns: i64, latest: bool, places: &Places) -> Result<zb_status, Fault> {
    places.data.set(ptr::null());
    places.size.set(0);
    TAPS.call(tap, |looking| {
        let until = time(timeout_ns).and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = until.map_or(WAIT_SLICE, |until| until.saturating_duration_since(Instant::now()));
            let slice = left.min(WAIT_SLICE);
            let Looking { tap, frame, .. } = looking;
            let found = if latest { tap.latest(frame, slice) } else { tap.next(frame, slice) };
            if let Some(TapFrame { sequence, .. }) = found? {
                places.data.set(frame.as_ptr().cast());
                places.size.set(frame.len());
                if let Some(out) = &places.sequence {
                    out.set(sequence);
                }
                return Ok(ZB_OK);
            }
            if looking.interrupted.load(Ordering::Relaxed) {
                return Err(Fault::new(ZB_CLOSED, "the tap is being closed by another thread"));
            }
            if until.is_some() && slice == left {
                return Ok(ZB_TIMEOUT);
            }
        }
    })
}

/// Copies the next frame and shows it: `data` and `size` are valid until the next call on this tap,
/// `sequence` may be NULL. ZB_TIMEOUT: none came. ZB_PEER_GONE: the buffer has ended. What is
/// overwritten before it is copied is missed, and counted. One thread at a time.
///
/// # Safety
///
/// `data` and `size` can be written to; `sequence` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_tap_next(
    tap: *mut zb_tap,
    timeout_ns: i64,
    data: *mut *const c_void,
    size: *mut usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let places = unsafe { places(data, size, sequence) }?;
        look(tap, timeout_ns, false, &places)
    })
}

/// As zb_tap_next, for the newest frame; those before it do not count as missed. One thread at a
/// time.
///
/// # Safety
///
/// As zb_tap_next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_tap_latest(
    tap: *mut zb_tap,
    timeout_ns: i64,
    data: *mut *const c_void,
    size: *mut usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let places = unsafe { places(data, size, sequence) }?;
        look(tap, timeout_ns, true, &places)
    })
}

/// # Safety
///
/// They can be written to during the call.
unsafe fn places(data: *mut *const c_void, size: *mut usize, sequence: *mut u64) -> Result<Places, Fault> {
    // SAFETY: the caller's promise.
    unsafe {
        Ok(Places {
            data: Out::required(data, "the data")?,
            size: Out::required(size, "the size")?,
            sequence: Out::optional(sequence),
        })
    }
}

/// Copies the metadata as zb_reader_metadata. One thread at a time.
///
/// # Safety
///
/// As zb_reader_metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_tap_metadata(
    tap: *mut zb_tap,
    data: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe { copy_metadata(data, capacity, size, || TAPS.call(tap, |looking| Ok(looking.tap.metadata()?))) }
}

/// ZB_OK: a writer is attached; ZB_NONE: none is; ZB_PEER_GONE: the buffer has ended. One thread at
/// a time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_tap_state(tap: *mut zb_tap) -> zb_status {
    border(|| {
        let state = TAPS.call(tap, |looking| Ok(looking.tap.state()?))?;
        Ok(match state {
            TapState::Ended => ZB_PEER_GONE,
            TapState::NoWriter => ZB_NONE,
            _ => ZB_OK,
        })
    })
}

/// ZB_STAT_LOST, the frames that were missed, or ZB_STAT_CAPACITY. ZB_NONE: it is not known. One
/// thread at a time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_tap_stat(tap: *const zb_tap, key: i32, value: *mut u64) -> zb_status {
    let number = || {
        TAPS.call(tap, |looking| match key {
            ZB_STAT_LOST => Ok(looking.tap.missed()),
            ZB_STAT_CAPACITY => Ok(Some(looking.tap.capacity())),
            other => Err(unknown(other)),
        })
    };
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, number) }
}
