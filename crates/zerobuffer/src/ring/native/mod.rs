//! Native form (W15): nothing in the ring but frames, two counters of bytes, and a table of jumps
//! behind the ring.

mod enter;
mod runs;
mod writing;

pub(super) use enter::{enter, form};
pub(super) use writing::Writing;
