//! The reading end for a consumer that is slower than its writer.

use crate::{
    arguments::{Out, patience, text},
    border::border,
    event,
    frame::{Held, Places, zb_frame},
    options::{self, zb_options},
    reader::copy_metadata,
    slots::Kind,
    stat::{self, Numbers},
    status::zb_status::{self, ZB_OK, ZB_PEER_GONE, ZB_TIMEOUT},
    table::Table,
};
use std::{
    ffi::{c_char, c_void},
    ptr,
};
use zerobuffer::{Newest, NewestHandle};

/// A reading end that always has the newest frame. A thread of the library takes all frames out of
/// the ring, so a slow consumer never stops the writer.
#[derive(Debug)]
pub struct zb_newest {
    _opaque: (),
}

struct Keeping {
    newest: Newest,
    places: Places,
}

static NEWESTS: Table<Keeping, NewestHandle> = Table::new(Kind::Newest, "reader of the newest frame");

/// Creates the buffer `name` as zb_reader_create, and starts the thread. The ring has to hold three
/// frames. Any thread.
///
/// # Safety
///
/// `name` is a text; `newest` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_newest_create(
    name: *const c_char,
    options: *const zb_options,
    newest: *mut *mut zb_newest,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(newest, "the reader of the newest frame") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "the name") }?;
        let newest = Newest::create(name, options::reader(options)?)?;
        let handle = newest.handle();
        out.set(NEWESTS.insert(Keeping { newest, places: Places::new() }, handle)?);
        Ok(ZB_OK)
    })
}

/// Ends the thread and closes the buffer as zb_reader_close. Frames stay readable. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_newest_close(newest: *mut zb_newest) -> zb_status {
    border(|| {
        let (closed, _) = NEWESTS.close(newest, NewestHandle::interrupt)?;
        closed.newest.close()?;
        Ok(ZB_OK)
    })
}

/// The newest frame that was not handed out yet; waits for one at most `timeout_ns`. It is a copy,
/// which holds no space of the ring, and is released as any other. `skipped` gets how many were
/// passed over since the last one, and may be NULL. ZB_TIMEOUT and ZB_PEER_GONE as zb_reader_read.
/// ZB_FRAME_TOO_LARGE: the ring does not hold three such frames. One thread at a time.
///
/// # Safety
///
/// `frame` can be written to; `skipped` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_newest_read(
    newest: *mut zb_newest,
    timeout_ns: i64,
    frame: *mut *mut zb_frame,
    skipped: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, skipped) = unsafe { (Out::required(frame, "the frame")?, Out::optional(skipped)) };
        out.set(ptr::null_mut());
        NEWESTS.call(newest, |keeping| {
            let read = match timeout_ns {
                // It alone makes the descriptor unreadable.
                0 => keeping.newest.try_read()?,
                _ => keeping.newest.read_with(&mut patience(timeout_ns))?,
            };
            let Some(read) = read else { return Ok(ZB_TIMEOUT) };
            if let Some(skipped) = skipped {
                skipped.set(read.skipped());
            }
            let sequence = read.sequence();
            out.set(keeping.places.insert(Held::Copy(Box::new(read)), sequence)?.frame);
            Ok(ZB_OK)
        })
    })
}

/// A descriptor as zb_reader_event_fd; zb_newest_read with time 0 makes it unreadable. Linux only,
/// elsewhere ZB_ERROR. One thread at a time.
///
/// # Safety
///
/// `descriptor` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_newest_event_fd(newest: *mut zb_newest, descriptor: *mut i32) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe {
        event::answer(descriptor, || NEWESTS.call(newest, |keeping| event::of_newest(&mut keeping.newest)))
    }
}

/// ZB_OK: a live writer is attached; ZB_PEER_GONE: none is. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_newest_has_writer(newest: *const zb_newest) -> zb_status {
    NEWESTS.asks(newest, ZB_PEER_GONE, NewestHandle::is_writer_connected)
}

/// Copies the metadata as zb_reader_metadata. Any thread, at any time.
///
/// # Safety
///
/// As zb_reader_metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_newest_metadata(
    newest: *const zb_newest,
    data: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe { copy_metadata(data, capacity, size, || Ok(NEWESTS.control(newest)?.metadata()?)) }
}

/// A number about it, such as ZB_STAT_LOST: the frames that were passed over. Any thread, at any
/// time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_newest_stat(newest: *const zb_newest, key: i32, value: *mut u64) -> zb_status {
    let number = || numbers(&NEWESTS.control(newest)?).get(key);
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, number) }
}

fn numbers(handle: &NewestHandle) -> Numbers {
    Numbers {
        counters: stat::of_reader(handle.stats()),
        capacity: Some(handle.capacity()),
        metadata_capacity: None,
        utilization: handle.utilization(),
    }
}

/// Ends the thread, and the blocked call of another thread, and each later one, with ZB_CLOSED. It
/// cannot be taken back. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_newest_interrupt(newest: *mut zb_newest) -> zb_status {
    NEWESTS.orders(newest, NewestHandle::interrupt)
}
