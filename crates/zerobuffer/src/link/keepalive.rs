//! What keeps a mapping alive for a binding's views.

use crate::sync::Arc;
use std::fmt;

/// Keeps a mapping, and nothing else of its endpoint, alive.
#[derive(Clone)]
pub struct Keepalive {
    _owner: Arc<dyn Send + Sync>,
}

impl Keepalive {
    pub(crate) fn new(owner: Arc<impl Send + Sync + 'static>) -> Self {
        Self { _owner: owner }
    }
}

impl fmt::Debug for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keepalive").finish_non_exhaustive()
    }
}
