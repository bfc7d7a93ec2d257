//! Connecting and writing as futures (feature `async`).

use super::{FrameMut, Outcome, Writer, WriterShared};
#[cfg(all(target_os = "linux", not(macos_sys)))]
use crate::link::reactor::EventFd;
use crate::{
    config::{FullRingPolicy, WAIT_SLICE, WriterConfig},
    error::{Error, Result},
    layout::Word,
    link::{
        Patience,
        reactor::{Errand, LONGEST, Subject},
    },
    liveness::Process,
    memory::Slot,
    ring::{Shortage, reader_movement},
    sync::{Arc, Instant, Ordering, lock},
    sys::{Role, Semaphore},
};
use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

impl Writer {
    /// As [`Self::connect`].
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`].
    pub async fn connect_async(name: &str) -> Result<Self> {
        Self::connect_with_async(name, WriterConfig::default()).await
    }

    /// As [`Self::connect_with`]: waits for the buffer's reader as long as the configuration says.
    ///
    /// Opening and mapping files blocks, so a thread is started for it, which ends with the
    /// connection. A future that is dropped leaves no writer behind.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_with`]; [`Error::Os`] if no thread can be started.
    pub async fn connect_with_async(name: &str, config: WriterConfig) -> Result<Self> {
        let owned = name.to_owned();
        let connected = Errand::new(move |go_on| {
            let mut patience = Patience::for_timeout(config.connect_timeout).asking(go_on);
            Self::connect_within(&owned, config, &mut patience)
        });
        connected.await.map_err(|e| Error::os("connect in a thread of its own to", name, e))?
    }

    /// Copies `data` into the ring as one frame. A full ring is handled as the policy says: waiting
    /// takes at most the write timeout.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has written nothing. Polled again
    /// after it was ready, it is [`Error::NothingPending`].
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_async<'w>(
        &'w mut self,
        data: &'w [u8],
    ) -> impl Future<Output = Result<Outcome>> + Send + Sync + Unpin + 'w {
        let put = move |writer: &mut Self, slot| writer.fill(slot, &[data], data.len());
        WriteFuture { writer: self, len: data.len(), put, wait: None, is_over: false }
    }

    /// As [`Self::write_async`], for a frame that lies in several pieces.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_vectored_async<'w>(
        &'w mut self,
        parts: &'w [IoSlice<'w>],
    ) -> impl Future<Output = Result<Outcome>> + Send + Sync + Unpin + 'w {
        let len = super::total_len(parts);
        let put = move |writer: &mut Self, slot| writer.fill(slot, parts, len);
        WriteFuture { writer: self, len, put, wait: None, is_over: false }
    }

    /// Lends ring memory for a frame of `size` bytes, as [`Self::loan`] does. Cancel-safe, as
    /// [`Self::write_async`].
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn loan_async(
        &mut self,
        size: usize,
    ) -> impl Future<Output = Result<FrameMut<'_>>> + Send + Sync + Unpin + '_ {
        let shared = Arc::clone(&self.shared);
        LoanFuture { writer: Some(self), size, wait: None, shared }
    }

    /// A descriptor for an event loop, for a ring that was full. It is readable when
    /// [`Self::try_write`] may succeed, or has something else to say. The call that says
    /// [`Error::Full`] makes it unreadable until there may be room. Another waiting call takes its
    /// wake-ups away until then. Each call gives the same descriptor.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if there can be no further descriptor.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub fn event_fd(&mut self) -> Result<EventFd> {
        self.waits.event_fd(&self.shared.name)
    }

    /// Has the event descriptor become readable when there may be room, unless there is.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    #[inline(never)]
    pub(super) fn arm_event(&mut self, event: &EventFd, size: u64) -> Result<Slot> {
        let now = Instant::now();
        let seen = words(&self.shared);
        // What makes it readable from here on is later than the look.
        event.drain();
        let found = match self.arm(&mut Context::from_waker(&event.waker()), now, None) {
            Ok(()) => self.last_look(size, now),
            Err(error) => Err(error),
        };
        self.shared.seen.note(seen);
        match found {
            Ok(Err(shortage)) => Err(self.full(shortage, Duration::ZERO)),
            Ok(Ok(slot)) => {
                self.waits.disarm();
                event.signal();
                Ok(slot)
            }
            Err(error) => {
                event.signal();
                Err(error)
            }
        }
    }

    /// Behind the arming: is the reader there, is there room by now? Edge E4: space whose token is
    /// taken here is seen.
    fn last_look(&mut self, size: u64, now: Instant) -> Result<Result<Slot, Shortage>> {
        self.watch.refresh(&self.shared, now)?;
        self.shared.space.take_all();
        let found = self.attempt(size)?;
        self.check()?;
        Ok(found)
    }

    /// Ready with a slot, or with what keeps from having one; otherwise the context's waker is
    /// woken when there may be room.
    fn poll_reserve(
        &mut self,
        context: &mut Context<'_>,
        size: usize,
        wait: &mut Option<Wait>,
    ) -> Poll<Result<Slot>> {
        self.pending = None;
        let Some(result) = self.reserve_or_arm(context, size, wait).transpose() else { return Poll::Pending };
        self.waits.disarm();
        self.ended_wait(wait.take(), result.is_ok());
        Poll::Ready(result)
    }

    /// [`Self::begin`] as an attempt, for a wait with others.
    pub(crate) fn poll_begin(
        &mut self,
        context: &mut Context<'_>,
        size: usize,
        wait: &mut Option<Wait>,
    ) -> Poll<Result<()>> {
        self.poll_reserve(context, size, wait).map_ok(|slot| self.pending = Some(slot))
    }

    #[inline]
    fn reserve_or_arm(
        &mut self,
        context: &mut Context<'_>,
        size: usize,
        wait: &mut Option<Wait>,
    ) -> Result<Option<Slot>> {
        self.check()?;
        if size == 0 {
            return Err(self.refuse_empty());
        }
        match self.producer.reserve_in_window(&self.shared.region, size as u64) {
            Some(slot) => Ok(Some(slot)),
            None => self.reserve_elsewhere_or_arm(context, size as u64, wait),
        }
    }

    #[inline(never)]
    fn reserve_elsewhere_or_arm(
        &mut self,
        context: &mut Context<'_>,
        size: u64,
        wait: &mut Option<Wait>,
    ) -> Result<Option<Slot>> {
        let shortage = match self.attempt(size)? {
            Ok(slot) => return Ok(Some(slot)),
            Err(shortage) => shortage,
        };
        let now = Instant::now();
        if self.config.full_ring != FullRingPolicy::Block {
            self.watch.refresh(&self.shared, now)?;
            return Err(self.full(shortage, Duration::ZERO));
        }
        if wait.is_none()
            && self.glance(shortage)
            && let Ok(slot) = self.attempt(size)?
        {
            return Ok(Some(slot));
        }
        let timeout = self.config.write_timeout;
        let wait = wait.get_or_insert_with(|| Wait {
            began: now,
            deadline: timeout.and_then(|timeout| now.checked_add(timeout)),
        });
        // What moves from here on is something that the thread wakes for.
        let seen = words(&self.shared);
        self.arm(context, now, wait.deadline)?;
        match self.last_look(size, now)? {
            Ok(slot) => return Ok(Some(slot)),
            Err(shortage) if wait.deadline.is_some_and(|deadline| now >= deadline) => {
                return Err(self.full(shortage, now.saturating_duration_since(wait.began)));
            }
            Err(_) => {}
        }
        self.shared.seen.note(seen);
        Ok(None)
    }

    /// From now on the context's waker is woken when there may be something.
    fn arm(&mut self, context: &mut Context<'_>, now: Instant, deadline: Option<Instant>) -> Result<()> {
        let shared = &self.shared;
        let subject = || WriterSubject { shared: Arc::clone(shared) };
        let registration = self.waits.register(&shared.name, subject)?;
        if registration.was_due() {
            self.watch.hurry(now);
        }
        // A legacy reader is judged by what it moves in a slice.
        let look = now + if self.shared.peer.has_presence() { LONGEST } else { WAIT_SLICE };
        registration.arm(context.waker(), deadline);
        registration.look_by(look);
        Ok(())
    }

    /// For the statistics, and the glances of the next waits.
    fn ended_wait(&mut self, wait: Option<Wait>, found: bool) {
        if let Some(wait) = wait {
            let time = self.waiter.waited(wait.began, found);
            self.shared.counters.waited(time, true);
        }
    }
}

