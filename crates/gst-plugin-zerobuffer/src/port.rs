//! The writer's end of a ring as several threads of a pipeline use it: upstream takes loans, the
//! sink publishes.
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zerobuffer::{Error, FullRingPolicy, Keepalive, Patience, Writer, WriterConfig, WriterHandle, observe};
use zerobuffer_video::Stamp;

/// Longest wait for a reader to make a new ring for frames of another kind.
const RENEWAL: Duration = Duration::from_secs(5);
/// A reader has noticed by then that its writer has left.
const NOTICED: Duration = Duration::from_millis(150);

/// Locks that nobody panics under; a poisoned one is used on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attaches to what its creator, if it is of another implementation, may be filling in at this
/// moment.
pub(crate) fn attached<T>(mut attach: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..20 {
        match attach() {
            Err(Error::Corrupt { .. }) => std::thread::sleep(Duration::from_millis(50)),
            done => return done,
        }
    }
    attach()
}

/// Counts for `stats`.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) in_place: AtomicU64,
    pub(crate) copied: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) blocked_ns: AtomicU64,
    pub(crate) readers: AtomicU64,
    /// The process of the present reader.
    pub(crate) reader_pid: AtomicU64,
}

/// Ring memory that is lent to upstream: the pixels of one frame, which lie behind the room for its
/// stamp.
pub(crate) struct Loan {
    start: *mut u8,
    len: usize,
    /// Set while this memory may be touched.
    alive: Arc<AtomicBool>,
    _mapped: Keepalive,
}

// SAFETY: a loan is the only owner of its part of the ring until it is dropped (see `Port::lend`).
// Which thread uses it makes no difference.
unsafe impl Send for Loan {}

