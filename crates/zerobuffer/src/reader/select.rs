//! Waiting for several readers in one thread (feature `async`).

use super::{Frame, Reader};
use crate::error::Result;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// Waits for whichever of several readers has a frame first, in blocking code.
///
/// The readers have turns: one that always has a frame does not keep the others from being read.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{BufferConfig, Reader, Select, Writer};
///
/// let name = format!("doc-select-{}", std::process::id());
/// let mut left = Reader::create(&format!("{name}-left"), BufferConfig::default())?;
/// let mut right = Reader::create(&format!("{name}-right"), BufferConfig::default())?;
/// let mut writer = Writer::connect(&format!("{name}-right"))?;
/// writer.write(b"to the right")?;
///
/// let mut select = Select::new();
/// let (which, frame) = select.wait(&mut [&mut left, &mut right], Duration::from_secs(5)).expect("a frame");
/// assert_eq!((which, frame?.data()), (1, &b"to the right"[..]));
/// assert!(select.wait(&mut [&mut left, &mut right], Duration::ZERO).is_none());
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Select {
    /// Whose turn it is.
    next: usize,
}

impl Select {
    /// The first reader has the first turn.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until one of the readers has a frame, or fails. The number is its place among them.
    /// `None`: none has within `timeout`, or there is none to wait for.
    ///
    /// What fails once fails again at once in the most cases, so such a reader is best left out of
    /// the next wait. That a writer has gone, [`Error::WriterGone`](crate::Error::WriterGone), is
    /// reported again until the next one comes.
    ///
    /// # Errors
    ///
    /// The second of the pair is what [`Reader::read_timeout`] would have said.
    pub fn wait(
        &mut self,
        readers: &mut [&mut Reader],
        timeout: impl Into<Option<Duration>>,
    ) -> Option<(usize, Result<Frame>)> {
        let count = readers.len();
        if count == 0 {
            return None;
        }
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let found = Self::wait_from(self.next % count, readers, deadline);
        if let Some((at, _)) = &found {
            self.next = at + 1;
        }
        found
    }

    fn wait_from(
        first: usize,
        readers: &mut [&mut Reader],
        deadline: Option<Instant>,
    ) -> Option<(usize, Result<Frame>)> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut waits = vec![None; readers.len()];
        let found = loop {
            let mut turns = (first..readers.len()).chain(0..first);
            let found = turns.find_map(|at| match (readers.get_mut(at), waits.get_mut(at)) {
                (Some(reader), Some(wait)) => match reader.poll_read(&mut context, wait) {
                    Poll::Ready(read) => Some((at, read)),
                    Poll::Pending => None,
                },
                _ => None,
            });
            if found.is_some() {
                break found;
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => break None,
                Some(left) => thread::park_timeout(left),
            }
        };
        for (reader, wait) in readers.iter_mut().zip(waits) {
            reader.give_up(wait);
        }
        found
    }
}

/// [`Select::wait`] for once: of several readers that have a frame the first is taken.
///
/// # Errors
///
/// As [`Select::wait`].
pub fn wait_any(
    readers: &mut [&mut Reader],
    timeout: impl Into<Option<Duration>>,
) -> Option<(usize, Result<Frame>)> {
    Select::new().wait(readers, timeout)
}

/// Wakes a thread, or has it not fall asleep.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl fmt::Debug for Unpark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpark").finish_non_exhaustive()
    }
}
