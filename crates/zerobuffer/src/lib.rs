#![doc = include_str!("../README.md")]
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(
    clippy::inline_always,
    reason = "where each instruction counts, and left to itself the compiler decides otherwise"
)]
// The model checkers' builds have the two endpoints on simulated memory, and nothing else of the
// library.
#![cfg_attr(
    any(loom, shuttle),
    allow(dead_code, unused_imports, unreachable_pub, missing_docs, missing_debug_implementations)
)]

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!("zerobuffer: the protocol is little-endian and positions are 64 bits wide");

mod advice;
#[cfg(not(any(loom, shuttle)))]
mod broadcast;
mod config;
mod crash;
#[cfg(not(any(loom, shuttle)))]
pub mod duplex;
mod error;
mod layout;
mod link;
mod liveness;
mod memory;
#[cfg(not(any(loom, shuttle)))]
pub mod observe;
mod origin;
mod reader;
mod ring;
mod stats;
mod sync;
mod sys;
#[cfg(shuttle)]
#[path = "observe/tap/simulated.rs"]
mod tap;
#[cfg(test)]
mod testing;
mod writer;

#[cfg(not(any(loom, shuttle)))]
pub use broadcast::{
    BroadcastConfig, BroadcastStats, Broadcaster, BroadcasterHandle, Delivery, SlowPolicy, Subscriber,
};
pub use config::{BufferConfig, FullRingPolicy, InvalidOwner, Owner, WAIT_SLICE, WaitStrategy, WriterConfig};
pub use error::{Error, ErrorKind, Result};
pub use layout::{FRAME_HEADER_SIZE, PROTOCOL_VERSION};
#[doc(hidden)]
pub use link::Keepalive;
pub use link::Patience;
#[cfg(all(feature = "async", target_os = "linux", not(macos_sys)))]
pub use link::reactor::EventFd;
#[doc(hidden)]
pub use origin::Origin;
#[cfg(feature = "stream")]
pub use reader::FrameStream;
pub use reader::{Frame, Frames, Latest, Metadata, Reader, ReaderHandle};
#[cfg(not(any(loom, shuttle)))]
pub use reader::{Newest, NewestFrame, NewestHandle};
#[cfg(all(feature = "async", not(any(loom, shuttle))))]
pub use reader::{Select, wait_any};
pub use stats::{ReaderStats, WriterStats};
pub use writer::{FrameMut, Outcome, Writer, WriterHandle};

/// Which types may be moved to, and used from, other threads.
#[cfg(not(any(loom, shuttle)))]
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Broadcaster>();
    is_shared::<BroadcasterHandle>();
    is_shared::<Reader>();
    is_shared::<ReaderHandle>();
    is_shared::<Frame>();
    is_shared::<Latest>();
    is_shared::<Metadata>();
    is_shared::<Newest>();
    is_shared::<NewestFrame>();
    is_shared::<NewestHandle>();
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
    #[cfg(shuttle)]
    pub use crate::tap::Tap;
    /// Whether a reader has followed its writer into the native form.
    #[cfg(loom)]
    #[must_use]
    pub fn is_native(reader: &crate::Reader) -> bool {
        reader.is_native()
    }

    /// How many sleepers a reader's semaphore counts.
    #[cfg(all(any(loom, shuttle), feature = "async"))]
    #[must_use]
    pub fn sleepers(reader: &crate::Reader) -> u64 {
        reader.sleepers()
    }

    #[cfg(all(shuttle, feature = "async"))]
    pub mod steps {
        pub use crate::sync::{End, STEPS, leave_out};
    }

    #[cfg(loom)]
    pub mod edges {
        pub use crate::sync::{ENDS, End, weaken};
    }
}

/// The examples of README and of the pages, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeExamples;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/broadcast.md")]
struct BroadcastExamples;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/duplex.md")]
struct DuplexExamples;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
struct RustExamples;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/tutorial.md")]
struct TutorialExamples;
