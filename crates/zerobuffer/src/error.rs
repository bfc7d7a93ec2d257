//! Everything that can go wrong, with the numbers that explain it.

use std::{io, time::Duration};

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What happened, on which buffer, with the numbers and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name cannot be a buffer's name (W12).
    #[error("'{}' cannot be a buffer name: {reason} (1 to 245 bytes, no '/', no NUL)", name.escape_debug())]
    #[allow(missing_docs)]
    InvalidName { name: String, reason: &'static str },

    /// A configuration value is out of range.
    #[error("{what} = {value} is not possible: {reason}")]
    #[allow(missing_docs)]
    InvalidConfig { what: &'static str, value: u64, reason: &'static str },

    /// No buffer of that name exists: its reader has not created it, or has closed it.
    #[error(
        "buffer '{name}' does not exist{}: start its reader first, or let the writer wait for it longer",
        after(*waited)
    )]
    #[allow(missing_docs)]
    NotFound { name: String, waited: Duration },

    /// The buffer exists but cannot be used yet or any more.
    #[error("buffer '{name}' cannot be attached to: {reason}")]
    #[allow(missing_docs)]
    NotReady { name: String, reason: &'static str },

    /// A live reader owns the name.
    #[error("buffer '{name}' already has a reader, {}: close it or choose another name", process(*pid))]
    #[allow(missing_docs)]
    ReaderAlreadyConnected { name: String, pid: u64 },

    /// A live writer is attached.
    #[error("buffer '{name}' already has a writer, {}: close it first, only one can be connected", process(*pid))]
    #[allow(missing_docs)]
    WriterAlreadyConnected { name: String, pid: u64 },

    /// The previous writer crashed and the reader has not repaired the ring yet (W10); try again.
    #[error(
        "buffer '{name}': the reader has not noticed the crash of the previous writer within {waited:?}; it does when it next reads"
    )]
    #[allow(missing_docs)]
    CrashNotNoticed { name: String, waited: Duration },

    /// A frame must have at least one byte.
    #[error("buffer '{name}': a frame of 0 bytes cannot be sent, on the wire it means a wrap marker")]
    #[allow(missing_docs)]
    EmptyFrame { name: String },

    /// The frame can never fit this ring.
    #[error("buffer '{name}': a frame of {size} bytes is larger than its ring allows, {max} bytes; create it with a ring of at least {} bytes", size.saturating_add(16))]
    #[allow(missing_docs)]
    FrameTooLarge { name: String, size: u64, max: u64 },

    /// The frame can never be placed from the present position, as the reader is of another implementation (W11).
    #[error(
        "buffer '{name}': a frame of {size} bytes cannot be placed in a ring of {capacity} bytes at its present position, since the reader does not support an early wrap; a ring of {needed_capacity} bytes would do"
    )]
    #[allow(missing_docs)]
    Unplaceable { name: String, size: u64, capacity: u64, needed_capacity: u64 },

    /// A loan cannot be committed with that many bytes.
    #[error("buffer '{name}': {len} of {loaned} loaned bytes cannot be committed: {reason}")]
    #[allow(missing_docs)]
    InvalidCommit { name: String, len: u64, loaned: u64, reason: &'static str },

    /// A commit without a loan.
    #[error("buffer '{name}': there is no pending frame to commit")]
    #[allow(missing_docs)]
    NothingPending { name: String },

    /// The ring has no room and the policy or the timeout says not to wait (any longer).
    #[error(
        "buffer '{name}' is full: {needed} bytes needed, {free} of {capacity} free{}; the reader is slow or holds frames: wait longer, or create a larger ring",
        after(*waited)
    )]
    #[allow(missing_docs)]
    Full { name: String, needed: u64, free: u64, capacity: u64, waited: Duration },

    /// The writer closed or died, and all its frames have been read.
    #[error("buffer '{name}': its writer{} is gone and all its frames are read", numbered(*pid))]
    #[allow(missing_docs)]
    WriterGone { name: String, pid: u64 },

    /// The reader closed or died, or its buffer was replaced.
    #[error("buffer '{name}': its reader (process {pid}) is gone: {reason}")]
    #[allow(missing_docs)]
    ReaderGone { name: String, pid: u64, reason: &'static str },

    /// Another writer has overwritten our registration.
    #[error(
        "buffer '{name}': process {found} has taken the place of this writer (process {own}); connect again when it has left"
    )]
    #[allow(missing_docs)]
    Replaced { name: String, own: u64, found: u64 },

    /// The endpoint was closed or interrupted.
    #[error("buffer '{name}': this endpoint is closed")]
    #[allow(missing_docs)]
    Closed { name: String },

    /// The endpoint belongs to the parent of this forked process.
    #[error("buffer '{name}': this endpoint belongs to the parent process; open an own one after fork")]
    #[allow(missing_docs)]
    Forked { name: String },

    /// A value in shared memory is impossible (W13). The endpoint stays unusable.
    #[error(
        "buffer '{name}' is corrupt: {field} = {value}, expected {expected}; its reader must create it anew"
    )]
    #[allow(missing_docs)]
    Corrupt { name: String, field: &'static str, value: u64, expected: String },

    /// A frame does not carry the next sequence number. The endpoint stays unusable.
    #[error(
        "buffer '{name}': frame sequence {got}, expected {expected}; a frame was lost or the writer is at fault: create the buffer anew"
    )]
    #[allow(missing_docs)]
    Sequence { name: String, expected: u64, got: u64 },

    /// The buffer speaks another major version of the protocol.
    #[error("buffer '{name}' has protocol version {major}.{minor}.{patch}; this is an implementation of 1.x")]
    #[allow(missing_docs)]
    Version { name: String, major: u8, minor: u8, patch: u8 },

    /// The metadata does not fit its block.
    #[error(
        "buffer '{name}': {size} bytes of metadata do not fit, its metadata block holds {max}; create it with a larger one"
    )]
    #[allow(missing_docs)]
    MetadataTooLarge { name: String, size: u64, max: u64 },

    /// Metadata can be written once.
    #[error("buffer '{name}': its metadata has already been written")]
    #[allow(missing_docs)]
    MetadataAlreadyWritten { name: String },

    /// The operating system refuses access.
    #[error("no permission to {operation} {object}: if it is another user's, let that user widen its `mode`")]
    #[allow(missing_docs)]
    PermissionDenied { object: String, operation: &'static str },

    /// A buffer for all sessions (Windows) needs a right that this process does not have.
    #[error(
        "buffer '{name}' cannot be created for all sessions: that needs the privilege {privilege}, which services and administrators have; run as one of them, or without `global`"
    )]
    #[allow(missing_docs)]
    NoPrivilege { name: String, privilege: &'static str },

    /// Shared memory is full.
    #[error(
        "buffer '{name}' needs {needed} bytes of shared memory, {available} are available; {} or the ring smaller",
        crate::sys::MORE_SPACE
    )]
    #[allow(missing_docs)]
    NoSpace { name: String, needed: u64, available: u64 },

    /// Shared memory has no room for a duplex client's response buffer.
    #[error(
        "the response buffer '{name}' needs {needed} bytes of shared memory, {available} are available; choose a smaller `response_size`, or {}",
        crate::sys::MORE_SPACE
    )]
    #[allow(missing_docs)]
    NoResponseSpace { name: String, needed: u64, available: u64 },

    /// A duplex server serves already.
    #[error("the server of channel '{name}' is running: stop it before starting it again")]
    #[allow(missing_docs)]
    ServerRunning { name: String },

    /// A zero-copy request was begun and neither committed nor aborted.
    #[error("channel '{name}': the previous request is neither committed nor aborted")]
    #[allow(missing_docs)]
    RequestPending { name: String },

    /// Any other failure of a system call.
    #[error("cannot {operation} {object}: {source}")]
    #[allow(missing_docs)]
    Os { operation: &'static str, object: String, source: io::Error },
}

impl Error {
    /// The other endpoint closed or died.
    #[must_use]
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::WriterGone { .. } | Self::ReaderGone { .. })
    }

    /// The operation ran out of room or time and may work later.
    #[must_use]
    pub fn is_timeout_like(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// A failed system call; missing permission has its own variant.
    pub(crate) fn os(operation: &'static str, object: impl Into<String>, source: io::Error) -> Self {
        let object = object.into();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { object, operation },
            _ => Self::Os { operation, object, source },
        }
    }
}

/// How long was waited, if at all.
fn after(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" after {waited:.1?}") }
}

/// Names a process that may not be known.
fn numbered(pid: u64) -> String {
    if pid == 0 { String::new() } else { format!(" (process {pid})") }
}

/// A process by its number; 0 stands where an endpoint that is just coming or going has none.
fn process(pid: u64) -> String {
    if pid == 0 { "just coming or going".to_owned() } else { format!("process {pid}") }
}
