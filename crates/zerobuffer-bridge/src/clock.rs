//! The clock that stamps are taken from.
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970.
pub(crate) fn stamp() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// A number that no other run of any ring has, but by an unlikely chance.
pub(crate) fn unlike() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(stamp())
}
