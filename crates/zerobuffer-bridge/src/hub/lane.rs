//! The way to one receiver: what waits for it, and what it has not yet said it has taken.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::STALLED;
use super::item::{Chapter, Item, What};
use crate::say;

/// As long as a receiver needs to see an opening that nothing holds up.
const OPENS: Duration = Duration::from_millis(250);

/// A frame that the receiver has not yet said it has taken.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) number: u64,
    pub(super) run: u64,
    pub(super) sequence: u64,
    /// Kept to be sent again, where nothing may be lost.
    pub(super) item: Option<Arc<Item>>,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Another one if the same receiver came back.
    pub(super) serial: u64,
    pub(super) epoch: u64,
    pub(super) queue: VecDeque<Arc<Item>>,
    pub(super) flying: VecDeque<Flying>,
    /// Of the epochs before: what of it has arrived, the first status will say.
    pub(super) uncertain: VecDeque<Flying>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) taken: u64,
    /// The receiver has seen the opening of this epoch.
    pub(super) opened: bool,
    /// Openings that were given up since the last one that it has seen.
    pub(super) openings: u32,
    /// It has seen one, of this epoch or an earlier one.
    pub(super) ever: bool,
    /// The chapter that it knows.
    pub(super) told: Option<u64>,
    /// When the last message was handed to the engine, or the receiver last had one more.
    pub(super) moved: Option<Instant>,
    pub(super) lost: u64,
    pub(super) reason: say::Once,
}

impl Lane {
    pub(super) fn restart(&mut self, epoch: u64) {
        self.epoch = epoch;
        let flying = std::mem::take(&mut self.flying);
        self.uncertain.extend(flying);
        (self.sent, self.received, self.taken) = (0, 0, 0);
        (self.opened, self.told, self.moved) = (false, None, None);
    }

    /// The first word of the receiver in this epoch tells which frames it has got before.
    /// How many it has got.
    pub(super) fn settle(&mut self, run: u64, sequence: u64) -> u64 {
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

    /// How long an opening may take. Twice as long each time: one that waits behind large frames
    /// on a slow link gets there, too.
    pub(super) fn opens_within(&self) -> Duration {
        OPENS.saturating_mul(1 << self.openings.min(16)).min(STALLED)
    }

    pub(super) fn under_way(&self) -> u64 {
        self.sent - self.taken
    }

    pub(super) fn idle(&self) -> bool {
        self.queue.is_empty() && self.flying.is_empty() && self.uncertain.is_empty()
    }
}

/// What a lane still owed a receiver that left.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) uncertain: VecDeque<Flying>,
    pub(super) queue: VecDeque<Arc<Item>>,
    pub(super) lost: u64,
}

impl Rest {
    pub(super) fn has_frames(&self) -> bool {
        !self.queue.is_empty() || self.uncertain.iter().any(|flying| flying.item.is_some())
    }
}

/// What a lane can send now.
pub(super) fn choose(lane: &mut Lane, chapter: &Arc<Chapter>, window: u64) -> Option<What> {
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
