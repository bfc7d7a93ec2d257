//! `zerobuffer-bridge recv`: fills rings from streams of other machines.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use zenoh::key_expr::KeyExpr;
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait as _};
use zerobuffer::Owner;

use crate::engine::{self, Side};
use crate::fail::Fail;
use crate::fill::{Fill, Offers};
use crate::keys::{self, Stream};
use crate::ls::Info;
use crate::stop::{LOOK, Stop};
use crate::wire::VERSION;
use crate::{path, say, size};

/// Streams that are filled at a time, each by a thread: more are refused.
const MOST_STREAMS: usize = 64;
/// Senders that are known of one stream.
const MOST_SENDERS: usize = 16;

/// Fill buffers of this machine from streams of others.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The streams that are allowed: names, or patterns as 'cam*' and 'lab1/**'. STREAM=NAME fills
    /// the buffer NAME. A buffer is filled once a program has created it as its reader.
    #[arg(required = true, value_name = "STREAM[=NAME]")]
    streams: Vec<String>,
    #[command(flatten)]
    engine: engine::Options,
    /// What precedes the names of buffers that are not given by =NAME.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Bytes of the largest frame that is taken from the network. The engine drops larger ones.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size::parse_positive)]
    pub(crate) max_frame: u64,
    /// Whose buffers are filled: trusted (one's own and root's), any, or the number of a user.
    #[arg(long, value_name = "USER", default_value = "trusted")]
    pub(crate) owner: Owner,
}

/// What is allowed, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    exact: BTreeMap<Stream, String>,
    patterns: Vec<KeyExpr<'static>>,
    prefix: String,
}

impl Allowed {
    pub(crate) fn new(texts: &[String], prefix: &str) -> Result<Allowed, Fail> {
        let mut allowed = Allowed { exact: BTreeMap::new(), patterns: Vec::new(), prefix: prefix.to_owned() };
        for text in texts {
            let (stream, ring) = match text.split_once('=') {
                Some((stream, ring)) => (keys::stream(stream)?, ring.to_owned()),
                None => {
                    let pattern = keys::pattern(text)?;
                    if pattern.is_wild() {
                        allowed.patterns.push(pattern);
                        continue;
                    }
                    let stream = keys::stream(text)?;
                    let ring = allowed.ring(&stream).ok_or_else(|| {
                        Fail::usage(format!(
                            "'{text}' has no letters after a %: give the buffer as {text}=NAME"
                        ))
                    })?;
                    (stream, ring)
                }
            };
            if let Some((other, _)) = allowed.exact.iter().find(|(_, filled)| **filled == ring) {
                return Err(Fail::usage(format!(
                    "the streams '{other}' and '{stream}' would fill one buffer, '{ring}'"
                )));
            }
            allowed.exact.insert(stream, ring);
        }
        Ok(allowed)
    }

    fn ring(&self, stream: &str) -> Option<String> {
        keys::ring_of(stream).map(|name| format!("{}{name}", self.prefix))
    }

    /// The buffer that a stream fills, if it is allowed.
    pub(crate) fn buffer(&self, stream: &str) -> Option<String> {
        if let Some(ring) = self.exact.get(stream) {
            return Some(ring.clone());
        }
        let key = KeyExpr::try_from(stream.to_owned()).ok()?;
        let is_allowed = self.patterns.iter().any(|pattern| pattern.includes(&key));
        is_allowed.then(|| self.ring(stream)).flatten().filter(|ring| !is_internal(ring))
    }
}

/// A buffer that is a part of something else: of a channel, or of a bridge. A pattern does not mean
/// it, or a peer could have requests of its own answered by every service of this machine.
fn is_internal(ring: &str) -> bool {
    path::is_mark(ring) || ring.ends_with("_request") || ring.ends_with("_response")
}

/// A thread, and the stream that it fills a buffer from.
type Filling = (JoinHandle<Result<(), Fail>>, Arc<Fill>);

pub(crate) fn run(args: &Args, stop: &Stop) -> Result<(), Fail> {
    let allowed = Allowed::new(&args.streams, &args.prefix)?;
    let session = engine::open(&args.engine, Side::Listens, args.max_frame)?;
    let board_is_wild = !allowed.patterns.is_empty();
    let known = Arc::new(Mutex::new(Known::default()));
    // What is named is tried from the start: its refusals are to be seen.
    let board = Board { allowed, known: Arc::clone(&known) };
    for (stream, ring) in board.allowed.exact.clone() {
        board.lock().streams.insert(stream, Entry { ring, offers: Offers::default(), started: false });
    }
    let alone = args.streams.len() == 1 && !board_is_wild;
    let own = session.zid().to_string();
    let _senders = session
        .liveliness()
        .declare_subscriber(keys::SENDERS)
        .history(true)
        .callback(move |sample| board.notice(&sample, &own))
        .wait()
        .map_err(|error| Fail::other(format!("cannot look for senders: {error}")))?;
    let mut threads: Vec<Filling> = Vec::new();
    let mut result = Ok(());
    while result.is_ok() {
        let new: Vec<(Stream, String, Offers)> = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = known.streams.iter_mut().filter(|(_, entry)| !entry.started);
            fresh
                .map(|(stream, entry)| {
                    entry.started = true;
                    (stream.clone(), entry.ring.clone(), entry.offers.clone())
                })
                .collect()
        };
        for (stream, ring, offers) in new {
            let receiver = format!("{}-{}", session.zid(), threads.len());
            let fill = Fill::new(&session, &receiver, &stream, &ring, offers, args, alone);
            let (fill, stop, session) = (Arc::new(fill), stop.clone(), session.clone());
            let filling = Arc::clone(&fill);
            let thread = std::thread::spawn(move || filling_thread(&filling, &session, &receiver, &stop));
            threads.push((thread, fill));
        }
        if !stop.sleep(LOOK) {
            break;
        }
        // A thread ends by itself only where its buffer is refused from the start.
        if let Some(at) = threads.iter().position(|(thread, _)| thread.is_finished()) {
            let (thread, _) = threads.swap_remove(at);
            result =
                thread.join().unwrap_or_else(|_| Err(Fail::other("a stream has panicked, please report it")));
        }
    }
    stop.set();
    for (thread, fill) in threads {
        let _ = thread.join();
        say::note(&fill.summary());
    }
    let _ = session.close().wait();
    result
}

