//! Errors of a duplex channel in the words of its users, who know neither its two buffers nor their
//! names.
use zerobuffer::Error;

use crate::fail::Fail;
use crate::time;

/// Which end of the channel fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

/// The buffer that carries a channel's requests.
pub(super) fn request_buffer(channel: &str) -> String {
    format!("{channel}_request")
}

/// An error of the library about the channel `name`.
pub(super) fn fail(name: &str, role: Role, error: Error) -> Fail {
    // The code is that of the error, the words are the command's.
    let exit = Fail::from_ref(&error).exit;
    let words = match (&error, role) {
        (Error::InvalidName { reason, .. }, _) => {
            format!("'{name}' cannot be a channel's name: {reason} (1 to 236 bytes, no '/', no NUL)")
        }
        (Error::NotFound { .. } | Error::NoServer { .. }, _) => format!(
            "channel '{name}' has no server: start one with `zerobuffer serve {name} --exec COMMAND`, or wait longer with --wait SECONDS"
        ),
        (Error::ReaderAlreadyConnected { pid, .. }, Role::Server) => {
            format!(
                "channel '{name}' already has a server{}: end that one, or choose another name",
                who(*pid)
            )
        }
        (Error::ClientAlreadyConnected { pid, .. } | Error::WriterAlreadyConnected { pid, .. }, _) => {
            format!(
                "channel '{name}' is busy with another client{}: try again, or wait longer with --wait SECONDS",
                who(*pid)
            )
        }
        (Error::TooManyClients { clients, most, .. }, _) => format!(
            "channel '{name}' has {clients} clients, and serves {most} at a time: try again, or wait longer with --wait SECONDS; more may be served with a larger --clients"
        ),
        (Error::EmptyFrame { .. }, _) => String::from("the request is empty: it needs at least one byte"),
        (Error::FrameTooLarge { size, max, .. }, Role::Client) => too_large(name, Some(*size), *max),
        (Error::ServerGone { .. } | Error::ReaderGone { .. } | Error::WriterGone { .. }, Role::Client) => {
            format!("the server of channel '{name}' has gone: no response")
        }
        (Error::Remote { message, .. }, _) => format!("the program of channel '{name}' failed: {message}"),
        (Error::ResponseTooLarge { size, max, .. }, _) => format!(
            "the response of channel '{name}' has {size} bytes, and room is for {max}: call with --response-size {}",
            size.saturating_add(16)
        ),
        (Error::NoResponse { waited, .. }, _) => format!(
            "no response from channel '{name}' within {}; wait longer with --timeout SECONDS",
            time::seconds(*waited)
        ),
        (Error::Full { waited, .. }, Role::Client) => format!(
            "the server of channel '{name}' takes no request: it has had no room for {}; serve with a larger --ring, or with more --workers",
            time::seconds(*waited)
        ),
        (
            Error::NoSpace { needed, available, .. } | Error::NoResponseSpace { needed, available, .. },
            role,
        ) => {
            let option = if role == Role::Server { "--ring" } else { "--response-size" };
            format!(
                "channel '{name}': {needed} bytes of shared memory are needed, {available} are available; choose a smaller {option}, or make shared memory larger"
            )
        }
        (Error::MetadataTooLarge { size, max, .. }, _) => format!(
            "{size} bytes of metadata do not fit channel '{name}', which takes {max}; serve with --metadata {}",
            block_for(*size)
        ),
        (Error::PermissionDenied { .. }, _) => format!(
            "no permission to use channel '{name}': it belongs to another user, who can serve with --mode 660 or 666"
        ),
        _ => return error.into(),
    };
    Fail::new(exit, words)
}

/// A request that no ring of this channel takes.
pub(super) fn too_large(name: &str, size: Option<u64>, max: u64) -> String {
    let size = size.map_or_else(|| format!("more than {max} bytes"), |size| format!("{size} bytes"));
    format!(
        "a request of {size} does not fit channel '{name}', which takes at most {max}; serve with a larger --ring BYTES"
    )
}

/// Bytes of a metadata block that holds `size` bytes.
pub(super) fn block_for(size: u64) -> u64 {
    size.saturating_add(8).checked_next_multiple_of(1024).unwrap_or(u64::MAX)
}

fn who(pid: u64) -> String {
    if pid == 0 { String::new() } else { format!(", process {pid}") }
}
