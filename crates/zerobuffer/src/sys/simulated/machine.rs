//! Processes, names and the clock of the simulated machine, and what a test does to them.
//!
//! A wait ends by its token alone: the checker reports a lost wake-up as a deadlock. Once a process
//! has died, nobody may ever post what others wait for, and waits end by their slices too.

#[cfg(feature = "async")]
use super::threads;
use super::{file::Inode, futex};
use crate::{
    config::WAIT_SLICE,
    layout::{NativeWord, Word},
    sync::Ordering,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Duration,
};

#[cfg(loom)]
use loom::thread;
#[cfg(shuttle)]
use shuttle::thread;

/// The process of a thread that was not put into another one.
const FIRST: u64 = 1001;

#[derive(Default)]
struct Machine {
    now: Duration,
    names: BTreeMap<String, Arc<Inode>>,
    process_of: HashMap<thread::ThreadId, u64>,
    dead: Vec<u64>,
    /// Processes whose locks are being freed: their threads change nothing more.
    dying: Vec<u64>,
    /// Threads in the middle of a change that others see, and their processes.
    changing: Vec<(thread::ThreadId, u64)>,
    /// At how many further points each doomed process ends.
    fuses: BTreeMap<u64, u64>,
    /// The highest level that a reader announces; `None`: its own.
    highest_level: Option<u8>,
}

// Every thread of a model runs on one thread of the operating system, and is switched at the
// checker's operations only. What is in here changes in one step.
std::thread_local!(static MACHINE: RefCell<Machine> = RefCell::default());

fn machine<T>(action: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(action)
}

/// Starts the machine anew: each execution of a model begins with this.
pub fn boot() {
    futex::forget();
    #[cfg(feature = "async")]
    threads::forget();
    // Dropped outside the borrow.
    drop(machine(std::mem::take));
}

/// Puts the calling thread into process `pid`.
pub fn enter(pid: u64) {
    let thread = thread::current().id();
    machine(|machine| machine.process_of.insert(thread, pid));
}

/// Control words of a buffer: free bytes, write position, read position, pid of the writer.
///
/// # Panics
///
/// If there is no such buffer.
#[must_use]
pub fn words(name: &str) -> [u64; 4] {
    let inode = inode(name);
    let control = inode.tracked.snapshot();
    let native = |word| inode.tracked.native(word).fetch_add(0, Ordering::Relaxed);
    let free = if native(NativeWord::FORM) % 2 == 1 {
        control.payload_size - (native(NativeWord::PUBLISHED) - native(NativeWord::CREDITED))
    } else {
        control.payload_free
    };
    [free, control.write_pos, control.read_pos, control.writer_pid]
}

/// Readers from now on announce no higher level. Below 3 their rings stay in legacy form.
pub fn announce_at_most(level: u8) {
    machine(|machine| machine.highest_level = Some(level));
}

pub(crate) fn announced(level: u8) -> u8 {
    machine(|machine| machine.highest_level.map_or(level, |highest| level.min(highest)))
}

/// `payload_free_bytes`, by a load that orders nothing.
///
/// # Panics
///
/// If there is no such buffer.
#[must_use]
pub fn free_bytes(name: &str) -> u64 {
    inode(name).tracked.word(Word::PayloadFree).load(Ordering::Relaxed)
}

/// The counts of a ring drift apart, as by the wrap without a marker of another implementation.
///
/// # Panics
///
/// If there is no such buffer.
pub fn drift(name: &str) {
    inode(name).tracked.word(Word::WrittenCount).fetch_add(1, Ordering::Relaxed);
}

#[allow(clippy::panic, reason = "for tests")]
fn inode(name: &str) -> Arc<Inode> {
    named(name).unwrap_or_else(|| panic!("no buffer is called {name}"))
}

/// What came of [`process`].
#[derive(Debug)]
pub enum Ended<T> {
    Returned(T),
    Killed,
}

