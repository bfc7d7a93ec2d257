//! The reading end.

use crate::{
    arguments::{Out, patience, room, text, time},
    border::border,
    frame::{self, zb_frame},
    options::{self, zb_options},
    slots::Kind,
    stat::{self, Numbers},
    status::zb_status::{self, ZB_NONE, ZB_OK, ZB_TIMEOUT},
    table::Table,
};
use std::{
    ffi::{c_char, c_void},
    ptr,
};
use zerobuffer::{Reader, ReaderHandle};

/// The reading end of a buffer, which it creates and owns.
#[derive(Debug)]
pub struct zb_reader {
    _opaque: (),
}

static READERS: Table<Reader, ReaderHandle> = Table::new(Kind::Reader, "reader");

/// Creates the buffer `name` and waits for nothing. A dead reader's name is taken over, a live
/// one's is ZB_READER_CONNECTED. `options` may be NULL. Any thread.
///
/// # Safety
///
/// `name` is a text; `reader` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_create(
    name: *const c_char,
    options: *const zb_options,
    reader: *mut *mut zb_reader,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(reader, "the reader") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "the name") }?;
        let created = Reader::create(name, options::reader(options)?)?;
        let handle = created.handle();
        out.set(READERS.insert(created, handle)?);
        Ok(ZB_OK)
    })
}

/// Tells the writer, removes the buffer's names and frees the reader. Frames stay readable. A call
/// that another thread is in ends with ZB_CLOSED first. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_close(reader: *mut zb_reader) -> zb_status {
    border(|| {
        let (closed, _) = READERS.close(reader, ReaderHandle::interrupt)?;
        closed.close()?;
        Ok(ZB_OK)
    })
}

/// The next frame; waits for it at most `timeout_ns`, also for the first writer. ZB_TIMEOUT: none
/// came. ZB_PEER_GONE: a writer was here, is gone, and all its frames are read; a later writer is
/// served by later calls. One thread at a time.
///
/// # Safety
///
/// `frame` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_read(
    reader: *mut zb_reader,
    timeout_ns: i64,
    frame: *mut *mut zb_frame,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(frame, "the frame") }?;
        out.set(ptr::null_mut());
        let read = READERS.call(reader, |reader| match time(timeout_ns) {
            Some(timeout) => Ok(reader.read_timeout(timeout)?),
            None => Ok(reader.read().map(Some)?),
        })?;
        let Some(read) = read else { return Ok(ZB_TIMEOUT) };
        let sequence = read.sequence();
        out.set(frame::insert(read, sequence)?);
        Ok(ZB_OK)
    })
}

/// As zb_reader_read, but passes over all frames but the newest that is there; `skipped` gets how
/// many, and may be NULL. One thread at a time.
///
/// # Safety
///
/// `frame` and `skipped` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_latest(
    reader: *mut zb_reader,
    timeout_ns: i64,
    frame: *mut *mut zb_frame,
    skipped: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, skipped) = unsafe { (Out::required(frame, "the frame")?, Out::optional(skipped)) };
        out.set(ptr::null_mut());
        let latest = READERS.call(reader, |reader| Ok(reader.latest_with(&mut patience(timeout_ns))?))?;
        let Some(latest) = latest else { return Ok(ZB_TIMEOUT) };
        if let Some(skipped) = skipped {
            skipped.set(latest.skipped);
        }
        let sequence = latest.frame.sequence();
        out.set(frame::insert(latest.frame, sequence)?);
        Ok(ZB_OK)
    })
}

/// Waits until a writer is attached, or has left frames to read; ZB_TIMEOUT: none came. One thread
/// at a time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_wait_for_writer(reader: *mut zb_reader, timeout_ns: i64) -> zb_status {
    border(|| {
        let came =
            READERS.call(reader, |reader| Ok(reader.wait_for_writer_with(&mut patience(timeout_ns))?))?;
        Ok(if came { ZB_OK } else { ZB_TIMEOUT })
    })
}

/// ZB_OK: a live writer is attached; ZB_PEER_GONE: none is. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_has_writer(reader: *const zb_reader) -> zb_status {
    border(|| {
        let connected = READERS.control(reader)?.is_writer_connected();
        Ok(if connected { ZB_OK } else { zb_status::ZB_PEER_GONE })
    })
}

/// Copies the metadata into `data`, cut to `capacity`; `size` gets their whole size. ZB_NONE: none
/// were written. Any thread, at any time.
///
/// # Safety
///
/// `data` points to `capacity` bytes that can be written, or is NULL; `size` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_metadata(
    reader: *const zb_reader,
    data: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, room) = unsafe { (Out::required(size, "the size")?, room(data, capacity)?) };
        out.set(0);
        let metadata = READERS.control(reader)?.metadata()?;
        Ok(copy_out(metadata.as_deref(), room, &out))
    })
}

/// Copies what fits.
pub(crate) fn copy_out(found: Option<&[u8]>, room: &mut [u8], size: &Out<usize>) -> zb_status {
    let Some(found) = found else { return ZB_NONE };
    size.set(found.len());
    for (to, from) in room.iter_mut().zip(found) {
        *to = *from;
    }
    ZB_OK
}

/// A number about the reader, such as ZB_STAT_FRAMES. Any thread, at any time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_stat(reader: *const zb_reader, key: i32, value: *mut u64) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(value, "the value") }?;
        let handle = READERS.control(reader)?;
        out.set(numbers(&handle).get(key)?);
        Ok(ZB_OK)
    })
}

pub(crate) fn numbers(handle: &ReaderHandle) -> Numbers {
    Numbers {
        counters: stat::of_reader(handle.stats()),
        capacity: handle.capacity(),
        metadata_capacity: handle.metadata_capacity(),
        utilization: handle.utilization(),
    }
}

/// Ends the blocked call of another thread, and each later one, with ZB_CLOSED, until
/// zb_reader_resume. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_interrupt(reader: *mut zb_reader) -> zb_status {
    border(|| {
        READERS.control(reader)?.interrupt();
        Ok(ZB_OK)
    })
}

/// Takes zb_reader_interrupt back. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_resume(reader: *mut zb_reader) -> zb_status {
    border(|| {
        READERS.control(reader)?.resume();
        Ok(ZB_OK)
    })
}
