//! One tap for each stream that is looked at: a frame is copied once, for all who look.
mod eye;
mod hold;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::eye::Eye;
pub(crate) use self::hold::Hold;
use crate::picture::Picture;

/// Bytes of the frames of one stream that clients may hold. A frame is held while it is sent.
const ROOM: usize = 256 << 20;
/// So many frames may be held, whatever their size.
const LEAST: usize = 8;
/// How often a stream is looked at for those who wait, while frames come and when none do.
const LIVELY: Duration = Duration::from_millis(2);
const QUIET: Duration = Duration::from_millis(5);
/// How long a client that was let go may take to give its frame back.
const GIVING_BACK: Duration = Duration::from_millis(50);

/// The streams that somebody looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feeds(Arc<Mutex<HashMap<String, Weak<Feed>>>>);

impl Feeds {
    /// The one of this name, for as long as it is kept.
    pub(crate) fn of(&self, name: &str) -> Arc<Feed> {
        let mut feeds = lock(&self.0);
        if let Some(feed) = feeds.get(name).and_then(Weak::upgrade) {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(Feed::new(name));
        feeds.insert(name.to_owned(), Arc::downgrade(&feed));
        feed
    }
}

/// What a look for one client has found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Picture(Arc<Picture>),
    /// No frame that is newer.
    Nothing,
    /// There is no such stream, for this reason.
    Gone(String),
}

/// A stream. One of those who wait looks for all of them.
#[derive(Debug)]
pub(crate) struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    eye: Mutex<Eye>,
    holds: Mutex<Vec<Weak<Hold>>>,
}

#[derive(Debug, Default)]
struct State {
    newest: Option<Arc<Picture>>,
    gone: Option<String>,
    /// Looks that have begun, and those that have ended: there is one at a time.
    begun: u64,
    ended: u64,
    /// Somebody looks for all.
    is_led: bool,
    /// Somebody has to know that nothing newer is there.
    is_asked: bool,
}

/// What one look was good for.
enum Look {
    New(Arc<Picture>),
    Nothing,
    Gone(String),
}

impl Feed {
    fn new(name: &str) -> Feed {
        Feed {
            state: Mutex::default(),
            changed: Condvar::new(),
            eye: Mutex::new(Eye::new(name)),
            holds: Mutex::default(),
        }
    }

    /// One more client.
    pub(crate) fn hold(&self) -> Arc<Hold> {
        let hold = Arc::new(Hold::default());
        let mut holds = lock(&self.holds);
        holds.retain(|hold| hold.strong_count() > 0);
        holds.push(Arc::downgrade(&hold));
        hold
    }

    /// The newest frame, if it came after the one of this count; else waits for one.
    pub(crate) fn newer(&self, last: u64, patience: Duration) -> Found {
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        // What is known now may be old: nobody has looked since nobody has asked.
        let asked = state.begun;
        loop {
            if state.ended > asked {
                if let Some(newest) = state.newest.as_ref().filter(|newest| newest.count > last) {
                    return Found::Picture(Arc::clone(newest));
                }
                if let Some(why) = &state.gone {
                    return Found::Gone(why.clone());
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            // Without patience it looks once.
            if left.is_zero() && (state.ended > asked || !patience.is_zero()) {
                return Found::Nothing;
            }
            // A look that had begun before ends without an answer to this.
            state.is_asked |= state.ended <= asked;
            if state.is_led {
                let left = if patience.is_zero() { QUIET } else { left };
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.is_led = true;
            drop(state);
            let leading = Leading(self);
            self.lead(last, until);
            drop(leading);
            state = lock(&self.state);
        }
    }

    /// Looks until there is a frame after the one of this count, or until that time.
    fn lead(&self, last: u64, until: Instant) {
        loop {
            lock(&self.state).begun += 1;
            let (look, pause) = self.look();
            let mut state = lock(&self.state);
            state.ended = state.begun;
            let mut is_news = std::mem::take(&mut state.is_asked);
            match look {
                Look::New(picture) => {
                    (state.newest, state.gone) = (Some(picture), None);
                    is_news = true;
                }
                Look::Gone(why) => {
                    state.gone = Some(why);
                    is_news = true;
                }
                Look::Nothing => state.gone = None,
            }
            if is_news {
                self.changed.notify_all();
            }
            let is_there = state.newest.as_ref().is_some_and(|newest| newest.count > last);
            let left = until.saturating_duration_since(Instant::now());
            if is_there || state.gone.is_some() || left.is_zero() {
                return;
            }
            drop(state);
            std::thread::sleep(pause.min(left));
        }
    }

    /// Looks once, and says how long to wait before the next time.
    fn look(&self) -> (Look, Duration) {
        let mut eye = lock(&self.eye);
        let look = eye.look();
        let look = match look {
            Ok(Some(sequence)) => {
                let picture = self.frame(&mut eye, sequence);
                // Without room for it the frame waits.
                eye.pending = picture.is_none().then_some(sequence);
                picture.map_or(Look::Nothing, Look::New)
            }
            Ok(None) => Look::Nothing,
            Err(why) => Look::Gone(why),
        };
        let is_lively = eye.found.is_some_and(|found| found.elapsed() < Duration::from_secs(1));
        (look, if is_lively { LIVELY } else { QUIET })
    }

    /// Puts what was copied into a frame that nobody holds. Where there is none, those who have
    /// held theirs for longest are let go: they take nothing, and would keep others waiting.
    fn frame(&self, eye: &mut Eye, sequence: u64) -> Option<Arc<Picture>> {
        let most = (ROOM / eye.spare.len().max(1)).max(LEAST);
        let until = Instant::now() + GIVING_BACK;
        loop {
            // After a change of size there may be more than may be now.
            if eye.frames.len() > most {
                eye.frames.retain(|frame| Arc::strong_count(frame) > 1);
            }
            if let Some(picture) = eye.renew(sequence, most) {
                return Some(picture);
            }
            self.let_go();
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LIVELY);
        }
    }

    /// Ends the connections that hold the oldest frame.
    fn let_go(&self) {
        let holds: Vec<Arc<Hold>> = lock(&self.holds).iter().filter_map(Weak::upgrade).collect();
        let Some(oldest) = holds.iter().filter_map(|hold| hold.count()).min() else { return };
        holds.iter().filter(|hold| hold.count() == Some(oldest)).for_each(|hold| hold.let_go());
    }
}

/// Gives the lead back, even if its thread ends by a defect.
struct Leading<'a>(&'a Feed);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).is_led = false;
        self.0.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