/// Runs `body` in process `pid`, which may be doomed.
///
/// # Panics
///
/// If `body` does.
pub fn process<T>(pid: u64, body: impl FnOnce() -> T) -> Ended<T> {
    enter(pid);
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => Ended::Returned(value),
        Err(cause) if cause.is::<Death>() => Ended::Killed,
        Err(cause) => panic::resume_unwind(cause),
    }
}

/// The process ends at its `points`-th crash point from now.
pub fn doom(pid: u64, points: u64) {
    machine(|machine| machine.fuses.insert(pid, points.max(1)));
}

/// It does not, if it has not yet.
pub fn pardon(pid: u64) {
    machine(|machine| machine.fuses.remove(&pid));
}

/// Makes a change that others see. No other thread ends the process meanwhile: the system frees the
/// locks of one when all its threads have stopped.
pub(crate) fn change<T>(change: impl FnOnce() -> T) -> T {
    struct Changing(thread::ThreadId);
    impl Drop for Changing {
        fn drop(&mut self) {
            machine(|machine| machine.changing.retain(|(thread, _)| *thread != self.0));
        }
    }
    let (own, pid) = (thread::current().id(), own_pid());
    machine(|machine| machine.changing.push((own, pid)));
    let _changing = Changing(own);
    change()
}

/// Ends a process: nothing that it does from now on is seen by anybody, its locks are free, and
/// waits end.
pub fn kill(pid: u64) {
    machine(|machine| machine.dying.push(pid));
    let inodes: Vec<_> = machine(|machine| machine.names.values().cloned().collect());
    for inode in inodes {
        // Before the death is known: what a dead process does has no effect.
        inode.locks.release_all(pid);
    }
    machine(|machine| {
        machine.dying.retain(|dying| *dying != pid);
        machine.dead.push(pid);
        machine.now += WAIT_SLICE;
    });
    futex::wake_all();
}

/// Parks the calling thread, at most until its process dies.
pub fn park() {
    futex::park();
}

/// Unwinds the threads of a dead process.
struct Death;

/// A crash point: before or after a change that others see.
pub(crate) fn point() {
    let pid = own_pid();
    while machine(|machine| machine.dying.contains(&pid)) {
        thread::yield_now();
    }
    let own = thread::current().id();
    let burnt = machine(|machine| {
        let is_busy = machine.changing.iter().any(|(thread, process)| *process == pid && *thread != own);
        let fuse = machine.fuses.get_mut(&pid)?;
        *fuse = fuse.saturating_sub(1);
        (*fuse == 0 && !is_busy).then(|| machine.fuses.remove(&pid)).flatten()
    });
    if burnt.is_some() {
        kill(pid);
    }
    end_if_dead();
}

/// Ends the calling thread, if its process has died.
pub fn end_if_dead() {
    // A destructor that runs while the thread unwinds does nothing that is seen anyway.
    if is_dead() && !std::thread::panicking() {
        panic::resume_unwind(Box::new(Death));
    }
}

/// Whether the calling thread's process is dead.
#[must_use]
pub fn is_dead() -> bool {
    !is_alive(own_pid())
}

/// Whether a process has died, so waits end by their slices.
pub(crate) fn has_slices() -> bool {
    machine(|machine| !machine.dead.is_empty())
}

pub(crate) fn own_pid() -> u64 {
    let thread = thread::current().id();
    machine(|machine| machine.process_of.get(&thread).copied().unwrap_or(FIRST))
}

pub(crate) fn is_alive(pid: u64) -> bool {
    pid >= FIRST && machine(|machine| !machine.dead.contains(&pid))
}

pub(crate) fn now() -> Duration {
    machine(|machine| machine.now)
}

pub(crate) fn pass(time: Duration) {
    machine(|machine| machine.now += time);
}

pub(crate) fn named(name: &str) -> Option<Arc<Inode>> {
    machine(|machine| machine.names.get(name).cloned())
}

pub(crate) fn give_name(name: &str, inode: Arc<Inode>) -> Option<Arc<Inode>> {
    machine(|machine| machine.names.insert(name.to_owned(), inode))
}

pub(crate) fn take_name(name: &str) -> Option<Arc<Inode>> {
    machine(|machine| machine.names.remove(name))
}
