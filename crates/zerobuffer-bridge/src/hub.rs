//! A stream on its way out: frames go from the source to one lane for each receiver, as the policy
//! says. The engine never has to choose what to drop: a lane hands it only as much as the receiver
//! has room for.
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::say;
use crate::source::Payload;
use crate::wire::{Opening, Status};

/// What happens to frames that come faster than a receiver takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Policy {
    /// Nothing is lost: the ring fills, and its writer waits. Without a receiver nothing is read.
    Block,
    /// The newest frame is sent next, older ones are left out.
    Latest,
    /// Frames that come while one is under way are left out.
    Drop,
}

impl Policy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Block => "block",
            Policy::Latest => "latest",
            Policy::Drop => "drop",
        }
    }
}

/// How long a message may be under way while the receiver says that it has not come. Then the
/// engine has lost it, and the lane begins anew.
const STALLED: Duration = Duration::from_mins(2);
/// As long as the receiver needs to see an opening.
const OPENS: Duration = Duration::from_secs(1);
/// Receivers that left and may come back, of which it is remembered what they have not got.
const REMEMBERED: usize = 16;
/// Receivers of one stream.
const MOST_LANES: usize = 64;

/// How the stream is from some frame on.
#[derive(Debug, Default)]
pub(crate) struct Chapter {
    pub(crate) number: u64,
    pub(crate) run: u64,
    pub(crate) opening: Opening,
}

/// A frame that waits, or is under way.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) payload: Payload,
    pub(crate) sequence: u64,
    pub(crate) stamp: u64,
    pub(crate) chapter: Arc<Chapter>,
}

/// A frame that the receiver has not yet said it has taken.
#[derive(Debug)]
struct Flying {
    number: u64,
    run: u64,
    sequence: u64,
    /// Kept to be sent again, where nothing may be lost.
    item: Option<Arc<Item>>,
}

/// What is sent next.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) lost: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Open(Arc<Chapter>),
    Frame(Arc<Item>),
}

#[derive(Debug, Default)]
struct Lane {
    /// Another one if the same receiver came back.
    serial: u64,
    epoch: u64,
    queue: VecDeque<Arc<Item>>,
    flying: VecDeque<Flying>,
    /// Of the epochs before: what of it has arrived, the first status will say.
    uncertain: VecDeque<Flying>,
    sent: u64,
    received: u64,
    taken: u64,
    /// The receiver has seen the opening of this epoch.
    opened: bool,
    /// It has seen one, of this epoch or an earlier one.
    ever: bool,
    /// The chapter that it knows.
    told: Option<u64>,
    /// When the last message was handed to the engine, or the receiver last had one more.
    moved: Option<Instant>,
    lost: u64,
    reason: say::Once,
}

impl Lane {
    fn restart(&mut self, epoch: u64) {
        self.epoch = epoch;
        let flying = std::mem::take(&mut self.flying);
        self.uncertain.extend(flying);
        (self.sent, self.received, self.taken) = (0, 0, 0);
        (self.opened, self.told, self.moved) = (false, None, None);
    }

    /// The first word of the receiver in this epoch tells which frames it has got before.
    /// How many it has got.
    fn settle(&mut self, run: u64, sequence: u64) -> u64 {
        let has = |flying: &Flying| flying.run == run && flying.sequence <= sequence;
        let arrived = self.uncertain.iter().rposition(has).map_or(0, |at| at + 1);
        self.uncertain.drain(..arrived);
        for flying in std::mem::take(&mut self.uncertain).into_iter().rev() {
            match flying.item {
                Some(item) => self.queue.push_front(item),
                None => self.lost += 1,
            }
        }
        arrived as u64
    }

    fn under_way(&self) -> u64 {
        self.sent - self.taken
    }

    fn idle(&self) -> bool {
        self.queue.is_empty() && self.flying.is_empty() && self.uncertain.is_empty()
    }
}

/// What a lane still owed a receiver that left.
#[derive(Debug, Default)]
struct Rest {
    uncertain: VecDeque<Flying>,
    queue: VecDeque<Arc<Item>>,
    lost: u64,
}

impl Rest {
    fn has_frames(&self) -> bool {
        !self.queue.is_empty() || self.uncertain.iter().any(|flying| flying.item.is_some())
    }
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<String, Lane>,
    rests: VecDeque<(String, Rest)>,
    chapter: Arc<Chapter>,
    epochs: u64,
    counts: Counts,
    ends: bool,
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
            say::warn(&format!("{}: a receiver is refused, there are {MOST_LANES} already", self.name));
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

