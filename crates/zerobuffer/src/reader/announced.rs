//! What lets a reader take a published frame.

/// What says that a published frame may be taken (W5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Announced {
    /// Nothing yet.
    #[default]
    No,
    /// A legacy writer's position has stood still for a slice: the token is lost, or to come.
    ByPosition,
    /// A token that was taken for it.
    ByToken,
}
