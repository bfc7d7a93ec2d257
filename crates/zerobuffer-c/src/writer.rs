//! The writing end.

use crate::{
    arguments::{Out, bytes, text, time},
    border::border,
    event,
    fault::Fault,
    options::{self, zb_options},
    slots::Kind,
    stat::{self, Numbers},
    status::zb_status::{self, ZB_DROPPED, ZB_NONE, ZB_OK, ZB_PEER_GONE},
    table::Table,
};
use std::{
    ffi::{c_char, c_void},
    io::IoSlice,
    ptr, slice,
};
use zerobuffer::{Outcome, Writer, WriterHandle};

/// The writing end of a buffer.
#[derive(Debug)]
pub struct zb_writer {
    _opaque: (),
}

/// One piece of a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zb_part {
    /// Its bytes.
    pub data: *const c_void,
    /// How many.
    pub size: usize,
}

static WRITERS: Table<Writer, WriterHandle> = Table::new(Kind::Writer, "writer");

/// Connects to the buffer `name`, which its reader has created; waits for that as
/// ZB_CONNECT_TIMEOUT says, by default not at all. `options` may be NULL. Any thread.
///
/// # Safety
///
/// `name` is a text; `writer` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_connect(
    name: *const c_char,
    options: *const zb_options,
    writer: *mut *mut zb_writer,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(writer, "the writer") }?;
        out.set(ptr::null_mut());
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "the name") }?;
        let connected = Writer::connect_with(name, options::writer(options)?)?;
        let handle = connected.handle();
        out.set(WRITERS.insert(connected, handle)?);
        Ok(ZB_OK)
    })
}

/// Gives up a pending loan, tells the reader and frees the writer. Published frames stay readable.
/// A call that another thread is in ends with ZB_CLOSED first. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_writer_close(writer: *mut zb_writer) -> zb_status {
    border(|| {
        let (closed, _) = WRITERS.close(writer, WriterHandle::interrupt)?;
        closed.close()?;
        Ok(ZB_OK)
    })
}

fn sent(outcome: Outcome, sequence: Option<&Out<u64>>) -> zb_status {
    let Some(number) = outcome.sequence() else { return ZB_DROPPED };
    if let Some(sequence) = sequence {
        sequence.set(number);
    }
    ZB_OK
}

/// Copies `size` bytes into the ring as one frame. `sequence` gets its number, and may be NULL. A
/// full ring is handled as ZB_FULL_RING says: ZB_FULL after the write timeout, or ZB_DROPPED. One
/// thread at a time.
///
/// # Safety
///
/// `data` points to `size` bytes; `sequence` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_write(
    writer: *mut zb_writer,
    data: *const c_void,
    size: usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (data, out) = unsafe { (bytes(data, size)?, Out::optional(sequence)) };
        WRITERS.call(writer, |writer| Ok(sent(writer.write(data)?, out.as_ref())))
    })
}

/// As zb_writer_write, but a full ring is ZB_FULL at once. One thread at a time.
///
/// # Safety
///
/// As zb_writer_write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_try_write(
    writer: *mut zb_writer,
    data: *const c_void,
    size: usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (data, out) = unsafe { (bytes(data, size)?, Out::optional(sequence)) };
        WRITERS.call(writer, |writer| Ok(sent(writer.try_write(data)?, out.as_ref())))
    })
}

/// As zb_writer_write, for a frame that lies in `count` pieces. One thread at a time.
///
/// # Safety
///
/// `parts` points to `count` parts, each of which points to its bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_write_parts(
    writer: *mut zb_writer,
    parts: *const zb_part,
    count: usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, pieces) = unsafe { (Out::optional(sequence), pieces(parts, count)?) };
        WRITERS.call(writer, |writer| Ok(sent(writer.write_vectored(&pieces)?, out.as_ref())))
    })
}

/// The pieces of a frame.
///
/// # Safety
///
/// `parts` points to `count` parts, each of which points to its bytes, and these stay as they are
/// for `'a`.
pub(crate) unsafe fn pieces<'a>(parts: *const zb_part, count: usize) -> Result<Vec<IoSlice<'a>>, Fault> {
    let parts = if count == 0 {
        &[]
    } else if parts.is_null() || !parts.is_aligned() || count > isize::MAX as usize / size_of::<zb_part>() {
        return Err(Fault::argument(format!("{count} parts at {parts:p} cannot be")));
    } else {
        // SAFETY: it is not NULL and so large that it can be; the rest is the caller's promise.
        unsafe { slice::from_raw_parts(parts, count) }
    };
    // SAFETY: the caller's promise, for each part.
    parts.iter().map(|part| Ok(IoSlice::new(unsafe { bytes(part.data, part.size) }?))).collect()
}

