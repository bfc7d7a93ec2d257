//! How a command fails: one line for stderr and an exit code.
use std::{fmt, io};

use zerobuffer::Error;

use crate::exit::Exit;
use crate::text;

/// A failure on its way to `main`, which prints it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fail {
    pub(crate) exit: Exit,
    /// `None`: the exit code says all there is to say.
    message: Option<String>,
}

impl Fail {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Fail {
        Fail { exit, message: Some(message.into()) }
    }

    /// A failure that prints nothing: the program reading our output has gone.
    pub(crate) fn quiet(exit: Exit) -> Fail {
        Fail { exit, message: None }
    }

    /// An operating-system error: what was attempted, on what, and the system's reason.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Fail {
        let exit =
            if error.kind() == io::ErrorKind::PermissionDenied { Exit::Resources } else { Exit::Failure };
        Fail::new(exit, format!("{what}: {error}"))
    }

    /// What an error of the library comes to, for the exit code alone.
    pub(crate) fn from_ref(error: &Error) -> Fail {
        Fail::new(exit_of(error), error.to_string())
    }

    /// The same failure with a hint behind its message.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Fail {
        if let Some(message) = &mut self.message {
            message.push_str("; ");
            message.push_str(&hint.to_string());
        }
        self
    }

    /// The line for stderr: never more than one, and without control characters that a hostile name
    /// may carry.
    pub(crate) fn line(&self) -> Option<String> {
        self.message.as_deref().map(text::one_line)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Fail {
        Fail::new(exit_of(&error), error.to_string())
    }
}

impl From<zerobuffer_view::Error> for Fail {
    fn from(error: zerobuffer_view::Error) -> Fail {
        use zerobuffer_view::Error as View;
        let exit = match error {
            View::Buffer(error) => return Fail::from(error),
            View::Taken { .. } => Exit::Taken,
            View::NoSuchAddress { .. } | View::Token { .. } => Exit::Usage,
            View::Listen { ref source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::Resources
            }
            _ => Exit::Failure,
        };
        Fail::new(exit, error.to_string())
    }
}

/// The exit code that belongs to an error of the library.
fn exit_of(error: &Error) -> Exit {
    match error {
        Error::InvalidName { .. } | Error::InvalidConfig { .. } => Exit::Usage,
        Error::EmptyFrame { .. }
        | Error::FrameTooLarge { .. }
        | Error::ResponseTooLarge { .. }
        | Error::Unplaceable { .. }
        | Error::MetadataTooLarge { .. }
        | Error::MetadataAlreadyWritten { .. } => Exit::Input,
        Error::NotFound { .. }
        | Error::NotReady { .. }
        | Error::NoServer { .. }
        | Error::ServerNotReady { .. } => Exit::Absent,
        Error::ReaderAlreadyConnected { .. }
        | Error::WriterAlreadyConnected { .. }
        | Error::ClientAlreadyConnected { .. }
        | Error::TooManyClients { .. }
        | Error::ServerRunning { .. }
        | Error::NotABuffer { .. }
        | Error::CrashNotNoticed { .. } => Exit::Taken,
        Error::WriterGone { .. }
        | Error::ReaderGone { .. }
        | Error::ServerGone { .. }
        | Error::NamesRemoved { .. }
        | Error::Replaced { .. } => Exit::PeerGone,
        Error::Full { .. } | Error::NoResponse { .. } | Error::ResponsesUnread { .. } => Exit::Timeout,
        Error::Corrupt { .. } | Error::Sequence { .. } | Error::Version { .. } => Exit::Corrupt,
        Error::PermissionDenied { .. }
        | Error::NoPrivilege { .. }
        | Error::NoSpace { .. }
        | Error::ForeignOwner { .. }
        | Error::Limited { .. }
        | Error::NoResponseSpace { .. } => Exit::Resources,
        Error::Remote { .. } => Exit::Remote,
        Error::InvalidCommit { .. } | Error::NothingPending { .. } | Error::Forked { .. } => Exit::Internal,
        // Closed is turned into the signal's code where the signal is known; the rest is the
        // system's.
        _ => Exit::Failure,
    }
}
