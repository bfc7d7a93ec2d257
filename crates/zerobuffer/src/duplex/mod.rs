//! Request and response over two buffers: a server that answers frames with frames.
//!
//! The channel `C` is the buffer `C_request`, which the [`Server`] creates and reads, and the
//! buffer `C_response`, which the [`Client`] creates and reads. One client is connected at a time;
//! when it goes, the next one may come. Frames carry nothing but the payload: an answer belongs to
//! the request whose sequence number it bears.
//!
//! ```
//! use std::time::Duration;
//! use zerobuffer::duplex::{Client, Server, ServerConfig};
//!
//! let channel = format!("doc-duplex-{}", std::process::id());
//! // One process:
//! let server = Server::new(&channel, ServerConfig::default());
//! server.start(|request, mut response| {
//!     let shouted = request.data().to_ascii_uppercase();
//!     response.write(&shouted)?;
//!     Ok(())
//! })?;
//! // Another one:
//! # let config = zerobuffer::duplex::ClientConfig::default().response_size(64 * 1024);
//! # let client = Client::connect_with(&channel, config)?;
//! # #[cfg(any())]
//! let client = Client::connect(&channel)?;
//! let answer = client.call(b"hello", Duration::from_secs(5))?;
//! assert_eq!(answer.data(), b"HELLO");
//! # drop(answer);
//! # client.close()?;
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The other end may be of another implementation. Then answers are numbered 1, 2, 3, … as they are
//! written, so they match their requests only while the handler answers each one exactly once.
#![forbid(unsafe_code)]

mod client;
mod config;
mod entrance;
mod failure;
mod remote;
mod server;

pub use client::{Call, Client, RequestMut, Response};
pub use config::{ClientConfig, ProcessingMode, ServerConfig};
pub use failure::{BoxError, Failure};
pub use remote::HandlerError;
#[cfg(feature = "async")]
pub use server::Task;
pub use server::{Responder, ResponseMut, Server};

/// The buffer that carries a channel's requests.
fn request_name(channel: &str) -> String {
    format!("{channel}_request")
}

/// The buffer that carries a channel's responses.
fn response_name(channel: &str) -> String {
    format!("{channel}_response")
}
