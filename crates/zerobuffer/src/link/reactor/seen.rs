//! What an endpoint saw when it began to wait.

use crate::sync::{AtomicU64, Ordering};

/// Words of shared memory as an endpoint saw them before it began to wait. Hints, for the thread
/// that looks whether something has moved without a token.
#[derive(Debug)]
pub(crate) struct Seen<const N: usize>([AtomicU64; N]);

impl<const N: usize> Seen<N> {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(crate) fn note(&self, words: [u64; N]) {
        for (place, seen) in self.0.iter().zip(words) {
            place.store(seen, Ordering::Relaxed);
        }
    }

    /// Whether they are others now.
    pub(crate) fn differs(&self, words: [u64; N]) -> bool {
        self.0.iter().zip(words).any(|(place, now)| place.load(Ordering::Relaxed) != now)
    }
}
