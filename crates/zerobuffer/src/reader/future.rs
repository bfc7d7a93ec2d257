//! Reading as futures (feature `async`).

use super::{Frame, Latest, Reader, ReaderShared, announced::Announced, wait::Round};
#[cfg(all(target_os = "linux", not(macos_sys)))]
use crate::{error::Error, link::reactor::EventFd};
use crate::{
    error::Result,
    layout::{NativeWord, TOMBSTONE, Word},
    link::{
        Patience,
        reactor::{LONGEST, Subject},
    },
    liveness::Process,
    sync::{Arc, Counted, End, Instant, Ordering, is_done, lock},
    sys::{Role, Semaphore},
};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

impl Reader {
    /// The next frame; waits for it for ever, also for the first writer.
    ///
    /// Cancel-safe: a future that is dropped has taken no frame. It needs no runtime of a certain
    /// kind; a frame that is there already costs what [`Self::try_read`] does.
    ///
    /// ```
    /// # use zerobuffer::{BufferConfig, Reader, Writer};
    /// # let name = format!("doc-read-async-{}", std::process::id());
    /// # pollster::block_on(async {
    /// let mut reader = Reader::create(&name, BufferConfig::default())?;
    /// let mut writer = Writer::connect_async(&name).await?;
    /// writer.write_async(b"hello").await?;
    /// assert_eq!(reader.read_async().await?.data(), b"hello");
    /// # Ok::<(), zerobuffer::Error>(())
    /// # })?;
    /// # Ok::<(), zerobuffer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub fn read_async(&mut self) -> impl Future<Output = Result<Frame>> + Send + Sync + Unpin + '_ {
        ReadFuture { reader: self, waits_since: None }
    }

    /// Waits for a frame, then drops all but the newest that is there. Cancel-safe, as
    /// [`Self::read_async`].
    ///
    /// # Errors
    ///
    /// As [`Self::read_timeout`].
    pub async fn latest_async(&mut self) -> Result<Latest> {
        let frame = self.read_async().await?;
        self.skip_from(frame)
    }

    /// Waits until a writer is attached, or has been and left frames to read.
    ///
    /// # Errors
    ///
    /// As [`Self::wait_for_writer`].
    pub fn wait_for_writer_async(&mut self) -> impl Future<Output = Result<()>> + Send + Sync + Unpin + '_ {
        WriterFuture { reader: self }
    }

    /// A descriptor for an event loop. It is readable when [`Self::try_read`] has something to say.
    /// Call that until it says `None`, or [`Error::WriterGone`](crate::Error::WriterGone). This
    /// last call makes the descriptor unreadable until there is more. Another waiting call takes
    /// its wake-ups away until then. Each call gives the same descriptor.
    ///
    /// ```
    /// # use zerobuffer::{BufferConfig, Reader, Writer};
    /// # let name = format!("doc-event-{}", std::process::id());
    /// let mut reader = Reader::create(&name, BufferConfig::default())?;
    /// let event = reader.event_fd()?;
    /// let watched = event.clone(); // for `epoll`, `AsyncFd`, `add_reader`, …
    /// let mut on_readable = || -> zerobuffer::Result<usize> {
    ///     let mut count = 0;
    ///     while let Some(frame) = reader.try_read()? {
    ///         count += 1;
    ///     }
    ///     Ok(count)
    /// };
    /// assert_eq!(on_readable()?, 0);
    /// let mut writer = Writer::connect(&name)?;
    /// writer.write(b"frame")?;
    /// assert_eq!(on_readable()?, 1);
    /// # let _ = watched;
    /// # Ok::<(), zerobuffer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Os`](crate::Error::Os) if there can be no further descriptor.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub fn event_fd(&mut self) -> Result<EventFd> {
        self.waits.event_fd(&self.shared.name)
    }

    /// After a look that may be the last for now: has the event descriptor become readable with
    /// whatever comes next.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    #[inline]
    pub(super) fn arm_event_after(&mut self, read: Result<Option<Frame>>) -> Result<Option<Frame>> {
        match (self.waits.event(), &read) {
            (Some(event), Ok(None) | Err(Error::WriterGone { .. })) => {
                let event = event.clone();
                self.arm_event(&event)
            }
            _ => read,
        }
    }

    #[cfg(all(target_os = "linux", not(macos_sys)))]
    #[inline(never)]
    fn arm_event(&mut self, event: &EventFd) -> Result<Option<Frame>> {
        let seen = words(&self.shared);
        // What makes it readable from here on is later than the look.
        event.drain();
        let found = self.look_or_arm(&mut Context::from_waker(&event.waker()));
        match &found {
            Ok(None) => {}
            Err(Error::WriterGone { .. }) => self.rest(seen, Instant::now() + LONGEST),
            _ => {
                self.waits.disarm();
                event.signal();
            }
        }
        found
    }

    /// Ready with the next frame; otherwise the context's waker is woken when there may be one.
    /// `waits_since`: when this wait began.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        waits_since: &mut Option<Instant>,
    ) -> Poll<Result<Frame>> {
        match self.read_at_once(waits_since.is_some()) {
            Some(frame) => Poll::Ready(Ok(frame)),
            None => self.poll_read_later(context, waits_since),
        }
    }

    /// As [`Self::poll_read`] for a task of an executor, whose turns the first part of the wait is
    /// made of. It has the task polled again, and nothing is armed meanwhile.
    #[inline]
    pub(super) fn poll_read_in_turns(
        &mut self,
        context: &mut Context<'_>,
        waits_since: &mut Option<Instant>,
    ) -> Poll<Result<Frame>> {
        if let Some(frame) = self.read_at_once(waits_since.is_some()) {
            return Poll::Ready(Ok(frame));
        }
        if self.spins_on(*waits_since.get_or_insert_with(Instant::now)) {
            if is_done(End::TakeTurn) {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        self.poll_read_later(context, waits_since)
    }

    /// The frame of a wait that has not begun.
    #[inline]
    fn read_at_once(&mut self, waits: bool) -> Option<Frame> {
        let frame = if waits { None } else { self.read_plainly() };
        if frame.is_some() {
            self.waits.disarm();
        }
        frame
    }

    /// One turn of a spin. `true`: nothing has come, and another turn is due.
    fn spins_on(&mut self, began: Instant) -> bool {
        let (region, consumer) = (&self.shared.region, &self.consumer);
        // What is known and not taken is no matter of waiting, and what another kind of writer
        // publishes is not seen by its position.
        let ready = !self.announces_itself() || consumer.has_available();
        self.waiter.spins_on(began, || ready || consumer.has_moved(region))
    }

    #[inline(never)]
    fn poll_read_later(
        &mut self,
        context: &mut Context<'_>,
        waits_since: &mut Option<Instant>,
    ) -> Poll<Result<Frame>> {
        let began = *waits_since.get_or_insert_with(Instant::now);
        let result = self.look_or_arm(context);
        let Some(result) = result.transpose() else { return Poll::Pending };
        self.waits.disarm();
        self.ended_wait(began, result.is_ok());
        *waits_since = None;
        Poll::Ready(result)
    }

    fn look_or_arm(&mut self, context: &mut Context<'_>) -> Result<Option<Frame>> {
        self.check()?;
        if let Some(frame) = self.poll(Announced::No)? {
            return Ok(Some(frame));
        }
        // What moves from here on is something that the thread does not have to wake for, or wakes
        // for.
        let seen = words(&self.shared);
        if is_done(End::ArmFirst) {
            self.arm(context)?;
        }
        let mut announced = Announced::No;
        loop {
            match self.round(&mut announced, Instant::now(), &mut Patience::forever())? {
                Round::Found(frame) => return Ok(Some(frame)),
                Round::Again | Round::Over => {}
                Round::Wait(until) => {
                    if !is_done(End::ArmFirst) {
                        self.arm(context)?;
                    }
                    let restless = self.has_more_to_look_at();
                    self.rest(seen, if restless { until } else { Instant::now() + LONGEST });
                    return Ok(None);
                }
            }
        }
    }

    /// Whether only a look of the reader itself shows what goes on. A legacy writer publishes out
    /// of order, and a dead one's ring may not be repaired yet.
    fn has_more_to_look_at(&self) -> bool {
        if self.watch.is_attached() {
            !self.announces_itself() || !self.watch.has_native_writer()
        } else {
            !self.consumer.is_settled(&self.shared.region, &self.shared.credit)
        }
    }

    /// From now on the context's waker is woken when there may be something.
    fn arm(&mut self, context: &mut Context<'_>) -> Result<()> {
        let now = Instant::now();
        let shared = &self.shared;
        let subject = || ReaderSubject { shared: Arc::clone(shared) };
        let registration = self.waits.register(&shared.name, subject)?;
        if registration.was_due() {
            self.watch.hurry(now);
        }
        registration.arm(context.waker(), None);
        Ok(())
    }

    /// Nothing is there. A change of what was `seen` makes the future poll again, and so does
    /// `until`.
    fn rest(&self, seen: [u64; 3], until: Instant) {
        self.shared.seen.note(seen);
        if let Some(registration) = self.waits.registration() {
            registration.look_by(until);
        }
    }

    /// A wait that began at that time is given up.
    pub(super) fn give_up(&mut self, waits_since: Option<Instant>) {
        if let Some(began) = waits_since {
            self.waits.disarm();
            self.ended_wait(began, false);
        }
    }

    /// For the statistics, and the glances of the next waits.
    fn ended_wait(&mut self, began: Instant, found: bool) {
        let time = self.waiter.waited(began, found);
        self.shared.counters.waited(time, true);
    }
}

struct ReadFuture<'r> {
    reader: &'r mut Reader,
    waits_since: Option<Instant>,
}

