//! A stream on its way out: frames go from the source to one lane for each receiver, as the policy
//! says. The engine never has to choose what to drop: a lane hands it only as much as the receiver
//! has room for.
mod item;
mod lane;
mod policy;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use self::item::{Chapter, Item, Next, What};
use self::lane::{Flying, Lane, Rest, choose};
pub(crate) use self::policy::Policy;
use crate::say;
use crate::wire::{Opening, Status};

/// How long a message may be under way while the receiver says that it has not come. Then the
/// engine has lost it, and the lane begins anew.
const STALLED: Duration = Duration::from_mins(2);
/// Receivers that left and may come back, of which it is remembered what they have not got.
const REMEMBERED: usize = 16;
/// Receivers of one stream.
const MOST_LANES: usize = 64;

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<String, Lane>,
    rests: VecDeque<(String, Rest)>,
    chapter: Arc<Chapter>,
    epochs: u64,
    counts: Counts,
    ends: bool,
    told: say::Once,
}

/// Sums over all receivers there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Frames that receivers have taken.
    pub(crate) frames: u64,
    /// Frames handed to the engine, and their bytes: some more than once after a broken link.
    pub(crate) sent: u64,
    pub(crate) bytes: u64,
    /// Frames left out for a receiver, or given up with it.
    pub(crate) lost: u64,
    /// Frames that came while there was no receiver.
    pub(crate) unsent: u64,
    pub(crate) receivers: u64,
}

#[derive(Debug)]
pub(crate) struct Hub {
    name: String,
    policy: Policy,
    window: u64,
    state: Mutex<State>,
    changed: Condvar,
}