/// Lends `size` bytes of the ring, to be filled in place; `data` gets where. They stay lent until
/// zb_writer_commit, zb_writer_abort, the next write or loan, which gives them up, or the close. A
/// full ring is ZB_FULL, after the write timeout. One thread at a time.
///
/// # Safety
///
/// `data` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_loan(
    writer: *mut zb_writer,
    size: usize,
    data: *mut *mut c_void,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(data, "the data") }?;
        out.set(ptr::null_mut());
        WRITERS.call(writer, |writer| {
            writer.begin(size)?;
            out.set(writer.pending().map_or(ptr::null_mut(), |data| data.as_mut_ptr().cast()));
            Ok(ZB_OK)
        })
    })
}

/// Publishes the first `size` bytes of the loan. `sequence` gets the frame's number, and may be
/// NULL. One thread at a time.
///
/// # Safety
///
/// `sequence` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_commit(
    writer: *mut zb_writer,
    size: usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::optional(sequence) };
        WRITERS.call(writer, |writer| {
            let sequence = writer.commit(size)?;
            Ok(sent(Outcome::Sent { sequence }, out.as_ref()))
        })
    })
}

/// Gives up the loan; nothing is published. ZB_NONE: there was none. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_writer_abort(writer: *mut zb_writer) -> zb_status {
    border(|| {
        let aborted = WRITERS.call(writer, |writer| Ok(writer.abort()))?;
        Ok(if aborted { ZB_OK } else { ZB_NONE })
    })
}

/// Writes the metadata, once per writer; waits at most the write timeout for an earlier writer's
/// frames to be read. One thread at a time.
///
/// # Safety
///
/// `data` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_set_metadata(
    writer: *mut zb_writer,
    data: *const c_void,
    size: usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, size) }?;
        WRITERS.call(writer, |writer| Ok(writer.set_metadata(data)?))?;
        Ok(ZB_OK)
    })
}

/// Changes how long one write waits for room, negative for ever. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_writer_set_write_timeout(writer: *mut zb_writer, timeout_ns: i64) -> zb_status {
    border(|| {
        WRITERS.call(writer, |writer| {
            writer.set_write_timeout(time(timeout_ns));
            Ok(ZB_OK)
        })
    })
}

/// The number that the next frame gets. One thread at a time.
///
/// # Safety
///
/// `sequence` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_next_sequence(writer: *const zb_writer, sequence: *mut u64) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe { stat::answer(sequence, || WRITERS.call(writer, |writer| Ok(Some(writer.next_sequence())))) }
}

/// A descriptor as zb_reader_event_fd, for a ring that was full. It is readable when
/// zb_writer_try_write may succeed, or has something else to say; ZB_FULL makes it unreadable.
/// Linux only, elsewhere ZB_ERROR. One thread at a time.
///
/// # Safety
///
/// `descriptor` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_event_fd(writer: *mut zb_writer, descriptor: *mut i32) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe { event::answer(descriptor, || WRITERS.call(writer, event::of_writer)) }
}

/// ZB_OK: the reader is alive and owns the buffer; ZB_PEER_GONE: it is not. Any thread, at any
/// time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_writer_has_reader(writer: *const zb_writer) -> zb_status {
    WRITERS.asks(writer, ZB_PEER_GONE, WriterHandle::is_reader_connected)
}

/// A number about the writer, such as ZB_STAT_FRAMES. Any thread, at any time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_writer_stat(writer: *const zb_writer, key: i32, value: *mut u64) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, || numbers(&WRITERS.control(writer)?).get(key)) }
}

pub(crate) fn numbers(handle: &WriterHandle) -> Numbers {
    Numbers {
        counters: stat::of_writer(handle.stats()),
        capacity: Some(handle.capacity()),
        metadata_capacity: Some(handle.metadata_capacity()),
        utilization: handle.utilization(),
    }
}

/// Ends the blocked call of another thread, and each later one, with ZB_CLOSED, until
/// zb_writer_resume. A loan can still be committed. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_writer_interrupt(writer: *mut zb_writer) -> zb_status {
    WRITERS.orders(writer, WriterHandle::interrupt)
}

/// Takes zb_writer_interrupt back. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_writer_resume(writer: *mut zb_writer) -> zb_status {
    WRITERS.orders(writer, WriterHandle::resume)
}
