//! What a caller chooses when it starts a broadcast.

use crate::config::{Owner, WaitStrategy, WriterConfig};
use std::{num::NonZeroUsize, time::Duration};

/// What becomes of a frame for which a subscriber's ring has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// That subscriber misses the frame, which is counted. Nobody waits.
    #[default]
    Drop,
    /// The broadcaster waits for that subscriber, at most this long, and drops the frame then. All
    /// others get the frame before, so it comes late to nobody else. The next frame comes late to
    /// all: this is for sources that can wait, such as files. A subscriber that has let the time
    /// pass is not waited for again until it takes a frame.
    Block(Duration),
    /// The subscriber is disconnected: it sees that its writer has gone. It is connected to again
    /// once it creates its buffer anew.
    Disconnect,
}

/// Behaviour of a [`Broadcaster`](super::Broadcaster).
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{BroadcastConfig, SlowPolicy};
/// let config = BroadcastConfig::default()
///     .policy_for("recorder", SlowPolicy::Block(Duration::from_secs(1)))
///     .policy_for("guest-*", SlowPolicy::Disconnect);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastConfig {
    policy: SlowPolicy,
    policies: Vec<(String, SlowPolicy)>,
    owner: Owner,
    wait: WaitStrategy,
    pub(super) max_subscribers: usize,
}

impl Default for BroadcastConfig {
    /// Slow subscribers miss frames, at most 64 of them, own and root's ones.
    fn default() -> Self {
        Self {
            policy: SlowPolicy::default(),
            policies: Vec::new(),
            owner: Owner::default(),
            wait: WaitStrategy::default(),
            max_subscribers: 64,
        }
    }
}

impl BroadcastConfig {
    /// What becomes of a frame for which a ring has no room; [`SlowPolicy::Drop`] by default.
    #[must_use]
    pub fn policy(mut self, policy: SlowPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same for one subscriber, by the part of its buffer's name behind the `@`. A `*` at the
    /// end stands for any further characters. The first call that fits a subscriber counts.
    #[must_use]
    pub fn policy_for(mut self, subscriber: &str, policy: SlowPolicy) -> Self {
        self.policies.push((subscriber.to_owned(), policy));
        self
    }

    /// Whose buffers get the frames; [`Owner::Trusted`] by default.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// How a broadcaster waits for a subscriber that it waits for; [`WaitStrategy::Adaptive`] by
    /// default.
    #[must_use]
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }

    /// How many subscribers are connected to at once; 64 by default. Further ones wait until one
    /// leaves.
    #[must_use]
    pub fn max_subscribers(mut self, most: NonZeroUsize) -> Self {
        self.max_subscribers = most.get();
        self
    }

    pub(super) fn policy_of(&self, subscriber: &str) -> SlowPolicy {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => subscriber.starts_with(start),
            None => subscriber == pattern,
        };
        let own = self.policies.iter().find(|(pattern, _)| fits(pattern));
        own.map_or(self.policy, |(_, policy)| *policy)
    }

    /// The writer of one subscriber. Whether it waits is decided call by call.
    pub(super) fn writer(&self) -> WriterConfig {
        WriterConfig::default().write_timeout(Duration::ZERO).owner(self.owner).wait(self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_fits_counts() {
        let block = SlowPolicy::Block(Duration::from_secs(1));
        let config = BroadcastConfig::default()
            .policy_for("rec", block)
            .policy_for("rec*", SlowPolicy::Disconnect)
            .policy_for("recorder", block);
        assert_eq!(config.policy_of("rec"), block);
        assert_eq!(config.policy_of("recorder"), SlowPolicy::Disconnect);
        assert_eq!(config.policy_of("viewer"), SlowPolicy::Drop);
        assert_eq!(config.policy(block).policy_of("*"), block);
    }
}
