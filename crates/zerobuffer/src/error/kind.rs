//! What kind of thing went wrong, and on which buffer.

use super::Error;
use std::io;

/// The kinds of [`Error`] that a program tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No buffer of that name exists.
    NotFound,
    /// The buffer is about to come, or to go: try again.
    NotReady,
    /// Somebody else has the name or the place.
    InUse,
    /// The call cannot work with these arguments, or not now: the program is at fault.
    Invalid,
    /// The ring had no room, in time.
    Full,
    /// The other end did not answer in time.
    TimedOut,
    /// The handler of a request failed in the server.
    Remote,
    /// The other end closed or died.
    PeerGone,
    /// This end was closed, interrupted or replaced, or belongs to the parent process.
    Closed,
    /// What the buffer holds is impossible, or of another version.
    Corrupt,
    /// The operating system refuses access.
    PermissionDenied,
    /// Shared memory is full.
    NoSpace,
    /// Any other failure of a system call.
    System,
}

impl Error {
    /// What kind of error this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoServer { .. } => ErrorKind::NotFound,
            Self::NotReady { .. } | Self::ServerNotReady { .. } | Self::CrashNotNoticed { .. } => {
                ErrorKind::NotReady
            }
            Self::NotABuffer { .. }
            | Self::ReaderAlreadyConnected { .. }
            | Self::WriterAlreadyConnected { .. }
            | Self::ClientAlreadyConnected { .. }
            | Self::TooManyClients { .. }
            | Self::ServerRunning { .. } => ErrorKind::InUse,
            Self::InvalidName { .. }
            | Self::InvalidConfig { .. }
            | Self::EmptyFrame { .. }
            | Self::FrameTooLarge { .. }
            | Self::Unplaceable { .. }
            | Self::RingTooSmall { .. }
            | Self::InvalidCommit { .. }
            | Self::NothingPending { .. }
            | Self::MetadataTooLarge { .. }
            | Self::MetadataAlreadyWritten { .. }
            | Self::RequestPending { .. }
            | Self::ResponseTooLarge { .. } => ErrorKind::Invalid,
            Self::Full { .. } | Self::ResponsesUnread { .. } => ErrorKind::Full,
            Self::Remote { .. } => ErrorKind::Remote,
            Self::NoResponse { .. } | Self::MetadataInUse { .. } => ErrorKind::TimedOut,
            Self::WriterGone { .. } | Self::ReaderGone { .. } | Self::ServerGone { .. } => {
                ErrorKind::PeerGone
            }
            Self::Replaced { .. } | Self::NamesRemoved { .. } | Self::Closed { .. } | Self::Forked { .. } => {
                ErrorKind::Closed
            }
            Self::Corrupt { .. } | Self::Sequence { .. } | Self::Version { .. } => ErrorKind::Corrupt,
            Self::PermissionDenied { .. } | Self::NoPrivilege { .. } | Self::ForeignOwner { .. } => {
                ErrorKind::PermissionDenied
            }
            Self::NoSpace { .. } | Self::NoResponseSpace { .. } | Self::Limited { .. } => ErrorKind::NoSpace,
            Self::Os { .. } => ErrorKind::System,
        }
    }

    /// The buffer or channel that this is about; `None` for a configuration or an object of the
    /// system.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::InvalidConfig { .. } | Self::PermissionDenied { .. } | Self::Os { .. } => None,
            Self::InvalidName { name, .. }
            | Self::NotFound { name, .. }
            | Self::NotReady { name, .. }
            | Self::NotABuffer { name, .. }
            | Self::ForeignOwner { name, .. }
            | Self::Limited { name, .. }
            | Self::ReaderAlreadyConnected { name, .. }
            | Self::WriterAlreadyConnected { name, .. }
            | Self::CrashNotNoticed { name, .. }
            | Self::EmptyFrame { name }
            | Self::FrameTooLarge { name, .. }
            | Self::Unplaceable { name, .. }
            | Self::RingTooSmall { name, .. }
            | Self::InvalidCommit { name, .. }
            | Self::NothingPending { name }
            | Self::Full { name, .. }
            | Self::WriterGone { name, .. }
            | Self::ReaderGone { name, .. }
            | Self::Replaced { name, .. }
            | Self::NamesRemoved { name, .. }
            | Self::Closed { name }
            | Self::Forked { name }
            | Self::Corrupt { name, .. }
            | Self::Sequence { name, .. }
            | Self::Version { name, .. }
            | Self::MetadataTooLarge { name, .. }
            | Self::MetadataAlreadyWritten { name }
            | Self::MetadataInUse { name, .. }
            | Self::NoPrivilege { name, .. }
            | Self::NoSpace { name, .. }
            | Self::NoResponseSpace { name, .. }
            | Self::NoServer { name, .. }
            | Self::ServerNotReady { name, .. }
            | Self::ServerRunning { name }
            | Self::ClientAlreadyConnected { name, .. }
            | Self::TooManyClients { name, .. }
            | Self::ServerGone { name, .. }
            | Self::NoResponse { name, .. }
            | Self::Remote { name, .. }
            | Self::ResponseTooLarge { name, .. }
            | Self::ResponsesUnread { name, .. }
            | Self::RequestPending { name } => Some(name),
        }
    }

    /// The other endpoint closed or died.
    #[must_use]
    pub fn is_peer_gone(&self) -> bool {
        self.kind() == ErrorKind::PeerGone
    }
}

impl From<Error> for io::Error {
    /// The nearest kind of the standard library, with the error itself inside.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::NotReady => io::ErrorKind::ResourceBusy,
            ErrorKind::InUse => io::ErrorKind::AddrInUse,
            ErrorKind::Invalid => io::ErrorKind::InvalidInput,
            ErrorKind::Full => io::ErrorKind::WouldBlock,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::PeerGone => io::ErrorKind::BrokenPipe,
            ErrorKind::Closed => io::ErrorKind::NotConnected,
            ErrorKind::Corrupt => io::ErrorKind::InvalidData,
            ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
            ErrorKind::NoSpace => io::ErrorKind::StorageFull,
            ErrorKind::Remote => io::ErrorKind::Other,
            ErrorKind::System => match &error {
                Error::Os { source, .. } => source.kind(),
                _ => io::ErrorKind::Other,
            },
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_text_in_one_of_the_standard_library() {
        let error = Error::closed("camera");
        assert_eq!((error.kind(), error.name()), (ErrorKind::Closed, Some("camera")));
        let text = error.to_string();
        let error = io::Error::from(error);
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::NotConnected, text));

        let source = io::Error::from(io::ErrorKind::Interrupted);
        let error = Error::os("map", "/dev/shm/camera", source);
        assert_eq!((error.kind(), error.name()), (ErrorKind::System, None));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Interrupted);
    }
}
