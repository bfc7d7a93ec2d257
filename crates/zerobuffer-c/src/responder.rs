//! How a handler answers.

use crate::{
    arguments::{Out, bytes, text},
    border::{border, border_or},
    fault::Fault,
    slots::Kind,
    status::zb_status::{self, ZB_DROPPED, ZB_NONE, ZB_OK},
    table::Table,
};
use std::{
    ffi::{c_char, c_void},
    ptr,
};
use zerobuffer::{
    Outcome,
    duplex::{HandlerError, Responder},
};

/// Answers one request. It is valid until its handler returns, on the handler's thread.
#[derive(Debug)]
pub struct zb_responder {
    _opaque: (),
}

static RESPONDERS: Table<Responder, ()> = Table::new(Kind::Responder, "responder");

pub(crate) fn insert(responder: Responder) -> Result<*mut zb_responder, Fault> {
    RESPONDERS.insert(responder, ())
}

pub(crate) fn take(responder: *mut zb_responder) -> Option<Responder> {
    RESPONDERS.close(responder, |()| ()).ok().map(|(responder, ())| responder)
}

fn outcome(outcome: Outcome) -> zb_status {
    if outcome == Outcome::Dropped { ZB_DROPPED } else { ZB_OK }
}

/// Sends the response. A second one is ZB_DROPPED. On its handler's thread only.
///
/// # Safety
///
/// `data` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_responder_write(
    responder: *mut zb_responder,
    data: *const c_void,
    size: usize,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, size) }?;
        RESPONDERS.call(responder, |responder| Ok(outcome(responder.write(data)?)))
    })
}

/// Lends `size` bytes of the response ring, to be filled in place and committed; `data` gets where.
/// On its handler's thread only.
///
/// # Safety
///
/// `data` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_responder_loan(
    responder: *mut zb_responder,
    size: usize,
    data: *mut *mut c_void,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(data, "the data") }?;
        out.set(ptr::null_mut());
        RESPONDERS.call(responder, |responder| {
            // A second answer goes into private memory, of which an absurd size must not be asked.
            if responder.is_answered() && size as u64 > responder.buffer().capacity() {
                return Err(Fault::argument(format!("a second response, of {size} bytes")));
            }
            responder.begin(size)?;
            out.set(responder.pending().map_or(ptr::null_mut(), |data| data.as_mut_ptr().cast()));
            Ok(ZB_OK)
        })
    })
}

/// Sends the first `size` bytes of the loan. On its handler's thread only.
#[unsafe(no_mangle)]
pub extern "C" fn zb_responder_commit(responder: *mut zb_responder, size: usize) -> zb_status {
    border(|| {
        RESPONDERS.call(responder, |responder| {
            responder.commit(size)?;
            Ok(ZB_OK)
        })
    })
}

/// Gives up the loan. ZB_NONE: there was none. On its handler's thread only.
#[unsafe(no_mangle)]
pub extern "C" fn zb_responder_abort(responder: *mut zb_responder) -> zb_status {
    border(|| {
        let aborted = RESPONDERS.call(responder, |responder| Ok(responder.abort()))?;
        Ok(if aborted { ZB_OK } else { ZB_NONE })
    })
}

/// Tells the client that there is no answer, and why: its call is ZB_REMOTE. `kind` is a word that
/// programs can tell failures by; `detail` may be NULL. On its handler's thread only.
///
/// # Safety
///
/// `kind`, `message` and `detail` are texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_responder_fail(
    responder: *mut zb_responder,
    kind: *const c_char,
    message: *const c_char,
    detail: *const c_char,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let (kind, message) = unsafe { (text(kind, "the kind")?, text(message, "the message")?) };
        let mut failure = HandlerError::new(kind, message);
        if !detail.is_null() {
            // SAFETY: the caller's promise.
            failure = failure.detail(unsafe { text(detail, "the detail") }?);
        }
        RESPONDERS.call(responder, |responder| Ok(outcome(responder.fail(&failure)?)))
    })
}

/// The request's number; 0 for what is no responder. On its handler's thread only.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_responder_sequence(responder: *const zb_responder) -> u64 {
    border_or(0, || RESPONDERS.call(responder, |responder| Ok(responder.sequence())))
}
