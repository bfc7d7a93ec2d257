//! The reading end.

use crate::{
    arguments::{Out, patience, room, text, time},
    border::border,
    event,
    fault::Fault,
    frame::{Handed, Held, Owned, Places, Seen, give_back, zb_frame},
    options::{self, zb_options},
    slots::Kind,
    stat::{self, Numbers},
    status::zb_status::{self, ZB_NONE, ZB_OK, ZB_PEER_GONE, ZB_TIMEOUT},
    table::Table,
};
use std::{
    ffi::{c_char, c_void},
    ops::Deref,
    ptr,
};
use zerobuffer::{Frame, Reader, ReaderHandle};

/// The reading end of a buffer, which it creates and owns.
#[derive(Debug)]
pub struct zb_reader {
    _opaque: (),
}

struct Reading {
    reader: Reader,
    places: Places,
}

impl Reading {
    /// Hands the next frame out; `tell` shows what it is. A frame that is known to be there comes
    /// straight from the ring to its place.
    #[inline(always)]
    fn read(
        &mut self,
        timeout_ns: i64,
        out: &Out<*mut zb_frame>,
        tell: impl Fn(&Handed),
    ) -> Result<zb_status, Fault> {
        let place = self.places.free()?;
        let handed = match self.reader.take_known() {
            Some(frame) => put(place, frame),
            None => match self.read_fully(timeout_ns)? {
                Some(frame) => put(place, frame),
                None => return Ok(ZB_TIMEOUT),
            },
        };
        out.set(handed.frame);
        tell(&handed);
        Ok(ZB_OK)
    }

    #[inline(never)]
    fn read_fully(&mut self, timeout_ns: i64) -> Result<Option<Frame>, Fault> {
        Ok(match time(timeout_ns) {
            Some(timeout) => self.reader.read_timeout(timeout)?,
            None => Some(self.reader.read()?),
        })
    }
}

#[inline(always)]
fn put(place: Owned, frame: Frame) -> Handed {
    let sequence = frame.sequence();
    place.put(Held::Ring(frame), sequence)
}

static READERS: Table<Reading, ReaderHandle> = Table::new(Kind::Reader, "reader");

fn hand_out(reader: Reader, out: &Out<*mut zb_reader>) -> Result<zb_status, Fault> {
    let handle = reader.handle();
    out.set(READERS.insert(Reading { reader, places: Places::new() }, handle)?);
    Ok(ZB_OK)
}

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
        let reader = Reader::create(name, options::reader(options)?)?;
        hand_out(reader, &out)
    })
}

/// Subscribes to the broadcast `name`: creates a buffer `name@SUBSCRIBER` under a name that is
/// free. The broadcaster need not be there yet. `options` are those of zb_reader_create; by default
/// the ring is as large as that of the buffer `name`, where there is one. Any thread.
///
/// # Safety
///
/// `name` is a text; `reader` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_subscribe(
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
        let reader = Reader::subscribe_with(name, options::subscriber(options, name)?)?;
        hand_out(reader, &out)
    })
}

/// Copies the name of the reader's buffer into `name`, cut to `capacity` bytes with the NUL; `size`
/// gets its length without the NUL. Any thread, at any time.
///
/// # Safety
///
/// `name` points to `capacity` bytes that can be written, or is NULL; `size` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_name(
    reader: *const zb_reader,
    name: *mut c_char,
    capacity: usize,
    size: *mut usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, room) = unsafe { (Out::required(size, "the size")?, room(name.cast(), capacity)?) };
        out.set(0);
        let handle = READERS.control(reader)?;
        out.set(handle.name().len());
        if let Some((end, room)) = room.split_last_mut() {
            *end = 0;
            let bytes = handle.name().bytes().chain(std::iter::repeat(0));
            for (to, from) in room.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        Ok(ZB_OK)
    })
}

/// Tells the writer, removes the buffer's names and frees the reader. Frames stay readable. A call
/// that another thread is in ends with ZB_CLOSED first. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_close(reader: *mut zb_reader) -> zb_status {
    border(|| {
        let (closed, _) = READERS.close(reader, ReaderHandle::interrupt)?;
        closed.reader.close()?;
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
        READERS.call(reader, |reading| reading.read(timeout_ns, &out, |_| ()))
    })
}

/// zb_reader_read and zb_frame_get in one call; `data`, `size` and `sequence` may be NULL. One
/// thread at a time.
///
/// # Safety
///
/// `frame` can be written to; `data`, `size` and `sequence` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_read_get(
    reader: *mut zb_reader,
    timeout_ns: i64,
    frame: *mut *mut zb_frame,
    data: *mut *mut c_void,
    size: *mut usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, seen) = unsafe { (Out::required(frame, "the frame")?, Seen::new(data, size, sequence)) };
        out.set(ptr::null_mut());
        READERS.call(reader, |reading| reading.read(timeout_ns, &out, |handed| seen.tell_of(handed)))
    })
}