/// A future that waits.
#[derive(Debug)]
pub(crate) struct Wait {
    began: Instant,
    deadline: Option<Instant>,
}

struct WriteFuture<'w, F> {
    writer: &'w mut Writer,
    len: usize,
    put: F,
    wait: Option<Wait>,
    is_over: bool,
}

impl<F: Fn(&mut Writer, Slot) -> Result<Outcome> + Unpin> Future for WriteFuture<'_, F> {
    type Output = Result<Outcome>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Outcome>> {
        let this = self.get_mut();
        let writer = &mut *this.writer;
        if this.is_over {
            return Poll::Ready(Err(over(&writer.shared)));
        }
        let Poll::Ready(reserved) = writer.poll_reserve(context, this.len, &mut this.wait) else {
            return Poll::Pending;
        };
        this.is_over = true;
        Poll::Ready(match reserved {
            Ok(slot) => (this.put)(writer, slot),
            Err(error) if writer.counts_as_dropped(&error) => Ok(Outcome::Dropped),
            Err(error) => Err(error),
        })
    }
}

impl<F> Drop for WriteFuture<'_, F> {
    fn drop(&mut self) {
        if self.wait.is_some() {
            self.writer.waits.disarm();
            self.writer.ended_wait(self.wait.take(), false);
        }
    }
}

