//! Why a call failed, and which status that is.
#![allow(clippy::enum_glob_use, reason = "their names have a prefix")]

use crate::{
    last_error,
    status::zb_status::{self, *},
};
use zerobuffer::{Error, ErrorKind};

/// A status and its text.
#[derive(Debug)]
pub(crate) struct Fault {
    status: zb_status,
    text: String,
}

impl Fault {
    #[cold]
    pub(crate) fn new(status: zb_status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    #[cold]
    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(ZB_INVALID_ARGUMENT, text)
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Leaves the text for [`zb_last_error`](crate::zb_last_error).
    #[cold]
    pub(crate) fn tell(self) -> zb_status {
        last_error::set(self.text);
        self.status
    }
}

impl From<Error> for Fault {
    #[cold]
    fn from(error: Error) -> Self {
        Self { status: status_of(&error), text: error.to_string() }
    }
}

fn status_of(error: &Error) -> zb_status {
    match error {
        Error::ReaderAlreadyConnected { .. }
        | Error::ClientAlreadyConnected { .. }
        | Error::TooManyClients { .. } => ZB_READER_CONNECTED,
        Error::WriterAlreadyConnected { .. } | Error::Replaced { .. } => ZB_WRITER_CONNECTED,
        Error::FrameTooLarge { .. } | Error::Unplaceable { .. } | Error::RingTooSmall { .. } => {
            ZB_FRAME_TOO_LARGE
        }
        Error::EmptyFrame { .. } => ZB_EMPTY_FRAME,
        Error::InvalidCommit { .. } | Error::NothingPending { .. } | Error::RequestPending { .. } => {
            ZB_INVALID_COMMIT
        }
        Error::MetadataAlreadyWritten { .. } => ZB_METADATA_WRITTEN,
        Error::MetadataTooLarge { .. } => ZB_METADATA_TOO_LARGE,
        Error::Sequence { .. } => ZB_SEQUENCE,
        Error::ResponseTooLarge { .. } => ZB_RESPONSE_TOO_LARGE,
        other => of_kind(other.kind()),
    }
}

fn of_kind(kind: ErrorKind) -> zb_status {
    match kind {
        ErrorKind::NotFound => ZB_NOT_FOUND,
        ErrorKind::NotReady => ZB_NOT_READY,
        ErrorKind::InUse => ZB_IN_USE,
        ErrorKind::Invalid => ZB_INVALID_ARGUMENT,
        ErrorKind::Full => ZB_FULL,
        ErrorKind::TimedOut => ZB_TIMEOUT,
        ErrorKind::Remote => ZB_REMOTE,
        ErrorKind::PeerGone => ZB_PEER_GONE,
        ErrorKind::Closed => ZB_CLOSED,
        ErrorKind::Corrupt => ZB_CORRUPT,
        ErrorKind::PermissionDenied => ZB_PERMISSION_DENIED,
        ErrorKind::NoSpace => ZB_NO_SPACE,
        ErrorKind::System => ZB_SYSTEM,
        _ => ZB_ERROR,
    }
}
