//! Legacy form: the protocol of every other implementation, also between two ends of this one that
//! cannot use the native form.

mod numbers;
mod placement;
mod reading;
mod usable;
mod writing;

pub(super) use numbers::number;
pub(crate) use numbers::unread_frames;
pub(super) use reading::Reading;
pub(super) use writing::Writing;
