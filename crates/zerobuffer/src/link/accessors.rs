//! The accessors that endpoints and their handles have in common.

/// What an endpoint and its handle tell of their buffer, from any thread. `$of` leads to the
/// `Link`.
macro_rules! buffer_accessors {
    ($of:tt) => {
        /// The buffer's name.
        #[must_use]
        pub fn name(&self) -> &str {
            &self.$of.name
        }

        /// Bytes of the ring.
        #[must_use]
        pub fn capacity(&self) -> u64 {
            self.$of.region.capacity()
        }

        /// Bytes of the metadata block; 8 of them are the length.
        #[must_use]
        pub fn metadata_capacity(&self) -> u64 {
            self.$of.region.metadata_capacity()
        }

        /// The share of the ring that is in use, 0.0 to 1.0: frames that are unread or held.
        #[must_use]
        pub fn utilization(&self) -> f64 {
            self.$of.region.utilization()
        }
    };
}

/// What only a handle does: ending the endpoint's blocked call from another thread.
macro_rules! handle_controls {
    () => {
        /// Ends the blocked call with [`Error::Closed`](crate::Error::Closed), and each later one
        /// until [`Self::resume`]. The endpoint stays connected until it is closed or dropped.
        pub fn interrupt(&self) {
            self.0.interrupt();
        }

        /// Takes [`Self::interrupt`] back: calls work again. A call that was blocked has ended all
        /// the same, if it has noticed the interrupt by then.
        pub fn resume(&self) {
            self.0.resume();
        }

        /// Whether [`Self::interrupt`] was called, and not taken back by [`Self::resume`].
        #[must_use]
        pub fn is_interrupted(&self) -> bool {
            self.0.is_interrupted()
        }

        /// Whether this is a forked child, in which the endpoint cannot be used.
        pub(crate) fn is_forked(&self) -> bool {
            self.0.is_forked()
        }
    };
}

/// `{:?}` in one line: the buffer, not its insides.
macro_rules! debug_line {
    ($type:ident, $of:tt) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("name", &self.$of.name)
                    .field("capacity", &self.$of.region.capacity())
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use {buffer_accessors, debug_line, handle_controls};
