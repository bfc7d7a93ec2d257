//! How the program fails: one line for stderr and an exit code, as the table of `zerobuffer --help`
//! has it.
use std::fmt;

use zerobuffer::{Error, ErrorKind};

/// A failure on its way to `main`, which prints it.
#[derive(Debug)]
pub(crate) struct Fail {
    pub(crate) code: u8,
    message: String,
}

impl Fail {
    pub(crate) fn usage(message: impl Into<String>) -> Fail {
        Fail { code: 2, message: message.into() }
    }

    pub(crate) fn other(message: impl Into<String>) -> Fail {
        Fail { code: 1, message: message.into() }
    }

    /// Something else has the name.
    pub(crate) fn taken(message: impl Into<String>) -> Fail {
        Fail { code: 5, message: message.into() }
    }

    /// Nobody answered.
    pub(crate) fn absent(message: impl Into<String>) -> Fail {
        Fail { code: 4, message: message.into() }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Fail {
        let code = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotReady => 4,
            ErrorKind::InUse => 5,
            ErrorKind::Invalid => 2,
            ErrorKind::PermissionDenied | ErrorKind::NoSpace => 9,
            ErrorKind::Corrupt => 8,
            _ => 1,
        };
        Fail { code, message: error.to_string() }
    }
}
