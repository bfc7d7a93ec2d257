//! Waiting for several readers in one thread (feature `async`).

use super::{Frame, Reader};
use crate::error::Result;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread, ThreadId},
    time::{Duration, Instant},
};

/// Waits for whichever of several readers has a frame first, in blocking code.
///
/// The readers have turns: one that always has a frame does not keep the others from being read.
/// The first wait allocates what it needs. Later ones of the same thread, with as many readers or
/// fewer, allocate nothing.
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
    /// Since when each reader is waited for.
    waits: Vec<Option<Instant>>,
    /// Wakes the thread that has waited last.
    unpark: Option<(ThreadId, Waker)>,
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
        self.waits.clear();
        self.waits.resize(count, None);
        let waker = unpark(&mut self.unpark);
        let found = Self::wait_from(self.next % count, readers, &mut self.waits, waker, deadline);
        if let Some((at, _)) = &found {
            self.next = at + 1;
        }
        found
    }

    fn wait_from(
        first: usize,
        readers: &mut [&mut Reader],
        waits: &mut [Option<Instant>],
        waker: &Waker,
        deadline: Option<Instant>,
    ) -> Option<(usize, Result<Frame>)> {
        let mut context = Context::from_waker(waker);
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
            reader.give_up(wait.take());
        }
        found
    }
}

/// [`Select::wait`] for once: of several readers that have a frame the first is taken. A loop is
/// better off with a [`Select`], which gives the readers turns and allocates once.
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

/// The waker of this thread: the kept one, unless that is another thread's.
fn unpark(kept: &mut Option<(ThreadId, Waker)>) -> &Waker {
    let thread = thread::current();
    let id = thread.id();
    let (_, waker) = match kept.take() {
        Some(same) if same.0 == id => kept.insert(same),
        _ => kept.insert((id, Waker::from(Arc::new(Unpark(thread))))),
    };
    waker
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
