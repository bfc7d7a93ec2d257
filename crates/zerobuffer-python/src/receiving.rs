//! What a reader is in the core: one that takes frames out of the ring, or one that is given the
//! newest.

use std::thread;
use std::time::Duration;

use zerobuffer::{Error, Frame, Keepalive, Metadata, Newest, NewestFrame, NewestHandle, Patience};
use zerobuffer::{Reader, ReaderHandle, ReaderStats};

use crate::event::Signal;

/// Time between two looks whether a writer has come.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Which frame a read wants.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    Next,
    Latest,
}

/// The core's reader.
#[expect(clippy::large_enum_variant, reason = "one per reader, which stays where it is")]
pub(crate) enum Receiver {
    Ring(Reader),
    /// Whatever is wanted, it has the newest frame only.
    Newest(Newest),
}

/// A frame of either.
#[derive(Debug)]
pub(crate) enum Received {
    Ring(Frame),
    /// In private memory.
    Own(NewestFrame),
}

/// The core's handle of either.
#[derive(Clone, Debug)]
pub(crate) enum Watched {
    Ring(ReaderHandle),
    Newest(NewestHandle),
}

impl Receiver {
    pub(crate) fn handle(&self) -> Watched {
        match self {
            Self::Ring(reader) => Watched::Ring(reader.handle()),
            Self::Newest(newest) => Watched::Newest(newest.handle()),
        }
    }

    /// The next frame in the usual case. `None` says nothing.
    #[inline]
    pub(crate) fn known(&mut self) -> Option<Received> {
        match self {
            Self::Ring(reader) => reader.take_known().map(Received::Ring),
            Self::Newest(_) => None,
        }
    }

    pub(crate) fn now(&mut self, want: Want) -> Result<Option<Received>, Error> {
        match (self, want) {
            (Self::Ring(reader), Want::Next) => Ok(reader.try_read()?.map(Received::Ring)),
            (Self::Ring(reader), Want::Latest) => {
                Ok(reader.try_latest()?.map(|latest| Received::Ring(latest.frame)))
            }
            (Self::Newest(newest), _) => Ok(newest.try_read()?.map(Received::Own)),
        }
    }

    pub(crate) fn within(
        &mut self,
        want: Want,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Received>, Error> {
        match (self, want) {
            (Self::Ring(reader), Want::Next) => Ok(reader.read_with(patience)?.map(Received::Ring)),
            (Self::Ring(reader), Want::Latest) => {
                Ok(reader.latest_with(patience)?.map(|latest| Received::Ring(latest.frame)))
            }
            (Self::Newest(newest), _) => Ok(newest.read_with(patience)?.map(Received::Own)),
        }
    }

    /// What an event loop waits for; `None` where there is no such thing.
    #[cfg_attr(
        not(all(target_os = "linux", not(macos_sys))),
        allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")
    )]
    pub(crate) fn event(&mut self) -> Result<Option<Signal>, Error> {
        #[cfg(all(target_os = "linux", not(macos_sys)))]
        return match self {
            Self::Ring(reader) => reader.event_fd().map(Some),
            Self::Newest(newest) => newest.event_fd().map(Some),
        };
        #[cfg(not(all(target_os = "linux", not(macos_sys))))]
        Ok(None)
    }

    pub(crate) fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool, Error> {
        match self {
            Self::Ring(reader) => reader.wait_for_writer(timeout),
            Self::Newest(newest) => {
                let connected = newest.is_writer_connected();
                if !connected {
                    // Its thread waits for the writer, and nobody else may.
                    thread::sleep(timeout.min(LOOK));
                }
                Ok(connected)
            }
        }
    }

    pub(crate) fn close(self) -> Result<(), Error> {
        match self {
            Self::Ring(reader) => reader.close(),
            Self::Newest(newest) => newest.close(),
        }
    }
}

impl Received {
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Ring(frame) => frame.data_mut(),
            Self::Own(frame) => frame.data_mut(),
        }
    }

    pub(crate) fn sequence(&self) -> u64 {
        match self {
            Self::Ring(frame) => frame.sequence(),
            Self::Own(frame) => frame.sequence(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ring(frame) => frame.len(),
            Self::Own(frame) => frame.len(),
        }
    }

    /// What keeps the memory mapped once the frame's space is returned; `None` of a frame that has
    /// no space of the ring.
    pub(crate) fn keep_alive(&self) -> Option<Keepalive> {
        match self {
            Self::Ring(frame) => Some(frame.keep_alive()),
            Self::Own(_) => None,
        }
    }
}

impl Watched {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ring(handle) => handle.name(),
            Self::Newest(handle) => handle.name(),
        }
    }

    pub(crate) fn interrupt(&self) {
        match self {
            Self::Ring(handle) => handle.interrupt(),
            Self::Newest(handle) => handle.interrupt(),
        }
    }

    pub(crate) fn is_writer_connected(&self) -> bool {
        match self {
            Self::Ring(handle) => handle.is_writer_connected(),
            Self::Newest(handle) => handle.is_writer_connected(),
        }
    }

    pub(crate) fn metadata(&self) -> Result<Option<Metadata>, Error> {
        match self {
            Self::Ring(handle) => handle.metadata(),
            Self::Newest(handle) => handle.metadata(),
        }
    }

    pub(crate) fn stats(&self) -> ReaderStats {
        match self {
            Self::Ring(handle) => handle.stats(),
            Self::Newest(handle) => handle.stats(),
        }
    }

    pub(crate) fn utilization(&self) -> f64 {
        match self {
            Self::Ring(handle) => handle.utilization(),
            Self::Newest(handle) => handle.utilization(),
        }
    }

    pub(crate) fn capacity(&self) -> u64 {
        match self {
            Self::Ring(handle) => handle.capacity(),
            Self::Newest(handle) => handle.capacity(),
        }
    }
}

impl From<ReaderHandle> for Watched {
    fn from(handle: ReaderHandle) -> Self {
        Self::Ring(handle)
    }
}
