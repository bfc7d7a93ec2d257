//! Why the viewer cannot begin.
use std::io;
use std::net::SocketAddr;

/// Why the viewer cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another program listens there.
    #[error("cannot listen at {address}: another program does; choose another port with --listen")]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// The address is none of this machine's.
    #[error("cannot listen at {address}: this machine has no such address; 127.0.0.1 is always there")]
    NoSuchAddress {
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses to listen there.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A token that could be guessed, or that does not fit into an address.
    #[error(
        "a token needs at least 16 letters and digits ('-' and '_' may be among them); this one has {found}"
    )]
    Token {
        /// How many it has, or what is wrong with it.
        found: String,
    },
    /// Another answer of the system: no thread, no random numbers.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A buffer that is named and cannot be looked at.
    #[error(transparent)]
    Buffer(#[from] zerobuffer::Error),
}

impl Error {
    /// A failure to listen, by what a person can do about it.
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::AddrInUse => Error::Taken { address },
            io::ErrorKind::AddrNotAvailable => Error::NoSuchAddress { address },
            _ => Error::Listen { address, source },
        }
    }
}
