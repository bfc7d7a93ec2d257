//! What happens to frames that come faster than a receiver takes them.

/// What happens to frames that come faster than a receiver takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Policy {
    /// Nothing is lost: the ring fills, and its writer waits. Without a receiver nothing is read.
    Block,
    /// The newest frame is sent next, older ones are left out.
    Latest,
    /// Frames that come while one is under way are left out.
    Drop,
}

impl Policy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Block => "block",
            Policy::Latest => "latest",
            Policy::Drop => "drop",
        }
    }
}
