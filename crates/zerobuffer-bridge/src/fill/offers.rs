//! The bridges that offer a stream.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bridges that offer a stream, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers(Arc<Mutex<Vec<String>>>);

impl Offers {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for it.
    pub(crate) fn add(&self, sender: &str, most: usize) -> bool {
        let mut senders = self.lock();
        let has_room = senders.len() < most;
        if has_room && !senders.iter().any(|other| other == sender) {
            senders.push(sender.to_owned());
        }
        has_room
    }

    pub(crate) fn remove(&self, sender: &str) {
        self.lock().retain(|other| other != sender);
    }

    /// Others get their turn.
    pub(crate) fn put_last(&self, sender: &str) {
        let mut senders = self.lock();
        if let Some(at) = senders.iter().position(|other| other == sender) {
            let sender = senders.remove(at);
            senders.push(sender);
        }
    }

    pub(crate) fn first(&self) -> Option<String> {
        self.lock().first().cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn has(&self, sender: &str) -> bool {
        self.lock().iter().any(|other| other == sender)
    }
}
