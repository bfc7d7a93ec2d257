//! Everything that can go wrong, with the numbers that explain it.

mod kind;
mod text;

pub use kind::ErrorKind;

use std::{io, time::Duration};
use text::{after, configured, numbered, process, span, user};

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What happened, on which buffer, with the numbers and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name cannot be a buffer's name.
    #[error("'{}' cannot be a buffer name: {reason} (1 to 245 bytes, no '/', no NUL)", name.escape_debug())]
    InvalidName {
        /// What was asked for.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },

    /// A configuration value is out of range.
    #[error("{what} = {} is not possible: {reason}", configured(what, *value))]
    InvalidConfig {
        /// Which value: `mode`, a size, or a variable of the environment.
        what: &'static str,
        /// Mode bits, or bytes.
        value: u64,
        /// What is possible.
        reason: &'static str,
    },

    /// No buffer of that name exists: its reader has not created it, or has closed it.
    #[error(
        "buffer '{name}' does not exist{}: start its reader first, or let the writer wait for it longer",
        after(*waited)
    )]
    NotFound {
        /// The buffer.
        name: String,
        /// How long the connect time-out waited for it; zero if it did not.
        waited: Duration,
    },

    /// The buffer exists but cannot be used yet or any more.
    #[error("buffer '{name}' cannot be attached to: {reason}")]
    NotReady {
        /// The buffer.
        name: String,
        /// What is missing, or who is gone.
        reason: &'static str,
    },

    /// Something has the name that is not proven to be a buffer whose reader is dead. Nothing was
    /// done to it.
    #[error(
        "'{name}' exists and is no buffer: {object} may be another program's, so it is left alone; remove it if nobody uses it, or choose another name"
    )]
    NotABuffer {
        /// The name that was asked for.
        name: String,
        /// What has it: a path, or the name of an object.
        object: String,
    },

    /// The buffer belongs to a user that this writer does not trust.
    #[error(
        "buffer '{name}' belongs to {}, neither to this process's user ({own}) nor to root: its maker would read every frame; if that is wanted, allow it by `owner` (--owner {owner}, owner={owner}, `Owner::User({owner})`) or set ZEROBUFFER_OWNER=any",
        user(*owner)
    )]
    ForeignOwner {
        /// The buffer.
        name: String,
        /// The user that has made it.
        owner: u32,
        /// The user of this process.
        own: u32,
    },

    /// A live reader owns the name.
    #[error("buffer '{name}' already has a reader, {}: close it or choose another name", process(*pid))]
    ReaderAlreadyConnected {
        /// The buffer.
        name: String,
        /// That reader, in the pid namespace it is in; 0 if it is just coming or going.
        pid: u64,
    },

    /// A live writer is attached.
    #[error("buffer '{name}' already has a writer, {}: close it first, only one can be connected", process(*pid))]
    WriterAlreadyConnected {
        /// The buffer.
        name: String,
        /// That writer, in the pid namespace it is in; 0 if it is just coming or going.
        pid: u64,
    },

    /// The previous writer crashed and the reader has not repaired the ring yet: try again.
    #[error(
        "buffer '{name}': the reader has not noticed the crash of the previous writer within {}; it does when it next reads",
        span(*waited)
    )]
    CrashNotNoticed {
        /// The buffer.
        name: String,
        /// How long the reader was given after the crash was found.
        waited: Duration,
    },

    /// A frame must have at least one byte.
    #[error("buffer '{name}': a frame of 0 bytes cannot be sent, on the wire it means a wrap marker")]
    EmptyFrame {
        /// The buffer.
        name: String,
    },

    /// The frame can never fit this ring.
    #[error("buffer '{name}': a frame of {size} bytes is larger than its ring allows, {max} bytes; create it with a ring of at least {} bytes", size.saturating_add(16))]
    FrameTooLarge {
        /// The buffer.
        name: String,
        /// Payload bytes of the frame.
        size: u64,
        /// Payload bytes of the largest frame: the ring less 16.
        max: u64,
    },

    /// The frame can never be placed from the present position, since the reader is of another
    /// implementation.
    #[error(
        "buffer '{name}': a frame of {size} bytes cannot be placed in a ring of {capacity} bytes at its present position beside a reader of another implementation; a ring of {needed_capacity} bytes would do"
    )]
    Unplaceable {
        /// The buffer.
        name: String,
        /// Payload bytes of the frame.
        size: u64,
        /// Bytes of the ring.
        capacity: u64,
        /// Bytes of a ring that takes the frame from every position.
        needed_capacity: u64,
    },

    /// Keeping the newest frame needs room for three frames; the ring has less.
    #[error(
        "buffer '{name}': a frame of {size} bytes came, of which its ring of {capacity} bytes does not hold three, as the newest frame needs; create it with a ring of at least {needed} bytes"
    )]
    RingTooSmall {
        /// The buffer.
        name: String,
        /// Payload bytes of the frame.
        size: u64,
        /// Bytes of the ring.
        capacity: u64,
        /// Bytes of a ring that holds three such frames.
        needed: u64,
    },

    /// A loan cannot be committed with that many bytes.
    #[error("buffer '{name}': {len} of {loaned} loaned bytes cannot be committed: {reason}")]
    InvalidCommit {
        /// The buffer.
        name: String,
        /// Payload bytes that were to be committed.
        len: u64,
        /// Payload bytes of the loan.
        loaned: u64,
        /// Why not so many.
        reason: &'static str,
    },

    /// A commit without a loan.
    #[error("buffer '{name}': there is no pending frame to commit")]
    NothingPending {
        /// The buffer.
        name: String,
    },

    /// The ring has no room and the policy or the timeout says not to wait (any longer).
    #[error(
        "buffer '{name}' is full: {needed} bytes needed, {free} of {capacity} free, {largest_gap} of them in one piece, {held} held by the reader{}; the reader is slow or holds frames: wait longer, or create a larger ring",
        after(*waited)
    )]
    Full {
        /// The buffer.
        name: String,
        /// Bytes of the ring that must be free: the frame's payload and header, rounded up to a
        /// multiple of 16. Beside a reader of another implementation it is not rounded, and
        /// includes what is skipped at the end of the ring.
        needed: u64,
        /// Bytes of the ring that this writer may use now.
        free: u64,
        /// How many of them lie in one piece: a frame needs one.
        largest_gap: u64,
        /// Bytes that the reader has read and not released.
        held: u64,
        /// Bytes of the ring.
        capacity: u64,
        /// How long this call waited for space; zero if it did not.
        waited: Duration,
    },

    /// The writer closed or died, and all its frames have been read.
    #[error("buffer '{name}': its writer{} is gone and all its frames are read", numbered(*pid))]
    WriterGone {
        /// The buffer.
        name: String,
        /// The last writer; 0 if it is not known.
        pid: u64,
    },

    /// The reader closed or died, or its buffer was replaced.
    #[error("buffer '{name}': its reader (process {pid}) is gone: {reason}")]
    ReaderGone {
        /// The buffer.
        name: String,
        /// That reader, in the pid namespace it is in.
        pid: u64,
        /// How that was noticed.
        reason: &'static str,
    },

    /// Another writer has overwritten our registration.
    #[error(
        "buffer '{name}': process {found} has taken the place of this writer (process {own}); connect again when it has left"
    )]
    Replaced {
        /// The buffer.
        name: String,
        /// The pid of this writer.
        own: u64,
        /// The pid in its place.
        found: u64,
    },

    /// A name of the buffer was removed under its reader, which no writer finds any more. All
    /// frames were delivered.
    #[error(
        "buffer '{name}': its name {lost} was removed while the reader waited, so that no writer finds it: create the buffer again (RemoveIPC=yes in /etc/systemd/logind.conf removes names at the user's last logout: set it to no, or run as a system user)"
    )]
    NamesRemoved {
        /// The buffer.
        name: String,
        /// The object that has lost its name.
        lost: String,
    },

    /// The endpoint was closed or interrupted.
    #[error("buffer '{name}': this endpoint is closed")]
    Closed {
        /// The buffer.
        name: String,
    },

    /// The endpoint belongs to the parent of this forked process.
    #[error("buffer '{name}': this endpoint belongs to the parent process; open an own one after fork")]
    Forked {
        /// The buffer.
        name: String,
    },

    /// A value in shared memory is impossible. The endpoint stays unusable.
    #[error(
        "buffer '{name}' is corrupt: {field} = {value}, expected {expected}; its reader must create it anew"
    )]
    Corrupt {
        /// The buffer.
        name: String,
        /// The field, as PROTOCOL.md calls it.
        field: &'static str,
        /// What was found there.
        value: u64,
        /// What would be possible, in words.
        expected: String,
    },

    /// A frame does not carry the next sequence number. The endpoint stays unusable.
    #[error(
        "buffer '{name}': frame sequence {got}, expected {expected}; a frame was lost or the writer is at fault: create the buffer anew"
    )]
    Sequence {
        /// The buffer.
        name: String,
        /// The number that the frame should have.
        expected: u64,
        /// The number that it has.
        got: u64,
    },

    /// The buffer speaks another major version of the protocol.
    #[error("buffer '{name}' has protocol version {major}.{minor}.{patch}; this is an implementation of 1.x")]
    Version {
        /// The buffer.
        name: String,
        /// The first version byte.
        major: u8,
        /// The second.
        minor: u8,
        /// The third.
        patch: u8,
    },

    /// The metadata does not fit its block.
    #[error(
        "buffer '{name}': {size} bytes of metadata do not fit, its metadata block holds {max}; create it with a larger one"
    )]
    MetadataTooLarge {
        /// The buffer.
        name: String,
        /// Bytes of the metadata.
        size: u64,
        /// Bytes that fit: the block less 8.
        max: u64,
    },

    /// Metadata can be written once: by each writer, and beside a reader of another implementation
    /// in each buffer.
    #[error(
        "buffer '{name}': its metadata has already been written; a writer can write it once, and replaces that of an earlier writer only if both ends are of this implementation"
    )]
    MetadataAlreadyWritten {
        /// The buffer.
        name: String,
    },

    /// The metadata of the previous writer cannot be replaced yet, since some of its frames are
    /// unread.
    #[error(
        "buffer '{name}': the metadata of its previous writer is still in use, {unread} bytes of that writer's frames are unread{}; read them, or wait longer",
        after(*waited)
    )]
    MetadataInUse {
        /// The buffer.
        name: String,
        /// Bytes of the ring that the reader has yet to read.
        unread: u64,
        /// How long this call waited; zero if it did not.
        waited: Duration,
    },

    /// The operating system refuses access.
    #[error("no permission to {operation} {object}: if it is another user's, let that user widen its `mode`")]
    PermissionDenied {
        /// Its path or name.
        object: String,
        /// What was to be done with it.
        operation: &'static str,
    },

    /// A buffer for all sessions (Windows) needs a right that this process does not have.
    #[error(
        "buffer '{name}' cannot be created for all sessions: that needs the privilege {privilege}, which services and administrators have; run as one of them, or without `global`"
    )]
    NoPrivilege {
        /// The buffer.
        name: String,
        /// What Windows calls the right.
        privilege: &'static str,
    },

    /// Shared memory is full.
    #[error(
        "buffer '{name}' needs {needed} bytes of shared memory, {available} are available; {} or the ring smaller",
        crate::advice::MORE_SPACE
    )]
    NoSpace {
        /// The buffer.
        name: String,
        /// Bytes to be reserved.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },

    /// The process may not take as much memory, or the machine does not have it.
    #[error(
        "buffer '{name}' needs {needed} bytes, {available} are allowed by {limit}; make the ring smaller, or raise that limit"
    )]
    Limited {
        /// The buffer.
        name: String,
        /// Bytes to be reserved.
        needed: u64,
        /// Bytes that the limit leaves.
        available: u64,
        /// Which limit it is, and where it is set.
        limit: String,
    },

    /// Shared memory has no room for a duplex client's response buffer.
    #[error(
        "the response buffer '{name}' needs {needed} bytes of shared memory, {available} are available; choose a smaller `response_size`, or {}",
        crate::advice::MORE_SPACE
    )]
    NoResponseSpace {
        /// The response buffer.
        name: String,
        /// Bytes to be reserved.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },

    /// The channel has no server: it has not started, or has ended.
    #[error(
        "channel '{name}' has no server{}: start it first, or let the client wait for it longer",
        after(*waited)
    )]
    NoServer {
        /// The channel.
        name: String,
        /// How long the connect timeout waited for it; zero if it did not.
        waited: Duration,
    },

    /// The channel's server is about to come or to go.
    #[error("channel '{name}' cannot be connected to: {reason}")]
    ServerNotReady {
        /// The channel.
        name: String,
        /// What is missing, or who is gone.
        reason: &'static str,
    },

    /// A duplex server serves already.
    #[error("the server of channel '{name}' is running: stop it before starting it again")]
    ServerRunning {
        /// The channel.
        name: String,
    },

    /// A live client is connected to the channel.
    #[error(
        "channel '{name}' already has a client, {}: close it first, or start the server for several (`several_clients()`, in Python `clients=True`)",
        process(*pid)
    )]
    ClientAlreadyConnected {
        /// The channel.
        name: String,
        /// That client, in the pid namespace it is in; 0 if it is just coming or going.
        pid: u64,
    },

    /// A server of several clients has as many as it takes.
    #[error(
        "channel '{name}': {clients} of {most} clients are connected: close one first, or let the server take more"
    )]
    TooManyClients {
        /// The channel.
        name: String,
        /// Those that are connected, or about to be.
        clients: u64,
        /// Those that the server takes.
        most: u64,
    },

    /// The server of a channel closed or died; what it had answered before is read.
    #[error("channel '{name}': the server{} is gone: {reason}; connect anew when there is one again", numbered(*pid))]
    ServerGone {
        /// The channel.
        name: String,
        /// That server, in the pid namespace it is in; 0 if it is not known.
        pid: u64,
        /// How that was noticed.
        reason: &'static str,
    },

    /// The handler of a request failed, and its server says how.
    #[error("channel '{name}': the handler of request {request} failed: {message} ({kind})")]
    Remote {
        /// The channel.
        name: String,
        /// The sequence number of the request.
        request: u64,
        /// A word: `error`, `panic`, `no-answer`, or what the handler says.
        kind: String,
        /// What happened, for people.
        message: String,
        /// What helps to find the cause; may be empty.
        detail: String,
    },

    /// A response does not fit the client's response ring. Server and client both get this error.
    #[error(
        "channel '{name}': the response to request {request} has {size} bytes, the client's response ring takes {max}: the client has to connect with a `response_size` of at least {}",
        size.saturating_add(16)
    )]
    ResponseTooLarge {
        /// The channel.
        name: String,
        /// The sequence number of the request.
        request: u64,
        /// Bytes of the response.
        size: u64,
        /// Bytes of the largest response: the ring less 16.
        max: u64,
    },

    /// Responses that nobody receives fill the response ring, so the server cannot take requests.
    #[error(
        "channel '{name}': {waiting} responses of {bytes} bytes wait to be received in a response ring of {capacity}, the server waits for room there, and so the request ring stays full: receive responses, then send again, or connect with a larger `response_size`"
    )]
    ResponsesUnread {
        /// The channel.
        name: String,
        /// How many wait.
        waiting: u64,
        /// Their payload bytes.
        bytes: u64,
        /// Bytes of the response ring.
        capacity: u64,
    },

    /// A response has not come in time.
    #[error(
        "channel '{name}': no response to request {request} within {}; its handler is slow or wrote none: wait longer, or look at the server's errors",
        span(*waited)
    )]
    NoResponse {
        /// The channel.
        name: String,
        /// The sequence number of the request.
        request: u64,
        /// How long it was waited for.
        waited: Duration,
    },

    /// A zero-copy request was begun and neither committed nor aborted.
    #[error(
        "channel '{name}': the previous request is neither sent nor given up: send or drop the loan, or abort what was begun"
    )]
    RequestPending {
        /// The channel.
        name: String,
    },

    /// Any other failure of a system call.
    #[error("cannot {operation} {object}: {source}")]
    Os {
        /// What was to be done.
        operation: &'static str,
        /// With what: a path, or a name.
        object: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    #[cold]
    pub(crate) fn closed(name: &str) -> Self {
        Self::Closed { name: name.to_owned() }
    }

    #[cold]
    pub(crate) fn forked(name: &str) -> Self {
        Self::Forked { name: name.to_owned() }
    }

    /// Of the buffer `name`, which may not exist: then [`Self::NotFound`], without a wait.
    pub(crate) fn of_absent(self, name: &str) -> Self {
        match self {
            Self::Os { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::NotFound { name: name.to_owned(), waited: Duration::ZERO }
            }
            other => other,
        }
    }

    /// The same, after a wait of so long in all: for callers that wait in slices.
    #[doc(hidden)]
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        if let Self::Full { waited, .. }
        | Self::NotFound { waited, .. }
        | Self::NoServer { waited, .. }
        | Self::MetadataInUse { waited, .. } = &mut self
        {
            *waited = time;
        }
        self
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
