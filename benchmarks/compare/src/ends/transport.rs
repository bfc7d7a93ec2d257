//! What every system can do: move frames of one size, in order, from one process to another.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// A frame size, and how many frames may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
}

/// A system under measurement. `name` is one direction of one measurement.
pub(crate) trait Transport {
    type Receiver: Receiver;
    type Sender: Sender;

    /// The receiving end, which is there first; the sender may come as soon as this returns.
    fn receiver(name: &str, shape: Shape) -> Result<Self::Receiver>;
    fn sender(name: &str, shape: Shape) -> Result<Self::Sender>;
}

pub(crate) trait Receiver {
    /// Waits for the next frame and shows it.
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R>;
}

pub(crate) trait Sender {
    /// Sends a copy of the frame; waits for space.
    fn copy(&mut self, frame: &[u8]) -> Result<()>;

    /// Sends a frame that is written in place; waits for space.
    fn loan(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<()>;
}

/// How long an end waits for the other one before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Repeats a look at something that the other end is about to make.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what} did not come");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
