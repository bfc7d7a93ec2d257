//! `zerobuffer tee`: the frames of one buffer to any number of readers.
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde::Serialize;
use zerobuffer::{
    BroadcastConfig, Broadcaster, BroadcasterHandle, BufferConfig, Error, Owner, Reader, ReaderHandle,
    SlowPolicy, Subscriber,
};

use super::recv::{parse_mode, with_mode};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::status::{Progress, Status};
use crate::summary::{self, Ended};
use crate::watched::{Seen, Watched};
use crate::{join, say, signals, size, time};

/// How often a wait looks at what else there is.
const LOOK: Duration = Duration::from_millis(200);
/// How long `block` waits for a subscriber, where nothing else is said.
const PATIENT: Duration = Duration::from_secs(5);

/// Create the buffer NAME and copy each frame that is sent to it to all subscribers.
///
/// A subscriber is a reader of a buffer NAME@ANYTHING, in any language and of any version: for
/// instance `zerobuffer recv NAME@screen`. Subscribers may come and go while the stream runs. One
/// that is slow, stopped or killed does not delay the others. Ends when the writer of NAME has
/// gone.
// Each flag is an option of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  zerobuffer tee cam --follow\n  \
    zerobuffer tee cam --policy drop --for recorder=block:2 --subscribers 1")]
pub(crate) struct Args {
    /// The buffer's name.
    name: String,
    /// Feed the subscribers of another name: the buffers NAME@ANYTHING of this one [default: that
    /// of the buffer].
    #[arg(long = "to", value_name = "NAME")]
    to: Option<String>,
    /// See the frames of a buffer that has a reader, without taking part: neither end notices. A
    /// frame that is overwritten before it is copied is missed.
    #[arg(long, conflicts_with_all = ["ring", "metadata", "mode", "global"])]
    tap: bool,
    /// What becomes of a frame for which a subscriber's ring has no room. With drop it misses the
    /// frame, with disconnect it is disconnected. With block or block:SECONDS it is waited for,
    /// once all others have the frame; 5 seconds by default.
    #[arg(long, value_name = "POLICY", default_value = "drop", value_parser = parse_policy)]
    policy: SlowPolicy,
    /// The same for one subscriber, by what stands behind the @ in its buffer's name; a * at the
    /// end stands for anything. May be given several times: the first that fits counts.
    #[arg(long = "for", value_name = "SUBSCRIBER=POLICY", value_parser = parse_own_policy)]
    own: Vec<(String, SlowPolicy)>,
    /// Begin once there are so many subscribers.
    #[arg(long, value_name = "COUNT")]
    subscribers: Option<usize>,
    /// Feed at most so many subscribers at once.
    #[arg(long, value_name = "COUNT", default_value = "64")]
    most: NonZeroUsize,
    /// Feed the buffers of another user, too: that user's number, or any. Without it only your own
    /// and root's ones are trusted, since the maker of one reads every frame.
    #[arg(long, value_name = "USER")]
    owner: Option<Owner>,
    /// Bytes of the ring; a frame of it is larger by 16 bytes.
    #[arg(long, value_name = "BYTES", default_value = "32MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Bytes of the metadata block, which carries the stream's description.
    #[arg(long, value_name = "BYTES", default_value = "4KiB", value_parser = size::parse)]
    metadata: u64,
    /// Permission bits of the buffer in octal; 660 lets the group write, 666 everyone [default:
    /// 600, or what ZEROBUFFER_MODE says].
    #[arg(long, value_parser = parse_mode)]
    mode: Option<u32>,
    /// Let processes of other Windows sessions find the buffer, which needs the privilege
    /// `SeCreateGlobalPrivilege`; elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
    /// Stop after this many frames.
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
    /// Go on with the next writer when one has left, until stopped.
    #[arg(long)]
    follow: bool,
    /// Wait at most this long for a writer [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse)]
    wait: Option<Duration>,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints at the end.
#[derive(Serialize)]
struct Summary<'a> {
    frames: u64,
    bytes: u64,
    /// Frames that a tap has not seen in time.
    missed: u64,
    /// Copies that subscribers got, and those for which their rings had no room.
    sent: u64,
    dropped: u64,
    joined: u64,
    left: u64,
    disconnected: u64,
    /// Those that were connected at the end.
    subscribers: Vec<SubscriberView<'a>>,
    seconds: f64,
    #[serde(flatten)]
    ended: Ended,
}