fn filling_thread(fill: &Arc<Fill>, session: &Session, receiver: &str, stop: &Stop) -> Result<(), Fail> {
    let told = Arc::clone(fill);
    let info = Info::new(move |line| told.tell(line));
    let _info = info
        .declare(session, receiver, fill.stream())
        .map_err(|error| Fail::other(format!("{}: {error}", fill.stream())))?;
    fill.run(stop)
}

#[derive(Default)]
struct Known {
    streams: BTreeMap<Stream, Entry>,
    told: say::Once,
}

struct Entry {
    ring: String,
    offers: Offers,
    started: bool,
}

/// The senders of each stream.
struct Board {
    allowed: Allowed,
    known: Arc<Mutex<Known>>,
}

impl Board {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sender came or went.
    fn notice(&self, sample: &Sample, own: &str) {
        let Some((version, sender, stream)) = keys::parse_send(sample.key_expr()) else { return };
        let own = sender.strip_prefix(own).is_some_and(|rest| rest.starts_with('-'));
        if own || sender.len() > 64 || stream.len() > 1024 {
            return;
        }
        let mut known = self.lock();
        if sample.kind() == SampleKind::Delete {
            if let Some(entry) = known.streams.get(stream) {
                entry.offers.remove(sender);
            }
            return;
        }
        let Some(ring) = self.allowed.buffer(stream) else {
            return known.told.warn(format!("the stream '{stream}' is offered, and not allowed here"));
        };
        if version.parse::<u8>() != Ok(VERSION) {
            return known.told.warn(format!(
                "the stream '{stream}' is offered by a bridge of version {version}; this one speaks version {VERSION}: use the same release at both ends"
            ));
        }
        if !known.streams.contains_key(stream) {
            if let Some((other, _)) = known.streams.iter().find(|(_, entry)| entry.ring == ring) {
                let message =
                    format!("the stream '{stream}' is refused: '{other}' fills the buffer '{ring}' already");
                return known.told.warn(message);
            }
            if known.streams.len() >= MOST_STREAMS {
                return known
                    .told
                    .warn(format!("the stream '{stream}' is refused: there are {MOST_STREAMS} already"));
            }
            let entry = Entry { ring, offers: Offers::default(), started: false };
            known.streams.insert(stream.to_owned(), entry);
        }
        if let Some(entry) = known.streams.get(stream)
            && !entry.offers.add(sender, MOST_SENDERS)
        {
            known.told.warn(format!("the stream '{stream}' is offered by more than {MOST_SENDERS} bridges"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn allowed(texts: &[&str], prefix: &str) -> Result<Allowed, Fail> {
        Allowed::new(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), prefix)
    }

    #[test]
    fn only_what_is_named_fills_a_buffer() {
        let list = allowed(&["cam=front", "lab1/**", "x y"], "in-").err();
        assert!(list.is_none(), "{list:?}");
        let list = allowed(&["cam=front", "lab1/**", "mic*"], "in-").unwrap();
        let buffer = |stream| list.buffer(stream);
        assert_eq!(buffer("cam").as_deref(), Some("front"));
        assert_eq!(buffer("lab1/cam").as_deref(), Some("in-lab1.cam"));
        assert_eq!(buffer("mic2").as_deref(), Some("in-mic2"));
        assert_eq!(buffer("a%20b"), None);
        assert_eq!((buffer("cam2"), buffer("lab2/cam")), (None, None));
    }

    #[test]
    fn a_pattern_does_not_mean_the_buffers_of_channels_and_bridges() {
        let list = allowed(&["**", "own_request"], "").unwrap();
        for stream in ["calc_request", "calc_response", "lab/calc_request", "bridge.cam", "bridge/cam"] {
            assert_eq!(list.buffer(stream), None, "{stream}");
        }
        assert_eq!(list.buffer("calc%5Frequest"), None);
        assert_eq!(list.buffer("own_request").as_deref(), Some("own_request"), "it is named");
        assert_eq!(list.buffer("request").as_deref(), Some("request"));
    }

    #[test]
    fn two_streams_for_one_buffer_are_refused() {
        let message = allowed(&["a=cam", "b=cam"], "").unwrap_err().to_string();
        assert!(message.contains("'a' and 'b'") && message.contains("'cam'"), "{message}");
    }
}