impl AsMut<[u8]> for Loan {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start` and `len` are those of the writer's pending frame, less its first bytes.
        // The keepalive keeps them mapped. `Port` publishes or gives up that frame only when
        // `alive` is unset or the sink owns the memory alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Release);
    }
}

/// The pending frame of the writer.
struct Lent {
    start: usize,
    len: usize,
    alive: Arc<AtomicBool>,
}

struct Connected {
    writer: Writer,
    lent: Option<Lent>,
}

/// One sink's way into a ring.
#[derive(Default)]
pub(crate) struct Port {
    connected: Mutex<Option<Connected>>,
    /// For other threads, while `connected` is locked by one that waits.
    handle: Mutex<Option<WriterHandle>>,
    flushing: AtomicBool,
    pub(crate) counts: Counts,
}

/// How a frame that is copied meets a full ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) policy: FullRingPolicy,
    pub(crate) timeout: Option<Duration>,
}

/// What has become of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    InPlace,
    Copied,
    Dropped,
}

impl Port {
    /// Connects to the ring `name`, unless that is done, waiting as `timeout` says. `Ok(false)`:
    /// interrupted.
    pub(crate) fn connect(
        &self,
        name: &str,
        timeout: Option<Duration>,
        metadata: &[u8],
        waiting: Waiting,
    ) -> Result<bool, Error> {
        let mut connected = lock(&self.connected);
        if connected.is_some() {
            return Ok(true);
        }
        let began = std::time::Instant::now();
        let writer = loop {
            let mut ask =
                || if self.is_flushing() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let mut patience = Patience::for_timeout(timeout).asking(&mut ask);
            let mut writer = match Writer::connect_within(name, WriterConfig::default(), &mut patience) {
                Ok(writer) => writer,
                Err(_) if self.is_flushing() => return Ok(false),
                Err(error) => return Err(error),
            };
            // Those of a predecessor are replaced once its frames are taken.
            let mut patience = Patience::for_timeout(waiting.timeout).asking(&mut ask);
            match writer.set_metadata_with(metadata, &mut patience) {
                Ok(()) => break writer,
                Err(_) if self.is_flushing() => return Ok(false),
                Err(error @ Error::MetadataAlreadyWritten { .. }) => {
                    // An earlier writer of this ring sent the same pictures.
                    if observe::inspect(name).is_ok_and(|info| info.metadata.as_deref() == Some(metadata)) {
                        break writer;
                    }
                    // Its reader makes a new ring once it has noticed that the other has left.
                    drop(writer);
                    if began.elapsed() > timeout.unwrap_or(RENEWAL).min(RENEWAL) {
                        return Err(error);
                    }
                    if self.is_flushing() {
                        return Ok(false);
                    }
                    std::thread::sleep(NOTICED);
                }
                Err(error) => return Err(error),
            }
        };
        let handle = writer.handle();
        if self.is_flushing() {
            handle.interrupt();
        }
        *lock(&self.handle) = Some(handle);
        self.counts.readers.fetch_add(1, Ordering::Relaxed);
        let reader = observe::inspect(name).ok().and_then(|info| info.reader);
        self.counts.reader_pid.store(reader.map_or(0, |reader| reader.pid), Ordering::Relaxed);
        *connected = Some(Connected { writer, lent: None });
        Ok(true)
    }

    /// Leaves the ring. Memory that is lent stays mapped. Upstream gets a moment to let go of it,
    /// since the next writer of a ring that lives on may get the same place.
    pub(crate) fn disconnect(&self) {
        *lock(&self.handle) = None;
        self.counts.reader_pid.store(0, Ordering::Relaxed);
        let Some(Connected { writer, lent }) = lock(&self.connected).take() else { return };
        for _ in 0..100 {
            if !writer.is_reader_connected()
                || lent.as_ref().is_none_or(|lent| !lent.alive.load(Ordering::Acquire))
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(writer);
    }

    pub(crate) fn is_connected(&self) -> bool {
        lock(&self.handle).is_some()
    }

    /// Ends every wait and lets no new one begin, until `set_flushing(false)`.
    pub(crate) fn set_flushing(&self, on: bool) {
        self.flushing.store(on, Ordering::SeqCst);
        if let Some(handle) = &*lock(&self.handle) {
            if on {
                handle.interrupt();
            } else {
                handle.resume();
            }
        }
    }

    pub(crate) fn is_flushing(&self) -> bool {
        self.flushing.load(Ordering::SeqCst)
    }

    /// Lends ring memory for `size` bytes behind `prefix` bytes. `None`: not now, use other memory.
    ///
    /// `stopping` is asked while it waits: it runs in upstream's thread, which `set_flushing` need
    /// not have reached yet.
    pub(crate) fn lend(
        &self,
        prefix: usize,
        size: usize,
        waiting: Waiting,
        stopping: &dyn Fn() -> bool,
    ) -> Option<Loan> {
        let mut connected = lock(&self.connected);
        let Connected { writer, lent } = connected.as_mut()?;
        if lent.as_ref().is_some_and(|lent| lent.alive.load(Ordering::Acquire)) {
            return None;
        }
        // Upstream has dropped the last one without sending it.
        *lent = None;
        writer.abort();
        let total = size.checked_add(prefix)?;
        let mut ask = || if stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let begun = match waiting.policy {
            FullRingPolicy::Block => {
                writer.begin_with(total, &mut Patience::for_timeout(waiting.timeout).asking(&mut ask))
            }
            _ => writer.try_begin(total),
        };
        // The sink reports whatever is wrong, when it writes.
        begun.ok()?;
        let mapped = writer.keep_alive();
        let room = writer.pending()?.get_mut(prefix..)?;
        let alive = Arc::new(AtomicBool::new(true));
        *lent = Some(Lent { start: room.as_ptr().addr(), len: room.len(), alive: Arc::clone(&alive) });
        Some(Loan { start: room.as_mut_ptr(), len: room.len(), alive, _mapped: mapped })
    }

    /// Whether `data` is the memory that is lent.
    pub(crate) fn is_lent(&self, data: &[u8]) -> bool {
        let connected = lock(&self.connected);
        let lent = connected.as_ref().and_then(|connected| connected.lent.as_ref());
        lent.is_some_and(|lent| lent.start == data.as_ptr().addr() && lent.len == data.len())
    }

    /// Publishes the frame that is lent, in whose memory the pixels are.
    pub(crate) fn publish(&self, stamp: Option<Stamp>) -> Result<Sent, Error> {
        let mut connected = lock(&self.connected);
        let Some(Connected { writer, lent }) = connected.as_mut() else { return Ok(Sent::Dropped) };
        *lent = None;
        let len = match writer.pending() {
            Some(room) => {
                if let (Some(stamp), Some(head)) = (stamp, room.first_chunk_mut()) {
                    *head = stamp.to_bytes();
                }
                room.len()
            }
            None => 0,
        };
        writer.commit(len)?;
        self.count(&self.counts.in_place, len);
        Ok(Sent::InPlace)
    }

    /// Copies a frame into the ring. A loan that upstream still has is waited for: its memory
    /// cannot be given up before.
    pub(crate) fn copy<'a>(
        &self,
        stamp: Option<Stamp>,
        runs: impl Iterator<Item = &'a [u8]>,
        waiting: Waiting,
    ) -> Result<Sent, Error> {
        let head = stamp.map(Stamp::to_bytes);
        let mut parts: Vec<IoSlice<'_>> = Vec::new();
        parts.extend(head.iter().map(|head| IoSlice::new(head)));
        for run in runs {
            parts.push(IoSlice::new(run));
        }
        let len = parts.iter().map(|part| part.len()).sum();
        let mut left = waiting.timeout.unwrap_or(Duration::MAX);
        loop {
            let mut connected = lock(&self.connected);
            let Some(Connected { writer, lent }) = connected.as_mut() else { return Ok(Sent::Dropped) };
            if lent.as_ref().is_some_and(|lent| lent.alive.load(Ordering::Acquire)) {
                drop(connected);
                if self.is_flushing() {
                    return Ok(Sent::Dropped);
                }
                if left.is_zero() {
                    return Err(Error::NotReady {
                        name: self.name(),
                        reason: "upstream keeps memory of the ring that it does not send: set zero-copy=never",
                    });
                }
                let step = Duration::from_millis(1).min(left);
                std::thread::sleep(step);
                left = left.saturating_sub(step);
                continue;
            }
            if lent.take().is_some() {
                writer.abort();
            }
            let began = std::time::Instant::now();
            let written = match waiting.policy {
                FullRingPolicy::Block => {
                    writer.write_vectored_with(&parts, &mut Patience::for_timeout(waiting.timeout))
                }
                _ => writer.try_write_vectored(&parts),
            };
            let waited = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.counts.blocked_ns.fetch_add(waited, Ordering::Relaxed);
            return match written {
                Ok(_) => {
                    self.count(&self.counts.copied, len);
                    Ok(Sent::Copied)
                }
                Err(Error::Full { .. }) if waiting.policy == FullRingPolicy::DropNewest => {
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                    Ok(Sent::Dropped)
                }
                Err(error) => Err(error),
            };
        }
    }

    fn name(&self) -> String {
        lock(&self.handle).as_ref().map(|handle| handle.name().to_owned()).unwrap_or_default()
    }

    fn count(&self, how: &AtomicU64, bytes: usize) {
        how.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