#[derive(Serialize)]
struct SubscriberView<'a> {
    buffer: &'a str,
    sent: u64,
    dropped: u64,
    blocked_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

impl<'a> SubscriberView<'a> {
    fn new(one: &'a Subscriber) -> Self {
        SubscriberView {
            buffer: &one.buffer,
            sent: one.stats.frames,
            dropped: one.stats.dropped,
            blocked_seconds: one.stats.blocked.as_secs_f64(),
            problem: one.problem.as_deref(),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut config = BroadcastConfig::default()
        .policy(args.policy)
        .owner(args.owner.unwrap_or_default())
        .max_subscribers(args.most);
    for (subscriber, policy) in &args.own {
        config = config.policy_for(subscriber, *policy);
    }
    let to = args.to.as_ref().unwrap_or(&args.name);
    if Broadcaster::is_subscriber(to, &args.name) {
        return Err(Fail::new(
            Exit::Usage,
            format!("'{}' is a subscriber of '{to}': it would get its own frames again and again", args.name),
        ));
    }
    let started = Instant::now();
    // First: where there are no frames to be had, no subscriber meets a writer that leaves at once.
    let mut watched = Watched::new(&args.name);
    let source = if args.tap {
        watched.open()?;
        None
    } else {
        Some(create(args)?)
    };
    let mut tee = Tee { args, source, to: Broadcaster::with_config(to, config)?, given: None, missed: 0 };
    let handle = tee.to.handle();
    signals::on_signal({
        let handle = handle.clone();
        move || handle.interrupt()
    });
    let result = if args.tap { tee.watch(watched) } else { tee.receive() };
    let (stats, subscribers, missed) = (handle.stats(), handle.subscribers(), tee.missed);
    let done = tee.done();
    tee.to.close()?;
    if result.is_ok() {
        say::note(&done);
    }
    if !args.json {
        return result;
    }
    let ended = Ended::of(&result);
    let summary = Summary {
        frames: stats.frames,
        bytes: stats.bytes,
        missed,
        sent: stats.sent,
        dropped: stats.dropped,
        joined: stats.joined,
        left: stats.left,
        disconnected: stats.disconnected,
        subscribers: subscribers.iter().map(SubscriberView::new).collect(),
        seconds: started.elapsed().as_secs_f64(),
        ended,
    };
    summary::print(&summary, result)
}

/// The buffer that the frames come from.
fn create(args: &Args) -> Result<Reader, Fail> {
    let config =
        with_mode(BufferConfig::ring(args.ring).metadata(args.metadata).global(args.global), args.mode);
    let source = Reader::create(&args.name, config)?;
    let handle = source.handle();
    signals::on_signal(move || handle.interrupt());
    Ok(source)
}

struct Tee<'a> {
    args: &'a Args,
    source: Option<Reader>,
    to: Broadcaster,
    /// The metadata that the subscribers have.
    given: Option<Vec<u8>>,
    missed: u64,
}

impl Tee<'_> {
    fn receive(&mut self) -> Result<(), Fail> {
        let args = self.args;
        say::note(&format!(
            "waiting for a writer on '{}', ring of {}; subscribe with: zerobuffer recv {}@ANYTHING",
            args.name,
            size::human(args.ring),
            self.to.name()
        ));
        let handle = self.source.as_ref().map(Reader::handle);
        let fill = move || handle.as_ref().map_or(0.0, ReaderHandle::utilization);
        let _status = Status::start(&args.name, true, progress(self.to.handle(), fill));
        self.await_subscribers()?;
        let mut gone = false;
        let mut start = Instant::now();
        while self.wants_more() {
            let Some(source) = &mut self.source else { break };
            // Of a writer that has left nothing more is to be said.
            let next = if gone {
                source.wait_for_writer(LOOK).map(|came| {
                    gone = !came;
                    None
                })
            } else {
                source.read_timeout(LOOK)
            };
            match next {
                Ok(Some(frame)) => {
                    let metadata = source.metadata()?;
                    describe(&mut self.to, &mut self.given, metadata.as_deref())?;
                    send(&mut self.to, &frame)?;
                    start = Instant::now();
                }
                Ok(None) => {
                    let metadata = source.metadata()?;
                    describe(&mut self.to, &mut self.given, metadata.as_deref())?;
                    if source.is_writer_connected() {
                        start = Instant::now();
                    } else if args.wait.is_some_and(|wait| start.elapsed() >= wait) {
                        return self.end_of_wait();
                    }
                }
                Err(Error::WriterGone { .. }) => {
                    let died = source.writer_died();
                    if died && !args.follow {
                        return Err(Fail::new(
                            Exit::PeerGone,
                            format!("the writer of '{}' died: {}", args.name, self.done()),
                        ));
                    }
                    if !args.follow {
                        break;
                    }
                    let how = if died { "died" } else { "has left" };
                    say::note(&format!("the writer {how}: {}; waiting for the next one", self.done()));
                    (gone, start) = (true, Instant::now());
                }
                Err(error) => return Err(join::ended(error, &self.done())),
            }
        }
        self.source.take().map_or(Ok(()), Reader::close)?;
        Ok(())
    }