impl Future for ReadFuture<'_> {
    type Output = Result<Frame>;

    /// Polled again after it was ready, it reads on.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Frame>> {
        let this = self.get_mut();
        this.reader.poll_read_in_turns(context, &mut this.waits_since)
    }
}

impl Drop for ReadFuture<'_> {
    fn drop(&mut self) {
        self.reader.give_up(self.waits_since);
    }
}

struct WriterFuture<'r> {
    reader: &'r mut Reader,
}

impl WriterFuture<'_> {
    fn look(&mut self, context: &mut Context<'_>) -> Result<bool> {
        let reader = &mut *self.reader;
        if reader.sees_writer(false, Instant::now())? {
            return Ok(true);
        }
        let seen = words(&reader.shared);
        reader.arm(context)?;
        // The token of a writer's coming has done its work; another one announces a frame, and is
        // given back.
        let token = reader.shared.data.take();
        if reader.sees_writer(token, Instant::now())? {
            return Ok(true);
        }
        reader.rest(seen, Instant::now() + LONGEST);
        Ok(false)
    }
}

impl Future for WriterFuture<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self.look(context) {
            Ok(false) => Poll::Pending,
            other => {
                self.reader.waits.disarm();
                Poll::Ready(other.map(drop))
            }
        }
    }
}

impl Drop for WriterFuture<'_> {
    fn drop(&mut self) {
        self.reader.waits.disarm();
    }
}

/// What moves without a token at times, as hints: the writer, and the positions of both forms.
fn words(shared: &ReaderShared) -> [u64; 3] {
    let region = &shared.region;
    [
        region.load(Word::WriterPid, Ordering::Relaxed),
        region.load(Word::WritePos, Ordering::Relaxed),
        region.native_load(NativeWord::PUBLISHED, Ordering::Relaxed),
    ]
}

struct ReaderSubject {
    shared: Arc<Counted<ReaderShared>>,
}

impl Subject for ReaderSubject {
    fn semaphore(&self) -> &Semaphore {
        &self.shared.data
    }

    fn is_due(&self) -> bool {
        let now = words(&self.shared);
        if self.shared.seen.differs(now) || self.shared.is_interrupted() {
            return true;
        }
        let [pid, ..] = now;
        if pid == 0 {
            return false;
        }
        let presence = lock(&self.shared.presence);
        let held = presence.as_ref().and_then(|presence| presence.is_held(Role::Writer).ok());
        match held {
            Some(held) => !held,
            None => pid == TOMBSTONE || Process::of(pid) == Process::Missing,
        }
    }
}
