//! The thread that sleeps for many endpoints at a time, on a word of its own and all their
//! semaphores.
//!
//! It reads its own word, then every value, and sleeps unless one of them has changed since. Its
//! own word is compared last. Arming an entry counts up that word *after* the waker is in its
//! place. A thread that is about to sleep then polls again. One that sleeps is woken by the peer's
//! post, whose address it sleeps on already. So arming makes a system call only if the thread does
//! not sleep on that semaphore, or sleeps longer than the entry has time.

use super::entry::{Entry, since_start};
use crate::{
    sync::{Arc, AtomicBool, AtomicU64, Builder, End, Instant, Mutex, Ordering, is_done, lock, sleep},
    sys::{self, PerProcess, Sleep, WaitSet},
};
use std::{io, time::Duration};

/// The thread looks at everything that waits at least so often. It asks the kernel about each peer.
/// Two hundred of them cost less than a hundredth of a processor so, and a death is noticed within
/// a tenth of a second.
const ROUND: Duration = Duration::from_millis(80);
/// Entries of one thread: one place is its own word's.
const SEATS: usize = WaitSet::MOST - 1;
/// After a wake-up the thread looks up in slices for so long even if nobody waits: the next wait
/// needs no system call for it.
const LIVELY: Duration = Duration::from_secs(1);
/// After so many sleeps that a changed value has prevented, the values of entries for which nobody
/// waits are left out.
const RESTLESS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 4 };
/// Between two looks where sleeping on many words was forbidden to a running process.
const PAUSE: Duration = Duration::from_millis(1);
/// The same while nobody waits.
const LONG_PAUSE: Duration = Duration::from_millis(20);
/// [`Worker::sleeps_until`] of a thread that does not look up by itself.
const FOR_EVER: u64 = u64::MAX;

static REACTOR: PerProcess<Reactor> = PerProcess::new();

/// The threads of this process.
#[derive(Debug)]
struct Reactor {
    /// Kernel and sandbox let a thread sleep on many words.
    shares: bool,
    workers: Mutex<Vec<Arc<Worker>>>,
}

/// One of them.
#[derive(Debug)]
struct Worker {
    /// Counts, in its low half, what the thread has to look at before it sleeps.
    control: AtomicU64,
    members: Mutex<Vec<Arc<Entry>>>,
    /// The members have changed since the thread last copied them. Only exchanged: see DESIGN.md on
    /// what loom cannot express.
    changed: AtomicBool,
    /// In nanoseconds of [`since_start`].
    sleeps_until: AtomicU64,
}

/// An entry's place with a thread.
#[derive(Debug)]
pub(super) struct Seat(Arc<Worker>);

/// A seat for the entry. `None`: each has to have a thread of its own.
pub(super) fn seat(entry: &Arc<Entry>) -> io::Result<Option<Seat>> {
    let reactor =
        REACTOR.get(|| Reactor { shares: sys::may_wait_for_many(), workers: Mutex::new(Vec::new()) });
    if !reactor.shares {
        return Ok(None);
    }
    let mut workers = lock(&reactor.workers);
    for worker in workers.iter() {
        let mut members = lock(&worker.members);
        if members.len() < SEATS {
            members.push(Arc::clone(entry));
            worker.changed.swap(true, Ordering::SeqCst);
            // The thread learns of it with the first arming.
            return Ok(Some(Seat(Arc::clone(worker))));
        }
    }
    let worker = Arc::new(Worker {
        control: AtomicU64::new(0),
        members: Mutex::new(vec![Arc::clone(entry)]),
        changed: AtomicBool::new(true),
        sleeps_until: AtomicU64::new(0),
    });
    let running = Arc::clone(&worker);
    let thread = Builder::new().name("zerobuffer-wait".to_owned()).stack_size(256 * 1024);
    thread.spawn(move || running.run()).map(drop)?;
    workers.push(Arc::clone(&worker));
    Ok(Some(Seat(worker)))
}

impl Seat {
    /// The entry was armed.
    pub(super) fn armed(&self, entry: &Entry) {
        let worker = &self.0;
        if is_done(End::ArmCount) {
            worker.control.fetch_add(1, Ordering::SeqCst);
        }
        // What the thread noted before it fell asleep is read behind the count, which it compares
        // when it does.
        let wanted = entry.deadline().min(since_start(Instant::now() + ROUND));
        let knows =
            entry.included.load(Ordering::SeqCst) && worker.sleeps_until.load(Ordering::SeqCst) <= wanted;
        if !knows && is_done(End::ArmCall) {
            sys::wake(&worker.control);
        }
    }

