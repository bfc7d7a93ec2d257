//! What the other endpoint can do.

use crate::layout::level;

/// The other endpoint's capabilities, by the level that it announces. A *legacy* endpoint, of
/// another implementation, announces none; a *native* one does as long as it is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    level: u8,
}

impl Peer {
    /// An endpoint of another implementation.
    pub(crate) const LEGACY: Self = Self { level: 0 };

    pub(crate) fn of_level(level: u8) -> Self {
        Self { level }
    }

    pub(crate) fn is_native(self) -> bool {
        self != Self::LEGACY
    }

    /// It holds presence locks, by which alone it is judged.
    pub(crate) fn has_presence(self) -> bool {
        self.is_native()
    }

    /// As a reader, it has made the native block, and follows a writer into the native form of the
    /// ring.
    pub(crate) fn has_native_form(self) -> bool {
        self.level >= level::NATIVE
    }

    /// A token without a frame means nothing to it. To a legacy reader each one announces a frame.
    pub(crate) fn ignores_surplus_tokens(self) -> bool {
        self.is_native()
    }

    /// It repairs the ring after its writer's death, and nobody but it forgets a dead writer.
    pub(crate) fn repairs(self) -> bool {
        self.is_native()
    }

    /// The sequence numbers of the frames are the writer's choice.
    pub(crate) fn free_sequences(self) -> bool {
        self.level >= level::FREE_SEQUENCES
    }
}