/// One call for each frame of a loop: gives back the frame in `frame`, unless that is NULL. Then it
/// does what zb_reader_read_get does. So `frame` is NULL before the first call, and whenever this
/// is not ZB_OK. ZB_INVALID_HANDLE also if it is no frame; then nothing is read. One thread at a
/// time.
///
/// # Safety
///
/// `frame` can be read and written to; `data`, `size` and `sequence` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_next(
    reader: *mut zb_reader,
    timeout_ns: i64,
    frame: *mut *mut zb_frame,
    data: *mut *mut c_void,
    size: *mut usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, seen) = unsafe { (Out::required(frame, "the frame")?, Seen::new(data, size, sequence)) };
        // SAFETY: the caller's promise.
        let held = unsafe { out.replace(ptr::null_mut()) };
        if !held.is_null() {
            give_back(held)?;
        }
        READERS.call(reader, |reading| reading.read(timeout_ns, &out, |handed| seen.tell_of(handed)))
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
        READERS.call(reader, |reading| {
            let latest = reading.reader.latest_with(&mut patience(timeout_ns))?;
            let Some(latest) = latest else { return Ok(ZB_TIMEOUT) };
            if let Some(skipped) = skipped {
                skipped.set(latest.skipped);
            }
            out.set(put(reading.places.free()?, latest.frame).frame);
            Ok(ZB_OK)
        })
    })
}

/// A descriptor for poll, epoll and event loops. It is readable when zb_reader_read may have
/// something to say; once a second perhaps for nothing. Read with time 0 then, until ZB_TIMEOUT or
/// ZB_PEER_GONE: that makes it unreadable again. Nobody else may read or close it; it goes with the
/// reader. Linux only, elsewhere ZB_ERROR. One thread at a time.
///
/// # Safety
///
/// `descriptor` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_event_fd(reader: *mut zb_reader, descriptor: *mut i32) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe {
        event::answer(descriptor, || READERS.call(reader, |reading| event::of_reader(&mut reading.reader)))
    }
}

/// Waits until a writer is attached, or has left frames to read; ZB_TIMEOUT: none came. One thread
/// at a time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_wait_for_writer(reader: *mut zb_reader, timeout_ns: i64) -> zb_status {
    border(|| {
        READERS.call(reader, |reading| {
            let came = reading.reader.wait_for_writer_with(&mut patience(timeout_ns))?;
            Ok(if came { ZB_OK } else { ZB_TIMEOUT })
        })
    })
}

/// ZB_OK: a live writer is attached; ZB_PEER_GONE: none is. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_has_writer(reader: *const zb_reader) -> zb_status {
    READERS.asks(reader, ZB_PEER_GONE, ReaderHandle::is_writer_connected)
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
    // SAFETY: the caller's promise.
    unsafe { copy_metadata(data, capacity, size, || Ok(READERS.control(reader)?.metadata()?)) }
}

/// Copies what fits.
///
/// # Safety
///
/// As [`zb_reader_metadata`].
pub(crate) unsafe fn copy_metadata<M: Deref<Target = [u8]>>(
    data: *mut c_void,
    capacity: usize,
    size: *mut usize,
    metadata: impl FnOnce() -> Result<Option<M>, Fault>,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, room) = unsafe { (Out::required(size, "the size")?, room(data, capacity)?) };
        out.set(0);
        let Some(found) = metadata()? else { return Ok(ZB_NONE) };
        out.set(found.len());
        for (to, from) in room.iter_mut().zip(found.iter()) {
            *to = *from;
        }
        Ok(ZB_OK)
    })
}

/// A number about the reader, such as ZB_STAT_FRAMES. Any thread, at any time.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_reader_stat(reader: *const zb_reader, key: i32, value: *mut u64) -> zb_status {
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, || numbers(&READERS.control(reader)?).get(key)) }
}

pub(crate) fn numbers(handle: &ReaderHandle) -> Numbers {
    Numbers {
        counters: stat::of_reader(handle.stats()),
        capacity: Some(handle.capacity()),
        metadata_capacity: Some(handle.metadata_capacity()),
        utilization: handle.utilization(),
    }
}

/// Ends the blocked call of another thread, and each later one, with ZB_CLOSED, until
/// zb_reader_resume. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_interrupt(reader: *mut zb_reader) -> zb_status {
    READERS.orders(reader, ReaderHandle::interrupt)
}

/// Takes zb_reader_interrupt back. Any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn zb_reader_resume(reader: *mut zb_reader) -> zb_status {
    READERS.orders(reader, ReaderHandle::resume)
}
