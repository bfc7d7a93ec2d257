//! Where requests for one server come in. To a server of one client they go in the order in which
//! they came. To one of several clients each remote client has a line of its own.
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zenoh::Wait as _;
use zenoh::bytes::ZBytes;
use zenoh::query::Query;
use zerobuffer::Owner;

use super::line::{Line, Sent};
use super::visitor::{Admission, Visitor};
use super::{Offered, server_of};
use crate::say;
use crate::stop::LOOK;
use crate::wire::{Ask, MAX_METADATA, Trouble};

/// Clients of one service, on all machines.
const MOST_VISITORS: usize = 64;
/// Clients whose threads are there. One that the engine makes wait stays for a while after its
/// client has left.
const MOST_SERVED: usize = 128;
/// How long a server that is killed may take to let go of its channels, one after the other.
const DIES: Duration = Duration::from_secs(1);
/// How long clients that have a line of their own may take to close it.
const CLOSES: Duration = Duration::from_secs(5);
/// Requests of one client that are under way.
pub(super) const MOST_ASKS: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: u64,
    /// Bytes of responses.
    pub(super) bytes: u64,
    /// Requests whose client learns why there is no response, or that are lost with an end.
    pub(super) failed: u64,
    pub(super) clients: u64,
}

/// A request that waits for its turn.
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) payload: ZBytes,
    /// Without its payload and its attachment: it is held until the answer.
    pub(super) query: Query,
}

#[derive(Default)]
struct State {
    /// Those that share the one line.
    asked: VecDeque<(Arc<Visitor>, Asked)>,
    /// Bytes of requests that wait, and of the metadata that came with them.
    bytes: u64,
    visitors: BTreeMap<u64, Arc<Visitor>>,
    counts: Counts,
    /// Clients that have a line of their own, until that is closed.
    lines: usize,
    ended: bool,
    told: say::Once,
}

impl State {
    /// Takes out the requests of clients that have left or were given up: nobody waits for them.
    fn drop_over(&mut self) -> Vec<Asked> {
        let asked = std::mem::take(&mut self.asked);
        let (over, asked): (VecDeque<_>, _) = asked.into_iter().partition(|(visitor, _)| visitor.is_over());
        self.asked = asked;
        let mut over: Vec<_> = over.into_iter().map(|(_, asked)| asked).collect();
        for visitor in self.visitors.values().filter(|visitor| visitor.is_over()) {
            over.extend(visitor.take_asked());
        }
        self.forget(&over);
        over
    }

    /// They do not wait any more.
    fn forget<'a>(&mut self, asked: impl IntoIterator<Item = &'a Asked>) {
        self.bytes -= asked.into_iter().map(|asked| asked.ask.weight()).sum::<u64>();
    }
}

pub(super) struct Desk {
    channel: String,
    stream: String,
    owner: Owner,
    largest: u64,
    server: Offered,
    state: Mutex<State>,
    changed: Condvar,
    /// Each thread of a client has one.
    threads: Arc<()>,
}

