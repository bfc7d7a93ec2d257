//! Zero-copy streaming of variable-size frames between two processes on one machine.
//!
//! A *buffer* is a ring in named shared memory with one [`Reader`], which creates and owns it, and one [`Writer`], which
//! connects to it. Frames are read in place and can be written in place; two named semaphores wake whoever waits. The
//! bytes are those of the ZeroBuffer protocol 1.0.0, so that endpoints of the C++, C# and Python implementations can be
//! the other end.
//!
//! ```
//! use zerobuffer::{BufferConfig, Reader, Writer};
//!
//! let name = format!("doc-crate-{}", std::process::id());
//! // One process:
//! let mut reader = Reader::create(&name, BufferConfig::ring(1024 * 1024))?;
//! // Another one:
//! let mut writer = Writer::connect(&name)?;
//! writer.write(b"a frame")?;
//! // The first one again:
//! let frame = reader.read()?;
//! assert_eq!((frame.sequence(), frame.data()), (1, &b"a frame"[..]));
//! # Ok::<(), zerobuffer::Error>(())
//! ```
//!
//! What it does not do: more than one reader or writer per buffer, delivery across machines, persistence, protection
//! against a peer that breaks the protocol on purpose inside its own frames (see `SECURITY.md`).
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(
    clippy::inline_always,
    reason = "where each instruction counts, and left to itself the compiler decides otherwise"
)]
// The model checkers' builds have the two endpoints on simulated memory, and nothing else of the library.
#![cfg_attr(
    any(loom, shuttle),
    allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)
)]

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!("zerobuffer: the protocol is little-endian and positions are 64 bits wide");

mod advice;
mod config;
mod crash;
#[cfg(not(any(loom, shuttle)))]
pub mod duplex;
mod error;
mod layout;
mod link;
mod memory;
#[cfg(not(any(loom, shuttle)))]
pub mod observe;
mod reader;
mod ring;
mod stats;
mod sync;
mod sys;
#[cfg(test)]
mod testing;
mod writer;

pub use config::{BufferConfig, FullRingPolicy, InvalidOwner, Owner, WAIT_SLICE, WaitStrategy, WriterConfig};
pub use error::{Error, ErrorKind, Result};
pub use layout::{FRAME_HEADER_SIZE, PROTOCOL_VERSION};
pub use link::{Keepalive, Patience};
pub use reader::{Frame, Frames, Latest, Metadata, Reader, ReaderHandle};
pub use stats::{ReaderStats, WriterStats};
pub use writer::{FrameMut, Outcome, Writer, WriterHandle};

/// Which types may be moved to, and used from, other threads.
#[cfg(not(any(loom, shuttle)))]
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Reader>();
    is_shared::<ReaderHandle>();
    is_shared::<Frame>();
    is_shared::<Latest>();
    is_shared::<Metadata>();
    is_shared::<Writer>();
    is_shared::<WriterHandle>();
    is_shared::<FrameMut<'_>>();
    is_shared::<Keepalive>();
    is_shared::<Error>();
    is_shared::<duplex::Client>();
    is_shared::<duplex::Call>();
    is_shared::<duplex::Response>();
    is_shared::<duplex::RequestMut<'_>>();
    is_shared::<duplex::Server>();
    is_send::<duplex::Responder>();
    is_send::<duplex::ResponseMut<'_>>();
};

/// What the tests of `tests/loom` and `tests/shuttle` do to the simulated machine.
#[cfg(any(loom, shuttle))]
pub mod simulated {
    pub use crate::sys::machine::*;
    #[cfg(loom)]
    pub mod edges {
        pub use crate::sync::End;
        pub use crate::sync::weaken;
    }
}

/// The README's example, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeExamples;

/// That of DUPLEX_CHANNEL.md.
#[cfg(doctest)]
#[doc = include_str!("../../../DUPLEX_CHANNEL.md")]
struct DuplexExamples;