impl Hub {
    pub(crate) fn new(name: &str, policy: Policy, window: u64) -> Hub {
        let state = State { epochs: crate::clock::stamp(), ..State::default() };
        Hub { name: name.to_owned(), policy, window, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        let mut counts = state.counts;
        counts.receivers = state.lanes.len() as u64;
        counts.lost += state.lanes.values().map(|lane| lane.lost).sum::<u64>();
        counts
    }

    /// A receiver is there: the number of its lane, which a thread has to serve.
    pub(crate) fn join(&self, receiver: &str) -> Option<u64> {
        let mut state = self.lock();
        if state.ends || state.lanes.contains_key(receiver) {
            return None;
        }
        if state.lanes.len() >= MOST_LANES {
            let message = format!("{}: a receiver is refused, there are {MOST_LANES} already", self.name);
            state.told.warn(message);
            return None;
        }
        state.epochs += 1;
        let epoch = state.epochs;
        let known = state.rests.iter().position(|(of, _)| of == receiver);
        let rest = known.and_then(|at| state.rests.remove(at)).map(|(_, rest)| rest).unwrap_or_default();
        let lane = Lane {
            serial: epoch,
            epoch,
            uncertain: rest.uncertain,
            queue: rest.queue,
            lost: rest.lost,
            ..Lane::default()
        };
        state.counts.lost -= rest.lost.min(state.counts.lost);
        state.lanes.insert(receiver.to_owned(), lane);
        drop(state);
        self.changed.notify_all();
        Some(epoch)
    }

    /// A receiver is gone, or out of reach. `false`: it had no lane.
    pub(crate) fn leave(&self, receiver: &str) -> bool {
        let mut state = self.lock();
        let Some(mut lane) = state.lanes.remove(receiver) else { return false };
        lane.restart(0);
        let mut rest = Rest { uncertain: lane.uncertain, queue: lane.queue, lost: lane.lost };
        // It counts, and if that receiver comes back it counts as that lane's again.
        state.counts.lost += rest.lost;
        let keeps = self.policy == Policy::Block && !state.lanes.values().any(|lane| lane.ever);
        if !keeps {
            // No ring memory is held for somebody who may never come.
            let left = rest.queue.drain(..).map(|item| Flying {
                number: 0,
                run: item.chapter.run,
                sequence: item.sequence,
                item: None,
            });
            rest.uncertain.extend(left);
            rest.uncertain.iter_mut().for_each(|flying| flying.item = None);
        }
        state.rests.push_back((receiver.to_owned(), rest));
        if state.rests.len() > REMEMBERED
            && let Some((_, rest)) = state.rests.pop_front()
        {
            state.counts.lost += (rest.uncertain.len() + rest.queue.len()) as u64;
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// What a receiver says.
    pub(crate) fn status(&self, receiver: &str, status: &Status) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let heir = if state.lanes.values().any(|lane| lane.ever) || self.policy != Policy::Block {
            None
        } else {
            state.rests.iter().rposition(|(_, rest)| rest.has_frames())
        };
        let Some(lane) = state.lanes.get_mut(receiver) else { return };
        if !status.reason.is_empty() {
            lane.reason.warn(format!("{}: receiver refuses: {}", self.name, status.reason));
        }
        let moved_for = lane.moved.map_or(Duration::ZERO, |moved| moved.elapsed());
        if status.epoch != lane.epoch {
            // It waits for an opening. One that is on its way gets its time. Else it was lost:
            // after a break the engine may know the receiver sooner than what that listens to.
            if lane.sent > 0 && moved_for > lane.opens_within() {
                state.epochs += 1;
                lane.restart(state.epochs);
                lane.openings += 1;
                self.changed.notify_all();
            }
            return;
        }
        // Nobody has got what was not sent.
        if status.received > lane.sent || status.taken < lane.taken {
            return;
        }
        if !lane.opened {
            // What nobody got goes to the next receiver that speaks, where nothing may be lost.
            if let Some(at) = heir
                && let Some((_, rest)) = state.rests.remove(at)
            {
                lane.uncertain.extend(rest.uncertain);
                rest.queue.into_iter().rev().for_each(|item| lane.queue.push_front(item));
            }
            (lane.opened, lane.ever, lane.openings) = (true, true, 0);
            state.counts.frames += lane.settle(status.run, status.sequence);
        }
        if status.received > lane.received {
            lane.received = status.received;
            lane.moved = Some(Instant::now());
        } else if lane.received < lane.sent && moved_for > STALLED {
            say::warn(&format!(
                "{}: a message was lost on the way to a receiver; the lane begins anew",
                self.name
            ));
            state.epochs += 1;
            lane.restart(state.epochs);
        }
        if status.taken > lane.taken {
            lane.taken = status.taken;
            while lane.flying.front().is_some_and(|flying| flying.number <= status.taken) {
                lane.flying.pop_front();
                state.counts.frames += 1;
            }
        }
        drop(guard);
        self.changed.notify_all();
    }

    /// What the lane sends next; `None` once it has to end.
    pub(crate) fn next(&self, receiver: &str, serial: u64) -> Option<Next> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            let chapter = Arc::clone(&state.chapter);
            let lane = state.lanes.get_mut(receiver).filter(|lane| lane.serial == serial)?;
            if state.ends && lane.idle() && lane.told.is_some() {
                return None;
            }
            if let Some(what) = choose(lane, &chapter, self.window) {
                lane.sent += 1;
                lane.moved = Some(Instant::now());
                match &what {
                    What::Open(chapter) => lane.told = Some(chapter.number),
                    What::Frame(item) => {
                        let kept = (self.policy == Policy::Block).then(|| Arc::clone(item));
                        lane.flying.push_back(Flying {
                            number: lane.sent,
                            run: item.chapter.run,
                            sequence: item.sequence,
                            item: kept,
                        });
                        state.counts.sent += 1;
                        state.counts.bytes += item.payload.as_ref().len() as u64;
                    }
                }
                let next = Next { epoch: lane.epoch, number: lane.sent, lost: lane.lost, what };
                drop(guard);
                self.changed.notify_all();
                return Some(next);
            }
            guard = self.wait(guard, Duration::from_millis(500));
        }
    }