    /// The frames of a buffer that has another reader.
    fn watch(&mut self, mut watched: Watched) -> Result<(), Fail> {
        let args = self.args;
        say::note(&format!(
            "looking at '{}', beside its reader; subscribe with: zerobuffer recv {}@ANYTHING",
            args.name,
            self.to.name()
        ));
        let _status = Status::start(&args.name, true, progress(self.to.handle(), || 0.0));
        self.await_subscribers()?;
        let mut bytes = Vec::new();
        let mut start = Instant::now();
        while self.wants_more() {
            match watched.look(false, &mut bytes, LOOK)? {
                Seen::Frame(frame) => {
                    self.missed = self.missed.saturating_add(frame.skipped.unwrap_or(0));
                    let metadata =
                        watched.tap().map(zerobuffer::observe::Tap::metadata).transpose()?.flatten();
                    describe(&mut self.to, &mut self.given, metadata.as_deref())?;
                    send(&mut self.to, &bytes)?;
                    start = Instant::now();
                }
                Seen::Nothing { present: true } => start = Instant::now(),
                Seen::Nothing { present: false } => {
                    if args.wait.is_some_and(|wait| start.elapsed() >= wait) {
                        return self.end_of_wait();
                    }
                }
                Seen::WriterGone => {
                    if !args.follow {
                        break;
                    }
                    say::note(&format!("the writer has left: {}", self.done()));
                    start = Instant::now();
                }
                Seen::Ended { why, closed } => {
                    if !args.follow && !closed {
                        return Err(Fail::new(Exit::PeerGone, why.to_string()).hint(self.done()));
                    }
                    if !args.follow {
                        break;
                    }
                    say::note(&format!("{why}; waiting for the next buffer of that name"));
                    start = Instant::now();
                }
            }
            if signals::caught().is_some() {
                return Err(signals::interrupted(&self.done()));
            }
        }
        Ok(())
    }

    fn wants_more(&self) -> bool {
        self.args.frames.is_none_or(|most| self.to.stats().frames < most)
    }

    fn await_subscribers(&self) -> Result<(), Fail> {
        let Some(count) = self.args.subscribers else { return Ok(()) };
        while !self.to.wait_for_subscribers(count, LOOK).map_err(|error| join::ended(error, &self.done()))? {}
        Ok(())
    }

