//! Legacy form: the protocol of every other implementation, also between two ends of this one that
//! cannot use the native form.

mod numbers;
mod placement;
mod usable;
mod writing;

pub(crate) use numbers::unread_frames;
pub(super) use numbers::{is_full_ring, number};
pub(super) use writing::Writing;