    /// A receiver is gone, or out of reach.
    pub(crate) fn leave(&self, receiver: &str) {
        let mut state = self.lock();
        let Some(mut lane) = state.lanes.remove(receiver) else { return };
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
            // It waits for an opening. One that is on its way gets its time; else it was lost.
            if lane.sent > 0 && (moved_for > STALLED || status.epoch == 0 && moved_for > OPENS) {
                state.epochs += 1;
                lane.restart(state.epochs);
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
            (lane.opened, lane.ever) = (true, true);
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

/// What a lane can send now.
fn choose(lane: &mut Lane, chapter: &Arc<Chapter>, window: u64) -> Option<What> {
    let first = lane.queue.front();
    let due = first.map_or(chapter, |item| &item.chapter);
    if lane.told.is_none() {
        return Some(What::Open(Arc::clone(due)));
    }
    if !lane.opened || lane.under_way() >= window {
        return None;
    }
    if lane.told != Some(due.number) {
        return Some(What::Open(Arc::clone(due)));
    }
    lane.queue.pop_front().map(What::Frame)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn item(hub: &Hub, sequence: u64) -> Item {
        Item { payload: Payload::Copied(vec![1]), sequence, stamp: 0, chapter: hub.chapter() }
    }

    fn hub(policy: Policy, window: u64) -> Hub {
        let hub = Hub::new("test", policy, window);
        hub.turn(7, Opening { live: true, ..Opening::default() });
        hub
    }

    fn said(next: &Next, taken: u64, sequence: u64) -> Status {
        Status { epoch: next.epoch, received: taken, taken, run: 7, sequence, ..Status::default() }
    }

    fn sequence(next: Next) -> u64 {
        match next.what {
            What::Frame(item) => item.sequence,
            What::Open(_) => panic!("an opening"),
        }
    }

    /// Opens the lane; the status that has done it.
    fn open(hub: &Hub, serial: u64, sequence: u64) -> Status {
        let open = hub.next("r", serial).unwrap();
        assert!(matches!(open.what, What::Open(_)) && open.number == 1);
        let status = said(&open, 1, sequence);
        hub.status("r", &status);
        status
    }

    #[test]
    fn latest_sends_the_newest_and_counts_the_others() {
        let hub = hub(Policy::Latest, 1);
        let serial = hub.join("r").unwrap();
        let opened = open(&hub, serial, 0);
        hub.give(item(&hub, 1), 0);
        assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
        // While it is under way.
        (2..=5).for_each(|number| hub.give(item(&hub, number), 0));
        hub.give(item(&hub, 9), 3);
        hub.status("r", &Status { received: 2, taken: 2, sequence: 1, ..opened });
        let next = hub.next("r", serial).unwrap();
        assert_eq!((next.lost, sequence(next)), (7, 9));
        assert_eq!(hub.counts().lost, 7);
    }

    #[test]
    fn drop_keeps_what_was_first() {
        let hub = hub(Policy::Drop, 1);
        let serial = hub.join("r").unwrap();
        let opened = open(&hub, serial, 0);
        (1..=3).for_each(|number| hub.give(item(&hub, number), 0));
        assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
        hub.give(item(&hub, 4), 0);
        hub.status("r", &Status { received: 2, taken: 2, sequence: 1, ..opened });
        hub.give(item(&hub, 5), 0);
        assert_eq!(sequence(hub.next("r", serial).unwrap()), 5);
        assert_eq!(hub.counts().lost, 3);
    }

    #[test]
    fn block_sends_again_what_has_not_arrived_and_nothing_else() {
        let hub = hub(Policy::Block, 4);
        assert!(!hub.wants_frame(Duration::ZERO), "nobody takes it");
        let serial = hub.join("r").unwrap();
        open(&hub, serial, 0);
        for number in 1..=4 {
            assert!(hub.wants_frame(Duration::ZERO));
            hub.give(item(&hub, number), 0);
            assert_eq!(sequence(hub.next("r", serial).unwrap()), number);
        }
        hub.give(item(&hub, 5), 0);
        assert!(!hub.wants_frame(Duration::ZERO), "one waits");
        // The link breaks; 1 and 2 have arrived, and nothing was said of it.
        hub.leave("r");
        let serial = hub.join("r").unwrap();
        open(&hub, serial, 2);
        for number in 3..=5 {
            assert_eq!(sequence(hub.next("r", serial).unwrap()), number);
        }
        assert_eq!(hub.counts().lost, 0);
    }

    #[test]
    fn block_gives_the_heir_what_a_dead_receiver_has_not_got() {
        let hub = hub(Policy::Block, 4);
        let serial = hub.join("old").unwrap();
        let open_old = hub.next("old", serial).unwrap();
        hub.status("old", &said(&open_old, 1, 0));
        hub.give(item(&hub, 1), 0);
        assert_eq!(sequence(hub.next("old", serial).unwrap()), 1);
        hub.leave("old");
        assert!(hub.next("old", serial).is_none(), "its thread ends");
        let serial = hub.join("r").unwrap();
        open(&hub, serial, 0);
        assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
    }

    #[test]
    fn what_a_receiver_cannot_have_is_not_believed() {
        let hub = hub(Policy::Latest, 1);
        let serial = hub.join("r").unwrap();
        let opened = open(&hub, serial, 0);
        hub.give(item(&hub, 1), 0);
        assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
        hub.give(item(&hub, 2), 0);
        for (received, taken) in [(u64::MAX, u64::MAX), (3, 3)] {
            hub.status("r", &Status { received, taken, ..opened.clone() });
        }
        assert_eq!(hub.counts().frames, 0);
        hub.status("stranger", &opened);
        hub.status("r", &Status { received: 2, taken: 2, ..opened });
        assert_eq!(hub.counts().frames, 1);
    }

    #[test]
    fn a_changed_stream_is_told_before_its_first_frame_and_without_one() {
        let hub = hub(Policy::Block, 4);
        let serial = hub.join("r").unwrap();
        let opened = open(&hub, serial, 0);
        hub.give(item(&hub, 1), 0);
        hub.turn(8, Opening { live: true, metadata: Some(vec![1]), ..Opening::default() });
        assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
        let next = hub.next("r", serial).unwrap();
        assert!(matches!(&next.what, What::Open(chapter) if chapter.run == 8), "{next:?}");
        hub.status("r", &Status { received: 3, taken: 3, ..opened });
        hub.turn(8, Opening::default());
        assert!(matches!(hub.next("r", serial).unwrap().what, What::Open(chapter) if !chapter.opening.live));
    }
}
