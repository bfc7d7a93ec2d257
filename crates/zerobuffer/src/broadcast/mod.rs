//! One source, many subscribers, without a change of the wire: each subscriber has a buffer of its
//! own, and gets a copy.

mod config;
mod finder;
mod handle;
mod names;
mod seat;
mod shared;
mod stats;
mod subscribe;

pub use config::{BroadcastConfig, SlowPolicy};
pub use handle::BroadcasterHandle;
pub use stats::{BroadcastStats, Delivery, Subscriber};

use crate::{
    error::{Error, Result},
    link::Patience,
    sys,
};
use finder::Finder;
use seat::{Offered, Seat};
use shared::Shared;
use std::{
    fmt,
    io::IoSlice,
    mem,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

/// The sending end of a stream with any number of subscribers.
///
/// A subscriber of the broadcast `NAME` is a reader that creates the buffer `NAME@SUBSCRIBER`, as
/// [`Reader::subscribe`](crate::Reader::subscribe) does, or any implementation of the protocol. It
/// reads from there as from any buffer, and knows nothing of the others. A thread of this library
/// finds subscribers as they come, within some 20 ms, and drops those that are gone. Each gets the
/// metadata, and a copy of each frame from then on. `NAME@A@B` is a subscriber of `NAME@A`, and the
/// buffers of channels (`…_request`, `…_response`) are none.
///
/// A subscriber that is slow, stopped or killed never delays the others: it misses frames, unless
/// its [`SlowPolicy`] says otherwise. Frames have the numbers 1, 2, 3, … in each buffer. A
/// subscriber does not see from them what it has missed; [`Self::subscribers`] says so here.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{Broadcaster, Reader};
///
/// let name = format!("doc-broadcast-{}", std::process::id());
/// let mut camera = Broadcaster::new(&name)?;
/// camera.set_metadata(b"{}")?;
/// let mut detector = Reader::subscribe(&name)?;
/// let mut recorder = Reader::subscribe(&name)?;
/// assert!(camera.wait_for_subscribers(2, Duration::from_secs(5))?);
///
/// let delivery = camera.write(b"a picture")?;
/// assert_eq!((delivery.sent, delivery.dropped), (2, 0));
/// assert_eq!(detector.read()?.data(), b"a picture");
/// assert_eq!(recorder.read()?.data(), b"a picture");
/// # Ok::<(), zerobuffer::Error>(())
/// ```
pub struct Broadcaster {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The subscribers, as of a version of the list.
    seats: Vec<Arc<Seat>>,
    version: u64,
    /// Those that are waited for with the frame in hand.
    waiting: Vec<Waiting>,
    /// When that began.
    since: Instant,
}

/// How long one of several subscribers is waited for before it is the next one's turn.
const TURN: Duration = Duration::from_millis(1);

/// A subscriber that is waited for.
struct Waiting {
    seat: Arc<Seat>,
    limit: Duration,
    /// This wait is in its counters.
    counted: bool,
}

impl Broadcaster {
    /// Starts a broadcast, with the default configuration. Subscribers that are there already get
    /// the first frame.
    ///
    /// # Errors
    ///
    /// As [`Self::with_config`].
    pub fn new(name: &str) -> Result<Self> {
        Self::with_config(name, BroadcastConfig::default())
    }

    /// Starts a broadcast.
    ///
    /// There may be another one of that name: a subscriber that one of them feeds is left to it,
    /// until it ends.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`], [`Error::PermissionDenied`] or [`Error::Os`] if the buffers cannot
    /// be listed or the thread cannot be started.
    pub fn with_config(name: &str, config: BroadcastConfig) -> Result<Self> {
        names::check(name)?;
        let shared = Arc::new(Shared::new(name, config));
        let mut finder = Finder::new(Arc::clone(&shared));
        finder.find()?;
        let run = move || {
            sys::block_signals();
            finder.run();
        };
        // A name has at most 15 bytes on Linux.
        let started = Builder::new()
            .name("zb-broadcast".to_owned())
            .spawn(run)
            .map_err(|source| Error::os("start", "the thread that finds subscribers", source))?;
        log::info!(target: "zerobuffer::broadcast", "broadcasting '{name}'");
        Ok(Self {
            shared,
            thread: Some(started),
            seats: Vec::new(),
            version: 0,
            waiting: Vec::new(),
            since: Instant::now(),
        })
    }

    /// Whether a buffer that is called `buffer` is a subscriber of the broadcast `name`. What reads
    /// from a subscriber's buffer and broadcasts under that name would feed itself.
    ///
    /// ```
    /// use zerobuffer::Broadcaster;
    /// assert!(Broadcaster::is_subscriber("cam", "cam@viewer"));
    /// assert!(!Broadcaster::is_subscriber("cam", "cam@viewer@copy"), "it is one of cam@viewer");
    /// assert!(!Broadcaster::is_subscriber("cam", "cam@service_request"), "it belongs to a channel");
    /// ```
    #[must_use]
    pub fn is_subscriber(name: &str, buffer: &str) -> bool {
        names::subscriber(&names::prefix(name), buffer).is_some()
    }

    /// Sets the metadata of the stream, for all subscribers: those that are there and those that
    /// come. It may be called again, with other ones. A subscriber sees them with the first frame
    /// behind them, and until it has taken those before, its ring counts as full.
    ///
    /// A subscriber of another implementation can see metadata once in the life of its buffer: the
    /// next ones disconnect it. One whose metadata block is too small gets frames without them,
    /// which [`Subscriber::problem`] says.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Forked`].
    pub fn set_metadata(&mut self, metadata: &[u8]) -> Result<()> {
        self.shared.ensure_open()?;
        let metadata: Arc<[u8]> = metadata.into();
        {
            let mut list = self.shared.list();
            if list.metadata.as_ref() == Some(&metadata) {
                return Ok(());
            }
            list.metadata = Some(Arc::clone(&metadata));
        }
        self.refresh();
        for seat in mem::take(&mut self.seats) {
            let state = seat.describe(&metadata);
            self.settle(&seat, state);
        }
        // They are fetched anew by the next frame.
        self.version = 0;
        Ok(())
    }

    /// Copies a frame into the ring of each subscriber. A full ring is handled as the policy of its
    /// subscriber says. Without subscribers, nothing happens.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyFrame`], [`Error::Closed`], [`Error::Forked`]. What goes wrong with a
    /// subscriber is no error here: it is in the [`Delivery`].
    pub fn write(&mut self, data: &[u8]) -> Result<Delivery> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    /// As [`Self::write`], for a frame that lies in several pieces.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<Delivery> {
        self.write_vectored_with(parts, &mut Patience::forever())
    }

    /// As [`Self::write`]. No subscriber is waited for longer than the patience says.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_with(&mut self, data: &[u8], patience: &mut Patience<'_>) -> Result<Delivery> {
        self.write_vectored_with(&[IoSlice::new(data)], patience)
    }

    /// As [`Self::write_vectored`]. No subscriber is waited for longer than the patience says.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_vectored_with(
        &mut self,
        parts: &[IoSlice<'_>],
        patience: &mut Patience<'_>,
    ) -> Result<Delivery> {
        let mut delivery = self.offer(parts)?;
        if !self.waiting.is_empty() {
            self.wait(parts, &mut delivery, patience);
            self.give_up(&mut delivery);
        }
        if self.shared.is_interrupted() { Err(Error::closed(&self.shared.name)) } else { Ok(delivery) }
    }

    /// Gives a frame to all whose rings have room. Nobody is waited for before all others have it.
    fn offer(&mut self, parts: &[IoSlice<'_>]) -> Result<Delivery> {
        self.shared.ensure_open()?;
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if len == 0 {
            return Err(Error::EmptyFrame { name: self.shared.name.clone() });
        }
        self.refresh();
        let mut delivery = Delivery::default();
        let seats = mem::take(&mut self.seats);
        for seat in &seats {
            match seat.offer(parts) {
                Offered::Full(limit) => {
                    self.waiting.push(Waiting { seat: Arc::clone(seat), limit, counted: false });
                }
                state => self.count(&mut delivery, seat, state),
            }
        }
        self.seats = seats;
        self.shared.frames.add(1);
        self.shared.bytes.add(len);
        if !self.waiting.is_empty() {
            self.since = Instant::now();
        }
        Ok(delivery)
    }

    /// Waits for room with those that may be waited for, in turns: the first of them does not delay
    /// the second.
    #[cold]
    fn wait(&mut self, parts: &[IoSlice<'_>], delivery: &mut Delivery, patience: &mut Patience<'_>) {
        patience.begin(Instant::now());
        loop {
            let is_last = self.waiting.len() == 1;
            let mut broken_off = false;
            for Waiting { seat, limit, counted } in mem::take(&mut self.waiting) {
                let mut part = if is_last {
                    patience.within(limit.saturating_sub(self.since.elapsed()))
                } else {
                    Patience::at_most(patience.left().map_or(TURN, |left| left.min(TURN)))
                };
                let limits = (self.since, limit);
                match seat.wait(parts, &mut part, limits, !counted) {
                    Offered::Full(_) => self.waiting.push(Waiting { seat, limit, counted: true }),
                    state => self.count(delivery, &seat, state),
                }
                broken_off |= part.is_broken_off();
            }
            let is_over =
                broken_off || if is_last { patience.is_over() } else { patience.ends(Instant::now()) };
            if is_over || self.waiting.is_empty() {
                return;
            }
        }
    }

    /// Nobody is waited for any longer.
    fn give_up(&mut self, delivery: &mut Delivery) {
        for waiting in self.waiting.drain(..) {
            waiting.seat.miss();
            delivery.dropped += 1;
        }
    }

    fn count(&self, delivery: &mut Delivery, seat: &Arc<Seat>, state: Offered) {
        match state {
            Offered::Sent => delivery.sent += 1,
            Offered::Dropped | Offered::Full(_) => delivery.dropped += 1,
            Offered::Gone | Offered::Disconnected => delivery.gone += 1,
        }
        self.settle(seat, state);
    }

    fn settle(&self, seat: &Arc<Seat>, state: Offered) {
        if matches!(state, Offered::Gone | Offered::Disconnected) {
            self.shared.remove(seat, state);
        }
    }

    /// Looks whether somebody has come or gone.
    fn refresh(&mut self) {
        if let Some(seats) = self.shared.seats_since(&mut self.version) {
            self.seats = seats;
        }
    }

    /// Waits until there are so many subscribers. `false`: there are not within `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Forked`].
    pub fn wait_for_subscribers(&self, count: usize, timeout: Duration) -> Result<bool> {
        self.wait_for_subscribers_with(count, &mut Patience::at_most(timeout))
    }

    /// As [`Self::wait_for_subscribers`], until the patience ends.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Forked`].
    pub fn wait_for_subscribers_with(&self, count: usize, patience: &mut Patience<'_>) -> Result<bool> {
        self.shared.wait_for_subscribers(count, patience)
    }

    /// The subscribers that are connected, and what each has got and missed.
    #[must_use]
    pub fn subscribers(&self) -> Vec<Subscriber> {
        self.shared.subscribers()
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> BroadcastStats {
        self.shared.stats()
    }

    /// The name of the broadcast.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A handle for other threads: subscribers, counters, and ending a blocked call.
    #[must_use]
    pub fn handle(&self) -> BroadcasterHandle {
        BroadcasterHandle::new(Arc::clone(&self.shared))
    }

    /// Ends the broadcast: each subscriber reads what it has, and sees that its writer has gone.
    ///
    /// # Errors
    ///
    /// None at present; the signature leaves room.
    pub fn close(mut self) -> Result<()> {
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.shared.is_forked() {
            // Thread and subscribers are the parent's.
            mem::forget(thread);
            mem::forget(mem::take(&mut self.seats));
            return;
        }
        self.shared.end();
        // It has nothing to say.
        let _ = thread.join();
        self.seats.clear();
        self.shared.clear();
        log::info!(target: "zerobuffer::broadcast", "the broadcast '{}' has ended", self.shared.name);
    }
}

impl Drop for Broadcaster {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Broadcaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcaster").field("name", &self.name()).finish_non_exhaustive()
    }
}