    /// No writer has come in time: for a stream that is followed, its end.
    fn end_of_wait(&self) -> Result<(), Fail> {
        if self.to.stats().frames > 0 {
            return Ok(());
        }
        let (name, waited) = (&self.args.name, time::seconds(self.args.wait.unwrap_or_default()));
        let what = if self.args.tap { "start its reader and its writer" } else { "start one" };
        Err(Fail::new(
            Exit::Absent,
            format!(
                "no writer on '{name}' came within {waited}: {what} with `zerobuffer send {name}`, or wait longer with --wait SECONDS"
            ),
        ))
    }

    /// What was done, for notes and errors.
    fn done(&self) -> String {
        let stats = self.to.stats();
        let subscribers = if stats.joined == 1 {
            String::from("1 subscriber")
        } else {
            format!("{} subscribers", stats.joined)
        };
        let mut text = format!("{} to {subscribers}", join::frames(stats.frames));
        for (count, what) in [
            (self.missed, "missed"),
            (stats.dropped, "copies dropped, whose rings were full"),
            (stats.disconnected, "disconnected"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        text
    }
}

fn progress(to: BroadcasterHandle, fill: impl Fn() -> f64 + Send + 'static) -> impl Fn() -> Progress + Send {
    move || {
        let stats = to.stats();
        Progress { frames: stats.frames, bytes: stats.bytes, lost: stats.dropped, fill: fill() }
    }
}

/// Hands metadata on, if they have changed.
fn describe(to: &mut Broadcaster, given: &mut Option<Vec<u8>>, now: Option<&[u8]>) -> Result<(), Fail> {
    let Some(now) = now.filter(|now| given.as_deref() != Some(*now)) else { return Ok(()) };
    to.set_metadata(now).map_err(|error| join::ended(error, "its metadata were not handed on"))?;
    *given = Some(now.to_vec());
    Ok(())
}

fn send(to: &mut Broadcaster, frame: &[u8]) -> Result<(), Fail> {
    let sent = to.write(frame);
    sent.map(drop).map_err(|error| {
        let frames = to.stats().frames;
        join::ended(error, &format!("{} handed on", join::frames(frames)))
    })
}

/// `drop`, `disconnect`, `block` or `block:SECONDS`.
fn parse_policy(text: &str) -> Result<SlowPolicy, String> {
    match text.split_once(':').map_or((text, None), |(word, limit)| (word, Some(limit))) {
        ("drop", None) => Ok(SlowPolicy::Drop),
        ("disconnect", None) => Ok(SlowPolicy::Disconnect),
        ("block", None) => Ok(SlowPolicy::Block(PATIENT)),
        ("block", Some(limit)) => time::parse_positive(limit).map(SlowPolicy::Block),
        _ => Err(format!("'{text}' is no policy: use drop, block, block:SECONDS or disconnect")),
    }
}

fn parse_own_policy(text: &str) -> Result<(String, SlowPolicy), String> {
    match text.split_once('=') {
        Some((subscriber, policy)) if !subscriber.is_empty() => {
            Ok((subscriber.to_owned(), parse_policy(policy)?))
        }
        _ => Err(format!("'{text}' is not SUBSCRIBER=POLICY: write for instance recorder=block:2")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let block = |seconds| SlowPolicy::Block(Duration::from_secs_f64(seconds));
        for (text, policy) in [
            ("drop", SlowPolicy::Drop),
            ("disconnect", SlowPolicy::Disconnect),
            ("block", block(5.0)),
            ("block:0.5", block(0.5)),
        ] {
            assert_eq!(parse_policy(text), Ok(policy));
            assert!(parse_own_policy(&format!("rec=orders={text}")).is_err(), "{text}");
            assert_eq!(parse_own_policy(&format!("rec*={text}")), Ok(("rec*".to_owned(), policy)));
        }
        for text in ["", "wait", "drop:1", "block:", "block:0", "block:-1", "disconnect:2"] {
            assert!(parse_policy(text).is_err(), "{text}");
            assert!(parse_own_policy(&format!("x={text}")).is_err(), "{text}");
        }
        for text in ["", "drop", "=drop"] {
            assert!(parse_own_policy(text).is_err(), "{text}");
        }
    }
}