    /// The entry is no more: the thread lets go of its mapping.
    pub(super) fn leave(&self, entry: &Arc<Entry>) {
        let worker = &self.0;
        lock(&worker.members).retain(|member| !Arc::ptr_eq(member, entry));
        worker.changed.swap(true, Ordering::SeqCst);
        worker.control.fetch_add(1, Ordering::SeqCst);
        sys::wake(&worker.control);
    }
}

/// What one look has found.
struct Look {
    /// Somebody was woken.
    fired: bool,
    /// The earliest time at which a waiting future has to poll.
    until: Option<u64>,
}

impl Worker {
    fn run(&self) {
        sys::block_signals();
        let mut members: Vec<Arc<Entry>> = Vec::new();
        let mut restless = 0;
        let mut refused = false;
        let mut slice_ends = Instant::now();
        let mut lively_until = slice_ends;
        loop {
            let control = self.control.load(Ordering::SeqCst);
            if self.changed.swap(false, Ordering::SeqCst) {
                // One of them may have gone, and its wake-up have come here.
                for entry in &members {
                    Entry::pass_on(entry);
                }
                members.clone_from(&*lock(&self.members));
                if members.is_empty() && self.ends() {
                    return;
                }
            }
            let now = Instant::now();
            let asks = now >= slice_ends;
            if asks {
                slice_ends = now + ROUND;
            }
            let mut set = WaitSet::new();
            if !is_done(End::CountLast) {
                set.push(&self.control, control as u32);
            }
            let look = look(&members, &mut set, now, asks, restless < RESTLESS);
            if is_done(End::CountLast) {
                // The kernel compares one word after the other. A future that arms after this
                // comparison finds the thread on all semaphores, whatever their values were.
                set.push(&self.control, control as u32);
            }
            if look.fired {
                lively_until = now + LIVELY;
            }
            let lively = (now < lively_until).then(|| since_start(slice_ends));
            let until = match (look.until, lively) {
                (Some(until), _) => Some(until.min(since_start(slice_ends))),
                (None, lively) => lively,
            };
            self.sleeps_until.store(until.unwrap_or(FOR_EVER), Ordering::SeqCst);
            let timeout = until.map(|until| {
                // Waking before the time would only be a round more.
                Duration::from_nanos(until.saturating_sub(since_start(Instant::now())))
            });
            match set.sleep(timeout) {
                Sleep::Ended => restless = 0,
                Sleep::Changed => restless += 1,
                Sleep::Refused(error) => {
                    if !refused {
                        log::warn!(target: "zerobuffer::reactor", "a thread may no longer sleep on many words ({error}): it looks every millisecond");
                    }
                    refused = true;
                    sleep(if until.is_some() { PAUSE } else { LONG_PAUSE });
                }
            }
        }
    }

    /// Whether a thread without members ends, so nobody gets a seat with it any more. Only a model
    /// checker's execution has to come to an end.
    #[cfg(any(loom, shuttle))]
    fn ends(&self) -> bool {
        let reactor = REACTOR.get(|| Reactor { shares: true, workers: Mutex::new(Vec::new()) });
        let mut workers = lock(&reactor.workers);
        let ends = lock(&self.members).is_empty();
        if ends {
            workers.retain(|worker| !std::ptr::eq(&raw const **worker, self));
        }
        ends
    }

    #[cfg(not(any(loom, shuttle)))]
    #[allow(clippy::unused_self, reason = "as in a model")]
    fn ends(&self) -> bool {
        false
    }
}

/// Looks at every entry: wakes whom there is something for, and adds the others' words to the set.
fn look<'m>(members: &'m [Arc<Entry>], set: &mut WaitSet<'m>, now: Instant, asks: bool, all: bool) -> Look {
    let mut look = Look { fired: false, until: None };
    let now = since_start(now);
    for entry in members {
        // First the value: a thread that sees a token that was posted to an armed entry sees that
        // it is armed.
        let semaphore = entry.semaphore();
        let value = semaphore.value();
        let mut is_armed = entry.is_armed();
        if is_armed {
            let found = value != 0 || entry.deadline() <= now;
            if found {
                entry.fire(false);
            }
            if found || (asks && entry.ask(now)) {
                look.fired = true;
                is_armed = entry.is_armed();
            }
        } else {
            entry.pass_on();
        }
        let included = is_armed || all;
        entry.included.store(included, Ordering::SeqCst);
        if included {
            set.push(semaphore.word(), value);
        }
        if is_armed {
            let deadline = entry.deadline();
            look.until = Some(look.until.map_or(deadline, |until| until.min(deadline)));
        }
    }
    look
}
