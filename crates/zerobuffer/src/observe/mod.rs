//! Looking at buffers from outside, seeing their frames, and removing dead ones. Nothing here
//! disturbs a stream.
//!
//! ```
//! use zerobuffer::{BufferConfig, Reader, observe};
//! let name = format!("doc-observe-{}", std::process::id());
//! let reader = Reader::create(&name, BufferConfig::ring(4096).metadata(64))?;
//! let info = observe::inspect(&name)?;
//! assert_eq!((info.payload_size, info.free), (4096, 4096));
//! assert!(info.reader.is_some_and(|peer| peer.alive && peer.level > 0));
//! # Ok::<(), zerobuffer::Error>(())
//! ```

mod info;
mod machine;
mod orphans;
mod tap;
mod walk;

pub(crate) use info::names;
pub use info::{BufferInfo, Peer, inspect, list, unreadable};
#[doc(hidden)]
pub use machine::memory_limits_below;
pub use machine::{MemoryLimit, memory_limits, waits_for_many};
pub(crate) use orphans::remove_dead;
pub use orphans::{Orphan, Owner, orphans, orphans_of, remove, remove_unproven};
pub use tap::{Tap, TapFrame, TapState};
