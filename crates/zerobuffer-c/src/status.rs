//! What a call returns.
#![allow(clippy::enum_glob_use, reason = "their names have a prefix")]

use std::ffi::{CStr, c_char};

/// What became of a call: 0 success, positive an ordinary outcome, negative an error.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum zb_status {
    /// Success.
    ZB_OK = 0,
    /// Nothing came in that time.
    ZB_TIMEOUT = 1,
    /// The other end closed or died, and all that it sent is read.
    ZB_PEER_GONE = 2,
    /// The ring has no room, in time.
    ZB_FULL = 3,
    /// The ring was full and the policy drops: the frame was dropped and counted.
    ZB_DROPPED = 4,
    /// There is none: no metadata were written.
    ZB_NONE = 5,
    /// An argument is NULL, out of range or no UTF-8.
    ZB_INVALID_ARGUMENT = -1,
    /// Not an open handle of that kind: closed, released, or never one.
    ZB_INVALID_HANDLE = -2,
    /// Another thread is in a call on this handle, or a callback may not do this.
    ZB_BUSY = -3,
    /// No buffer of that name, or no server of that channel.
    ZB_NOT_FOUND = -4,
    /// It is about to come or to go: try again.
    ZB_NOT_READY = -5,
    /// The name has a live reader, or the channel a live client.
    ZB_READER_CONNECTED = -6,
    /// The buffer has a live writer, or another one took this one's place.
    ZB_WRITER_CONNECTED = -7,
    /// The name belongs to something else, or the server runs already.
    ZB_IN_USE = -8,
    /// The frame can never fit the ring.
    ZB_FRAME_TOO_LARGE = -9,
    /// A frame must have at least one byte.
    ZB_EMPTY_FRAME = -10,
    /// A loan cannot be committed so, or there is none.
    ZB_INVALID_COMMIT = -11,
    /// The metadata are written already.
    ZB_METADATA_WRITTEN = -12,
    /// The metadata do not fit.
    ZB_METADATA_TOO_LARGE = -13,
    /// This end was interrupted, closed by another thread, or belongs to the parent process.
    ZB_CLOSED = -14,
    /// A frame does not carry the next sequence number.
    ZB_SEQUENCE = -15,
    /// What the buffer holds is impossible, or of another protocol version.
    ZB_CORRUPT = -16,
    /// The operating system, or the check of the owner, refuses access.
    ZB_PERMISSION_DENIED = -17,
    /// Shared memory, or what the process may have of it, is full.
    ZB_NO_SPACE = -18,
    /// The handler of a request failed in the server.
    ZB_REMOTE = -19,
    /// The response does not fit the client's response ring.
    ZB_RESPONSE_TOO_LARGE = -20,
    /// Any other failure of a system call.
    ZB_SYSTEM = -21,
    /// A fault of this library, which was caught. The handle may be unusable: close it.
    ZB_PANIC = -22,
    /// Any other error.
    ZB_ERROR = -23,
}

use zb_status::*;

/// All, with their names.
const NAMES: &[(zb_status, &CStr)] = &[
    (ZB_OK, c"ZB_OK"),
    (ZB_TIMEOUT, c"ZB_TIMEOUT"),
    (ZB_PEER_GONE, c"ZB_PEER_GONE"),
    (ZB_FULL, c"ZB_FULL"),
    (ZB_DROPPED, c"ZB_DROPPED"),
    (ZB_NONE, c"ZB_NONE"),
    (ZB_INVALID_ARGUMENT, c"ZB_INVALID_ARGUMENT"),
    (ZB_INVALID_HANDLE, c"ZB_INVALID_HANDLE"),
    (ZB_BUSY, c"ZB_BUSY"),
    (ZB_NOT_FOUND, c"ZB_NOT_FOUND"),
    (ZB_NOT_READY, c"ZB_NOT_READY"),
    (ZB_READER_CONNECTED, c"ZB_READER_CONNECTED"),
    (ZB_WRITER_CONNECTED, c"ZB_WRITER_CONNECTED"),
    (ZB_IN_USE, c"ZB_IN_USE"),
    (ZB_FRAME_TOO_LARGE, c"ZB_FRAME_TOO_LARGE"),
    (ZB_EMPTY_FRAME, c"ZB_EMPTY_FRAME"),
    (ZB_INVALID_COMMIT, c"ZB_INVALID_COMMIT"),
    (ZB_METADATA_WRITTEN, c"ZB_METADATA_WRITTEN"),
    (ZB_METADATA_TOO_LARGE, c"ZB_METADATA_TOO_LARGE"),
    (ZB_CLOSED, c"ZB_CLOSED"),
    (ZB_SEQUENCE, c"ZB_SEQUENCE"),
    (ZB_CORRUPT, c"ZB_CORRUPT"),
    (ZB_PERMISSION_DENIED, c"ZB_PERMISSION_DENIED"),
    (ZB_NO_SPACE, c"ZB_NO_SPACE"),
    (ZB_REMOTE, c"ZB_REMOTE"),
    (ZB_RESPONSE_TOO_LARGE, c"ZB_RESPONSE_TOO_LARGE"),
    (ZB_SYSTEM, c"ZB_SYSTEM"),
    (ZB_PANIC, c"ZB_PANIC"),
    (ZB_ERROR, c"ZB_ERROR"),
];

/// The name of a status, such as "ZB_FULL"; "unknown" for a number that is none. Never NULL, never
/// to be freed. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_status_name(status: i32) -> *const c_char {
    let found = NAMES.iter().find(|(known, _)| *known as i32 == status);
    found.map_or(c"unknown", |(_, name)| name).as_ptr()
}