impl Desk {
    pub(super) fn new(channel: &str, stream: &str, owner: Owner, largest: u64, server: Offered) -> Desk {
        Desk {
            channel: channel.to_owned(),
            stream: stream.to_owned(),
            owner,
            largest,
            server,
            state: Mutex::default(),
            changed: Condvar::new(),
            threads: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts { clients: state.visitors.len() as u64, ..state.counts }
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    pub(super) fn serves_several(&self) -> bool {
        self.server.several
    }

    /// A client is there.
    pub(super) fn join(&self, session: u64) {
        let mut state = self.lock();
        if state.ended || state.visitors.contains_key(&session) {
            return;
        }
        if state.visitors.len() >= MOST_VISITORS {
            let message = format!("{}: a client is refused, there are {MOST_VISITORS} already", self.stream);
            return state.told.warn(message);
        }
        // A client gets its threads with its first request: the others may still get theirs.
        let each = if self.server.several { 2 } else { 1 };
        let threads = Arc::strong_count(&self.threads) - 1;
        let to_come: usize = state.visitors.values().map(|visitor| each - visitor.threads().min(each)).sum();
        let most = MOST_SERVED * each;
        if threads + to_come + each > most {
            let message = format!(
                "{}: a client is refused, {most} threads answer others, or wait for those that left",
                self.stream
            );
            return state.told.warn(message);
        }
        state.visitors.insert(session, Arc::new(Visitor::new(session)));
    }

    /// A thread of a client holds this.
    pub(super) fn thread(&self) -> Arc<()> {
        Arc::clone(&self.threads)
    }

    /// A client is gone, or out of reach.
    pub(super) fn leave(&self, session: u64) {
        let visitor = self.lock().visitors.remove(&session);
        if let Some(visitor) = visitor {
            visitor.end();
            let mut state = self.lock();
            let own = visitor.take_asked();
            state.forget(&own);
            let over = state.drop_over();
            drop(state);
            // The engine learns of it without the lock.
            drop((own, over));
        }
        self.changed.notify_all();
    }

    /// A request came. This is the engine's thread: nothing is waited for. A query that is dropped
    /// has no answer, and the asking bridge ends its channel.
    pub(super) fn take(self: &Arc<Desk>, mut query: Query) {
        let attachment = query.attachment_mut().map(std::mem::take).unwrap_or_default();
        let payload = query.payload_mut().map(std::mem::take).unwrap_or_default();
        // Not joined to one piece before its length is looked at.
        let attachment = if attachment.len() > Ask::MOST { ZBytes::new() } else { attachment };
        let decoded = Ask::decode(&attachment.to_bytes());
        drop(attachment);
        let length = payload.len() as u64;
        let mut guard = self.lock();
        let state = &mut *guard;
        let ask = match decoded {
            Ok(ask) if ask.number > 1 && ask.metadata.is_some() => {
                let message = format!(
                    "{}: request {} brings metadata, which only the first one of a client does",
                    self.stream, ask.number
                );
                return state.told.warn(message);
            }
            Ok(ask) if ask.length == length && length > 0 => ask,
            Ok(ask) => {
                let message = format!(
                    "{}: a request says that it has {} bytes, and has {length}",
                    self.stream, ask.length
                );
                return state.told.warn(message);
            }
            Err(refused) => return state.told.warn(format!("{}: {refused}", self.stream)),
        };
        if state.ended {
            return;
        }
        let Some(visitor) = state.visitors.get(&ask.session) else {
            state.told.warn(format!("{}: a request of a client that is not there", self.stream));
            drop(guard);
            let words = format!(
                "the bridge at the server answers {MOST_VISITORS} clients, this one is not among them: connect anew once others have left"
            );
            let _ = query.reply_err(Trouble::new("busy", words).encode()).wait();
            return;
        };
        match visitor.admits(ask.number) {
            Admission::Granted => {}
            Admission::Over => return,
            Admission::GivenUp => {
                let message = format!(
                    "{}: request {} of a client that does not wait, or does not count; its channel ends",
                    self.stream, ask.number
                );
                state.told.warn(message);
                let over = state.drop_over();
                drop(guard);
                return drop(over);
            }
        }
        let most = self.largest.saturating_add(MAX_METADATA as u64).saturating_mul(4);
        let weight = ask.weight();
        if state.bytes.saturating_add(weight) > most {
            let trouble = Trouble::new(
                "busy",
                format!(
                    "{} bytes of requests wait for the server already; this one has {weight}",
                    state.bytes
                ),
            );
            visitor.forget();
            state.counts.failed += 1;
            drop(guard);
            let _ = query.reply_err(trouble.encode()).wait();
            return;
        }
        let visitor = Arc::clone(visitor);
        state.bytes += weight;
        let asked = Asked { ask, payload, query };
        if self.server.several {
            if visitor.put(asked) {
                state.lines += 1;
                let (desk, thread) = (Arc::clone(self), self.thread());
                std::thread::spawn(move || {
                    visitor.send_all(&desk);
                    desk.lock().lines -= 1;
                    desk.changed.notify_all();
                    drop(thread);
                });
            }
            return;
        }
        state.asked.push_back((visitor, asked));
        drop(guard);
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let visitors = std::mem::take(&mut state.visitors);
        let asked = std::mem::take(&mut state.asked);
        drop(state);
        visitors.into_values().for_each(|visitor| visitor.end());
        drop(asked);
        self.changed.notify_all();
    }

    /// After the end: waits until the lines of clients are closed. The engine may make one wait for
    /// longer than this does.
    pub(super) fn wait_for_lines(&self) {
        let state = self.lock();
        let _ = self.changed.wait_timeout_while(state, CLOSES, |state| state.lines > 0);
    }

    /// The server is gone, or does not take what it has to.
    pub(super) fn is_over(&self) -> bool {
        self.lock().ended
    }

    pub(super) fn answered(&self, bytes: u64) {
        let mut state = self.lock();
        state.counts.answered += 1;
        state.counts.bytes += bytes;
    }

    pub(super) fn failed(&self) {
        self.lock().counts.failed += 1;
    }

    /// Gives the server one request after the other until there is no more server.
    pub(super) fn run(self: &Arc<Desk>) {
        let mut line: Option<Line> = None;
        while let Some(next) = self.next(&mut line) {
            if let Some((visitor, asked)) = next
                && !visitor.is_over()
            {
                self.send(&mut line, &visitor, asked);
            }
        }
    }

    /// Gives the server one request.
    pub(super) fn send(self: &Arc<Desk>, line: &mut Option<Line>, visitor: &Arc<Visitor>, asked: Asked) {
        let Asked { ask, payload, query } = asked;
        match Line::send(line, self, visitor, ask, payload) {
            Sent::Call(call, largest) => visitor.await_answer(self, call, query, largest),
            Sent::Refused(trouble) => self.refuse(visitor, &query, &trouble),
            Sent::ClientGone => {}
            Sent::ServerGone if self.goes_on_without(visitor) => {
                self.refuse(visitor, &query, &Trouble::closed());
            }
            Sent::ServerGone => {
                self.failed();
                self.end();
            }
        }
    }

    /// The server has closed the channel of a client. `true`: it is there for the others, and this
    /// one learns of it.
    pub(super) fn goes_on_without(&self, visitor: &Visitor) -> bool {
        if !self.serves_several() {
            return false;
        }
        let until = Instant::now() + DIES;
        while !visitor.is_closed() && Instant::now() < until {
            if self.is_over() || server_of(&self.channel) != Some(self.server.pid) {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        visitor.close();
        true
    }

    /// The client learns why there is no response.
    pub(super) fn refuse(&self, visitor: &Visitor, query: &Query, trouble: &Trouble) {
        self.failed();
        visitor.forget();
        let _ = query.reply_err(trouble.encode()).wait();
    }

    /// A request has left its queue.
    pub(super) fn taken(&self, asked: &Asked) {
        self.lock().forget([asked]);
    }

    /// The next request, or none within a while; `None` at the end. Clients that have left give
    /// their line back.
    #[allow(clippy::option_option, reason = "an end, a pause, and a request")]
    fn next(&self, line: &mut Option<Line>) -> Option<Option<(Arc<Visitor>, Asked)>> {
        let mut state = self.lock();
        if state.asked.is_empty() && !state.ended {
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.ended {
            return None;
        }
        let asked = state.asked.pop_front();
        state.forget(asked.iter().map(|(_, asked)| asked));
        drop(state);
        if asked.is_none() && line.as_ref().is_some_and(|line| !line.is_used()) {
            *line = None;
        }
        Some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of clients that left, which the engine still makes wait.
    #[test]
    fn there_are_never_more_threads_than_are_allowed() {
        let server = Offered { pid: 1, several: false };
        let desk = Desk::new("channel", "stream", Owner::Trusted, 1, server);
        let threads: Vec<_> = (0..100).map(|_| desk.thread()).collect();
        (1..=64).for_each(|session| desk.join(session));
        assert_eq!(desk.counts().clients, 28);
        drop(threads);
        (1..=64).for_each(|session| desk.join(session));
        assert_eq!(desk.counts().clients, 64);
    }
}
