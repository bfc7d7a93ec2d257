//! The mapped segment, and owned places in it.

mod place;
mod region;
#[cfg(any(loom, shuttle))]
mod tracked;

pub(crate) use place::{Place, Slot, Span};
#[cfg(test)]
pub(crate) use region::heap;
pub(crate) use region::{Memory, Region};
#[cfg(any(loom, shuttle))]
pub(crate) use tracked::Tracked;
