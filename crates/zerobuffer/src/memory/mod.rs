//! The mapped segment, and owned places in it.

mod place;
mod region;
#[cfg(any(loom, shuttle))]
mod tracked;

pub(crate) use place::{Slot, Span};
#[cfg(test)]
pub(crate) use region::heap;
pub(crate) use region::{Memory, Region, order_stores};
#[cfg(any(loom, shuttle))]
pub(crate) use tracked::Tracked;