struct LoanFuture<'w> {
    /// Until the future is ready.
    writer: Option<&'w mut Writer>,
    size: usize,
    wait: Option<Wait>,
    shared: Arc<WriterShared>,
}

impl<'w> Future for LoanFuture<'w> {
    type Output = Result<FrameMut<'w>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(writer) = this.writer.take() else { return Poll::Ready(Err(over(&this.shared))) };
        let Poll::Ready(reserved) = writer.poll_reserve(context, this.size, &mut this.wait) else {
            this.writer = Some(writer);
            return Poll::Pending;
        };
        Poll::Ready(match reserved {
            Ok(slot) => {
                writer.pending = Some(slot);
                Ok(FrameMut::new(writer))
            }
            Err(error) if writer.counts_as_dropped(&error) => Ok(FrameMut::dropped(writer, this.size)),
            Err(error) => Err(error),
        })
    }
}

impl Drop for LoanFuture<'_> {
    fn drop(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.waits.disarm();
            writer.ended_wait(self.wait.take(), false);
        }
    }
}

/// The future was polled again after it was ready.
#[cold]
fn over(shared: &WriterShared) -> Error {
    Error::NothingPending { name: shared.name.clone() }
}

/// What moves without a token at times, as hints: both endpoints, and what the reader moves.
fn words(shared: &WriterShared) -> [u64; 6] {
    let pid = |word| shared.region.load(word, Ordering::Relaxed);
    let [free, count, credited, taken] = reader_movement(&shared.region);
    [pid(Word::ReaderPid), pid(Word::WriterPid), free, count, credited, taken]
}

struct WriterSubject {
    shared: Arc<WriterShared>,
}

impl Subject for WriterSubject {
    fn semaphore(&self) -> &Semaphore {
        &self.shared.space
    }

    fn is_due(&self) -> bool {
        let shared = &self.shared;
        if shared.seen.differs(words(shared)) || shared.is_interrupted() {
            return true;
        }
        let presence = lock(&shared.presence);
        let held = presence.as_ref().and_then(|presence| presence.is_held(Role::Reader).ok());
        match held {
            Some(true) => false,
            Some(false) if shared.peer.has_presence() => true,
            _ => Process::of(shared.reader_pid) == Process::Missing,
        }
    }
}
