//! The tokens that a dead writer owes its legacy reader: one per published frame (W1).
//!
//! A writer that dies between the position and the token of a frame leaves that reader one frame
//! behind for good. A native reader finds such a frame by itself.

use crate::{
    config::WAIT_SLICE,
    layout::Word,
    memory::Region,
    ring::unread_frames,
    sync::{Instant, Ordering, sleep},
    sys::Semaphore,
};
use std::time::Duration;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);
/// A reader that lacks a token stands still for so long. Reading a frame whose token it has taken
/// takes less.
const STILL: Duration = WAIT_SLICE.saturating_mul(2);
/// A reader that reads on is watched for so long.
const WATCHED: Duration = WAIT_SLICE.saturating_mul(10);

/// One look at what a legacy reader has before it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    position: u64,
    frames: u64,
    tokens: u64,
}

impl Look {
    /// `None`: the reader has moved meanwhile, or nobody tells how many tokens there are.
    fn take(region: &Region, data: &Semaphore) -> Option<Self> {
        let position = || region.load(Word::ReadPos, Ordering::SeqCst);
        let before = position();
        let frames = unread_frames(region, before);
        let tokens = data.known_value()?.into();
        (position() == before).then_some(Self { position: before, frames, tokens })
    }

    fn missing(self) -> u64 {
        self.frames.saturating_sub(self.tokens)
    }
}

/// Posts what is missing, and says how much. The caller is registered, so nobody else posts. The
/// reader is a legacy one, which a surplus token would stop: nothing is posted unless it waits.
pub(super) fn post_missing(region: &Region, data: &Semaphore) -> u64 {
    let began = Instant::now();
    let mut still: Option<(Look, Instant)> = None;
    while began.elapsed() < WATCHED {
        if let Some(look) = Look::take(region, data) {
            let missing = look.missing();
            if missing == 0 {
                return 0;
            }
            let since = still.filter(|(seen, _)| *seen == look).map_or_else(Instant::now, |(_, at)| at);
            still = Some((look, since));
            // Asleep beside frames: it has taken no token for them.
            if (look.tokens == 0 && data.is_awaited()) || since.elapsed() >= STILL {
                (0..missing).for_each(|_| data.post());
                return missing;
            }
        }
        sleep(PAUSE);
    }
    0
}
