//! The clients that hold a frame.
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A client that may hold a frame: which one, by its count, and the connection that it is sent on.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// 0: none.
    count: AtomicU64,
    stream: OnceLock<Arc<TcpStream>>,
}

impl Hold {
    /// The connection that ends where the frame is held for too long.
    pub(crate) fn connection(&self, stream: Arc<TcpStream>) {
        // A second one would be of another client.
        let _ = self.stream.set(stream);
    }

    pub(crate) fn set(&self, count: u64) {
        self.count.store(count, Ordering::SeqCst);
    }

    /// The count of the frame that is held.
    pub(super) fn count(&self) -> Option<u64> {
        Some(self.count.load(Ordering::SeqCst)).filter(|count| *count > 0)
    }

    /// Ends the connection.
    pub(super) fn let_go(&self) {
        if let Some(stream) = self.stream.get() {
            log::debug!("a client of the viewer has held a frame for too long");
            // One that has ended already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