    /// The engine has not taken a message: the lane begins anew.
    pub(crate) fn failed(&self, receiver: &str, serial: u64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(lane) = state.lanes.get_mut(receiver).filter(|lane| lane.serial == serial) {
            state.epochs += 1;
            lane.restart(state.epochs);
        }
    }

    /// The engine has taken a message: from now on it is on its way.
    pub(crate) fn handed(&self, receiver: &str, serial: u64) {
        let mut state = self.lock();
        if let Some(lane) = state.lanes.get_mut(receiver).filter(|lane| lane.serial == serial) {
            lane.moved = Some(Instant::now());
        }
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The stream is another one from here on.
    pub(crate) fn turn(&self, run: u64, opening: Opening) {
        let mut state = self.lock();
        if state.chapter.run == run && state.chapter.opening == opening && state.chapter.number > 0 {
            return;
        }
        let number = state.chapter.number + 1;
        state.chapter = Arc::new(Chapter { number, run, opening });
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn chapter(&self) -> Arc<Chapter> {
        Arc::clone(&self.lock().chapter)
    }

    /// Waits until a frame may be read, at most `time`: whether it may. Only `block` waits.
    pub(crate) fn wants_frame(&self, time: Duration) -> bool {
        if self.policy != Policy::Block {
            return true;
        }
        let ready = |state: &State| {
            // A receiver that never says a word holds nobody up.
            let mut lanes = state.lanes.values().filter(|lane| lane.ever).peekable();
            lanes.peek().is_some() && lanes.all(|lane| lane.queue.is_empty())
        };
        let mut guard = self.lock();
        if !ready(&guard) {
            guard = self.wait(guard, time);
        }
        ready(&guard)
    }

    /// A frame came, and `skipped` others before it were passed over.
    pub(crate) fn give(&self, item: Item, skipped: u64) {
        let item = Arc::new(item);
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.lanes.is_empty() {
            if self.policy == Policy::Block {
                // The last receiver has left meanwhile: the next one gets it.
                let rest = Rest { queue: VecDeque::from([item]), ..Rest::default() };
                match state.rests.back_mut() {
                    Some((_, last)) => last.queue.extend(rest.queue),
                    None => state.rests.push_back((String::new(), rest)),
                }
            } else {
                state.counts.unsent += 1 + skipped;
            }
            return;
        }
        let is_known = state.lanes.values().any(|lane| lane.ever);
        for lane in state.lanes.values_mut() {
            lane.lost += skipped;
            let free = lane.queue.is_empty();
            match self.policy {
                Policy::Block if lane.ever || !is_known => lane.queue.push_back(Arc::clone(&item)),
                Policy::Block => {}
                Policy::Latest => {
                    lane.lost += lane.queue.len() as u64;
                    lane.queue.clear();
                    lane.queue.push_back(Arc::clone(&item));
                }
                Policy::Drop if free && lane.opened && lane.under_way() < self.window => {
                    lane.queue.push_back(Arc::clone(&item));
                }
                Policy::Drop => lane.lost += 1,
            }
        }
        drop(guard);
        self.changed.notify_all();
    }

    /// No more frames come: lanes send what waits, and end. At most `time` later they end anyway.
    pub(crate) fn end(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut guard = self.lock();
        guard.ends = true;
        self.changed.notify_all();
        while Instant::now() < until && guard.lanes.values().any(|lane| !lane.idle()) {
            guard = self.wait(guard, Duration::from_millis(50));
        }
        let state = &mut *guard;
        for lane in std::mem::take(&mut state.lanes).into_values() {
            state.counts.lost += lane.lost + (lane.queue.len() + lane.uncertain.len()) as u64;
        }
        for (_, rest) in std::mem::take(&mut state.rests) {
            state.counts.lost += (rest.queue.len() + rest.uncertain.len()) as u64;
        }
        drop(guard);
        self.changed.notify_all();
    }
}
