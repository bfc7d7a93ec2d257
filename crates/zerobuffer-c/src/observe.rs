//! Looking at buffers from outside.

use crate::{
    arguments::{Out, text},
    border::{border, border_or},
    fault::Fault,
    slots::Kind,
    stat::{self, unknown},
    status::zb_status::{self, ZB_NONE, ZB_OK},
    table::Table,
};
use std::{
    ffi::{CString, c_char, c_void},
    ptr,
    sync::Arc,
};
use zerobuffer::observe::{self, BufferInfo};

/// Bytes of the metadata block.
pub const ZB_INFO_METADATA_SIZE: i32 = 0;
/// Bytes of the ring.
pub const ZB_INFO_RING_SIZE: i32 = 1;
/// Bytes of the ring that are free.
pub const ZB_INFO_FREE: i32 = 2;
/// The number of the last published frame.
pub const ZB_INFO_LAST_SEQUENCE: i32 = 3;
/// Published frames that the reader has not taken yet.
pub const ZB_INFO_FRAMES_WAITING: i32 = 4;
/// The reader's process, 0 if there is none.
pub const ZB_INFO_READER_PID: i32 = 5;
/// 1: the reader is alive.
pub const ZB_INFO_READER_ALIVE: i32 = 6;
/// The writer's process, 0 if there is none.
pub const ZB_INFO_WRITER_PID: i32 = 7;
/// 1: the writer is alive.
pub const ZB_INFO_WRITER_ALIVE: i32 = 8;
/// Permission bits.
pub const ZB_INFO_MODE: i32 = 9;
/// The owner's number.
pub const ZB_INFO_UID: i32 = 10;
/// Things that are wrong with the buffer; 0 if nothing is.
pub const ZB_INFO_DEFECTS: i32 = 11;

/// What can be seen of one buffer. Valid during the callback that gets it.
#[derive(Debug)]
pub struct zb_info {
    _opaque: (),
}

/// Gets what can be seen of one buffer. Another number than 0 ends the list.
pub type zb_info_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void, info: *const zb_info) -> i32>;

type Function = unsafe extern "C-unwind" fn(*mut c_void, *const zb_info) -> i32;

struct Seen {
    info: BufferInfo,
    name: CString,
}

static INFOS: Table<(), Arc<Seen>> = Table::new(Kind::Info, "buffer information");

/// Shows one buffer; `true`: go on.
///
/// # Safety
///
/// The function may be called with `user`.
unsafe fn show(info: BufferInfo, function: Function, user: *mut c_void) -> Result<bool, Fault> {
    let name = CString::new(info.name.as_str()).unwrap_or_default();
    let seen = Arc::new(Seen { info, name });
    let handle = INFOS.insert((), Arc::clone(&seen))?;
    // SAFETY: the caller's promise.
    let answer = unsafe { function(user, handle) };
    INFOS.close::<zb_info>(handle, |_| ())?;
    Ok(answer == 0)
}

/// Shows each buffer of this machine that may be read to `function`, in the order of names. Nothing
/// is disturbed. Any thread.
///
/// # Safety
///
/// `function` may be called with `user` during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_list(function: zb_info_fn, user: *mut c_void) -> zb_status {
    border(|| {
        let Some(function) = function else { return Err(Fault::argument("the callback is NULL")) };
        for info in observe::list()? {
            // SAFETY: the caller's promise.
            if !unsafe { show(info, function, user) }? {
                break;
            }
        }
        Ok(ZB_OK)
    })
}

/// Shows one buffer to `function`. Any thread.
///
/// # Safety
///
/// `name` is a text; `function` may be called with `user` during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_inspect(
    name: *const c_char,
    function: zb_info_fn,
    user: *mut c_void,
) -> zb_status {
    border(|| {
        let Some(function) = function else { return Err(Fault::argument("the callback is NULL")) };
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "the name") }?;
        // SAFETY: the caller's promise.
        unsafe { show(observe::inspect(name)?, function, user) }?;
        Ok(ZB_OK)
    })
}

/// The buffer's name; NULL for what is no information. Valid during the callback,
/// on any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_info_name(info: *const zb_info) -> *const c_char {
    // The callback's caller holds a share of it.
    border_or(ptr::null(), || Ok(INFOS.control(info)?.name.as_ptr()))
}

/// A number about the buffer, such as ZB_INFO_FREE. During the callback, on any thread.
///
/// # Safety
///
/// `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_info_get(info: *const zb_info, key: i32, value: *mut u64) -> zb_status {
    let number = || {
        let seen = INFOS.control(info)?;
        let info = &seen.info;
        Ok(Some(match key {
            ZB_INFO_METADATA_SIZE => info.metadata_size,
            ZB_INFO_RING_SIZE => info.payload_size,
            ZB_INFO_FREE => info.free,
            ZB_INFO_LAST_SEQUENCE => info.last_sequence,
            ZB_INFO_FRAMES_WAITING => info.frames_waiting,
            ZB_INFO_READER_PID => info.reader.map_or(0, |peer| peer.pid),
            ZB_INFO_READER_ALIVE => info.reader.is_some_and(|peer| peer.alive).into(),
            ZB_INFO_WRITER_PID => info.writer.map_or(0, |peer| peer.pid),
            ZB_INFO_WRITER_ALIVE => info.writer.is_some_and(|peer| peer.alive).into(),
            ZB_INFO_MODE => info.mode.into(),
            ZB_INFO_UID => info.uid.into(),
            ZB_INFO_DEFECTS => info.defects.len() as u64,
            other => return Err(unknown(other)),
        }))
    };
    // SAFETY: the caller's promise.
    unsafe { stat::answer(value, number) }
}

/// The first 64 KiB of the buffer's metadata. ZB_NONE: there are none. Valid during the callback,
/// on any thread.
///
/// # Safety
///
/// `data` and `size` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_info_metadata(
    info: *const zb_info,
    data: *mut *const c_void,
    size: *mut usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, len) = unsafe { (Out::required(data, "the data")?, Out::required(size, "the size")?) };
        out.set(ptr::null());
        len.set(0);
        let seen = INFOS.control(info)?;
        let Some(metadata) = &seen.info.metadata else { return Ok(ZB_NONE) };
        out.set(metadata.as_ptr().cast());
        len.set(metadata.len());
        Ok(ZB_OK)
    })
}
