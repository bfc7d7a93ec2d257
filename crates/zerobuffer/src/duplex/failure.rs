//! What a server tells its error handlers.

use crate::error::Error;
use std::time::Duration;

/// An error of a handler: anything that can be printed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something went wrong in a running server. It goes on, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No client has connected in time. A server that is not persistent stops.
    #[error("channel '{channel}': no client has connected within {waited:?}")]
    #[allow(missing_docs)]
    NoClient { channel: String, waited: Duration },

    /// A client is connected to the request buffer, but there is no response buffer to answer into.
    /// Its requests are dropped; a server that is not persistent stops.
    #[error("channel '{channel}': the client's response buffer cannot be used after {waited:?}: {source}")]
    #[allow(missing_docs)]
    NoResponseBuffer { channel: String, waited: Duration, source: Error },

    /// The client has closed or died. A server that is not persistent stops.
    #[error("channel '{channel}': the client has gone: {source}")]
    #[allow(missing_docs)]
    ClientGone { channel: String, source: Error },

    /// `on_init` failed, or the metadata cannot be read. The requests are handled all the same.
    #[error("channel '{channel}': initialisation with the client's metadata failed: {source}")]
    #[allow(missing_docs)]
    Init { channel: String, source: BoxError },

    /// A handler failed or panicked.
    #[error("channel '{channel}': the handler of request {request} failed: {source}")]
    #[allow(missing_docs)]
    Handler { channel: String, request: u64, source: BoxError },

    /// A handler wrote no response, or several, of which only the first was sent.
    #[error("channel '{channel}': the handler of request {request} wrote {answers} responses instead of one{}", drift(*.renumbered))]
    #[allow(missing_docs)]
    Answers {
        channel: String,
        request: u64,
        answers: u32,
        /// The client numbers responses as they come: from here on each seems to answer an earlier
        /// request.
        renumbered: bool,
    },

    /// The request buffer cannot be read any more. It is created anew; a server that is not
    /// persistent stops.
    #[error("channel '{channel}': {source}")]
    #[allow(missing_docs)]
    Buffer { channel: String, source: Error },
}

fn drift(renumbered: bool) -> &'static str {
    if renumbered {
        "; the client is of another implementation, whose later responses now seem to answer earlier requests"
    } else {
        ""
    }
}
