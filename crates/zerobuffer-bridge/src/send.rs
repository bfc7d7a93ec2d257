//! `zerobuffer-bridge send`: publishes rings.
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use zenoh::bytes::ZBytes;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample, SampleKind};
use zenoh::{Session, Wait as _};
use zerobuffer::BufferConfig;

use crate::clock;
use crate::engine::{self, Side};
use crate::fail::Fail;
use crate::hub::{Hub, Item, Next, Policy, What};
use crate::keys::{self, Stream};
use crate::ls::Info;
use crate::source::{Event, Source};
use crate::stop::{LOOK, Stop};
use crate::wire::{HEADER, Header, Kind, MAX_HOPS, MAX_METADATA, Opening, Status};
use crate::{path, say, size, threads};

/// How long a run that ends waits for frames that are under way.
const LINGER: Duration = Duration::from_secs(2);
/// How often it is looked whether a bridge fills the ring.
const PATH_EVERY: Duration = Duration::from_millis(500);

/// Publish buffers of this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The buffers, which are created here: NAME, or NAME=STREAM to publish one under another name.
    #[arg(required = true, value_name = "NAME[=STREAM]")]
    streams: Vec<String>,
    #[command(flatten)]
    engine: engine::Options,
    /// What happens to frames that come faster than a receiver takes them: block, or latest with
    /// --tap, by default.
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// Mirror the buffers without being their reader. A tap copies each frame once, and never holds
    /// a stream up.
    #[arg(long)]
    tap: bool,
    /// Frames that may be under way to a receiver: 4, or 1 unless the policy is block, by default.
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..=16))]
    window: Option<u64>,
    /// Bytes of each ring that is created. It has to hold the frames under way, and one more.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Bytes for the metadata of each buffer that is created.
    #[arg(long, value_name = "BYTES", default_value = "64KiB", value_parser = size::parse)]
    metadata: u64,
    /// Permission bits of the buffers that are created, in octal digits: 660 for a group.
    #[arg(long, value_name = "BITS", value_parser = mode)]
    mode: Option<u32>,
}

/// Permission bits in octal digits.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8).map_err(|_| format!("'{text}' is no octal number"))
}

pub(crate) fn run(args: &Args, stop: &Stop) -> Result<(), Fail> {
    let policy = match (args.policy, args.tap) {
        (Some(Policy::Block), true) => {
            return Err(Fail::usage(
                "--policy block needs the reader's place, since a tap cannot hold a stream up: leave out --tap, or take latest or drop",
            ));
        }
        (Some(policy), _) => policy,
        (None, tap) => {
            if tap {
                Policy::Latest
            } else {
                Policy::Block
            }
        }
    };
    let window = args.window.unwrap_or(if policy == Policy::Block { 4 } else { 1 });
    let mut sources: Vec<(String, Stream, Source)> = Vec::new();
    for text in &args.streams {
        let (ring, stream) = match text.split_once('=') {
            Some((ring, stream)) => (ring, keys::stream(stream)?),
            None => (text.as_str(), keys::of_ring(text)),
        };
        if sources.iter().any(|(other, key, _)| other == ring || *key == stream) {
            return Err(Fail::usage(format!("'{text}': the buffer or the stream is named twice")));
        }
        sources.push((ring.to_owned(), stream, source(args, ring)?));
    }
    // Only statuses come in, and what others send.
    let session = engine::open(&args.engine, Side::Connects, 1 << 20)?;
    let sending = |(index, (ring, stream, source)): (usize, (String, Stream, Source))| {
        let sender = format!("{}-{index}", session.zid());
        let hub = Arc::new(Hub::new(&stream, policy, window));
        Sending { session: session.clone(), hub, sender, ring, stream, source: Some(source) }
    };
    let mut streams: Vec<_> = sources.into_iter().enumerate().map(sending).collect();
    let works = streams.iter_mut().map(|sending| move || sending.run(stop));
    let result = threads::run_all(stop, "a stream", works);
    for sending in &streams {
        let counts = sending.hub.counts();
        say::note(&format!(
            "{}: {} frames sent and taken, {} left out, {} came without a receiver",
            sending.stream, counts.frames, counts.lost, counts.unsent
        ));
    }
    drop(streams);
    let _ = session.close().wait();
    result
}

fn source(args: &Args, ring: &str) -> Result<Source, Fail> {
    if args.tap {
        return Ok(Source::tap(ring)?);
    }
    let mut config = BufferConfig::ring(args.ring).metadata(args.metadata);
    if let Some(mode) = args.mode {
        config = config.mode(mode);
    }
    Source::ring(ring, config).map_err(|error| {
        let taken = matches!(error, zerobuffer::Error::ReaderAlreadyConnected { .. });
        let fail = Fail::from(error);
        if taken {
            Fail::taken(format!("{fail}; --tap mirrors a stream without being its reader"))
        } else {
            fail
        }
    })
}

struct Sending {
    session: Session,
    hub: Arc<Hub>,
    sender: String,
    ring: String,
    stream: Stream,
    source: Option<Source>,
}

impl Sending {
    fn run(&mut self, stop: &Stop) -> Result<(), Fail> {
        let declared = |error: zenoh::Error| Fail::other(format!("{}: {error}", self.stream));
        let session = &self.session;
        let hub = Arc::clone(&self.hub);
        let listen = move |sample: Sample| hear(&hub, &sample);
        let _back = session
            .declare_subscriber(keys::back(&self.sender, "*", &self.stream))
            .allowed_origin(Locality::Remote)
            .callback(listen)
            .wait()
            .map_err(declared)?;
        let info = self.info();
        let _info = info.declare(session, &self.sender, &self.stream).map_err(declared)?;
        // The lanes come and go with the receivers.
        let lanes = Lanes {
            session: session.clone(),
            hub: Arc::clone(&self.hub),
            sender: self.sender.clone(),
            stream: self.stream.clone(),
            threads: Arc::default(),
        };
        let _receivers = session
            .liveliness()
            .declare_subscriber(keys::receivers(&self.sender, &self.stream))
            .history(true)
            .callback(move |sample| lanes.notice(&sample))
            .wait()
            .map_err(declared)?;
        let _token = session
            .liveliness()
            .declare_token(keys::send_token(&self.sender, &self.stream))
            .wait()
            .map_err(declared)?;
        say::note(&format!(
            "{}: buffer '{}' is published, policy {}",
            self.stream,
            self.ring,
            self.hub.policy().name()
        ));
        if let Some(source) = self.source.take() {
            Feed::new(&self.hub, &self.ring, source).run(stop);
        }
        self.hub.end(LINGER);
        Ok(())
    }

    fn info(&self) -> Info {
        let (hub, ring) = (Arc::clone(&self.hub), self.ring.clone());
        Info::new(move |line| {
            let counts = hub.counts();
            "send".clone_into(&mut line.role);
            line.ring.clone_from(&ring);
            hub.policy().name().clone_into(&mut line.policy);
            (line.frames, line.bytes) = (counts.frames, counts.bytes);
            (line.lost, line.peers) = (counts.lost + counts.unsent, counts.receivers);
            line.live = hub.chapter().opening.live;
        })
    }
}

/// A status came.
fn hear(hub: &Hub, sample: &Sample) {
    let Some(receiver) = keys::receiver(sample.key_expr()) else { return };
    let payload = sample.payload();
    if payload.len() > Status::MOST {
        return say::warn(&format!("a receiver sends a status of {} bytes", payload.len()));
    }
    match Status::decode(&payload.to_bytes()) {
        Ok(status) => hub.status(receiver, &status),
        Err(refused) => say::warn(&format!("a receiver sends {refused}")),
    }
}

struct Lanes {
    session: Session,
    hub: Arc<Hub>,
    sender: String,
    stream: Stream,
    /// Each thread that serves a lane has one.
    threads: Arc<()>,
}

/// Threads of lanes. One that the engine makes wait stays for a while after its receiver has left.
const MOST_THREADS: usize = 128;
/// Letters of a receiver's name.
const MOST_NAME: usize = 64;

impl Lanes {
    /// A receiver came or went.
    fn notice(&self, sample: &Sample) {
        let Some(receiver) = keys::receiver(sample.key_expr()) else { return };
        if receiver.len() > MOST_NAME {
            return;
        }
        if sample.kind() == SampleKind::Delete {
            if self.hub.leave(receiver) {
                say::note(&format!("{}: receiver {receiver} is gone", self.stream));
            }
            return;
        }
        if Arc::strong_count(&self.threads) > MOST_THREADS {
            return say::warn(&format!(
                "{}: a receiver is refused, {MOST_THREADS} threads serve others, or wait for those that left",
                self.stream
            ));
        }
        let Some(serial) = self.hub.join(receiver) else { return };
        say::note(&format!("{}: receiver {receiver} is there", self.stream));
        let (session, hub) = (self.session.clone(), Arc::clone(&self.hub));
        let (key, receiver) = (keys::data(&self.sender, receiver, &self.stream), receiver.to_owned());
        // Not here: the engine waits for what this thread of it does.
        let thread = Arc::clone(&self.threads);
        std::thread::spawn(move || {
            serve(&session, &hub, &key, &receiver, serial);
            drop(thread);
        });
    }
}

/// Sends what there is for one receiver until it is gone.
fn serve(session: &Session, hub: &Hub, key: &str, receiver: &str, serial: u64) {
    // Never the engine's default, which drops: the hub has made room for each message.
    let publisher = session
        .declare_publisher(key.to_owned())
        .congestion_control(CongestionControl::Block)
        .priority(Priority::Data)
        .allowed_destination(Locality::Remote)
        .wait();
    let publisher = match publisher {
        Ok(publisher) => publisher,
        Err(error) => {
            say::warn(&format!("a receiver cannot be served: {error}"));
            hub.leave(receiver);
            return;
        }
    };
    while let Some(next) = hub.next(receiver, serial) {
        let (header, payload) = message(next);
        let attachment: [u8; HEADER] = header.encode();
        match publisher.put(payload).attachment(&attachment[..]).wait() {
            Ok(()) => hub.handed(receiver, serial),
            Err(error) => {
                say::warn(&format!("the engine does not send: {error}"));
                hub.failed(receiver, serial);
                std::thread::sleep(LOOK);
            }
        }
    }
}

fn message(next: Next) -> (Header, ZBytes) {
    let Next { epoch, number, lost, what } = next;
    let (kind, run, sequence, stamp, payload) = match what {
        What::Open(chapter) => {
            (Kind::Open, chapter.run, 0, clock::stamp(), ZBytes::from(chapter.opening.encode()))
        }
        What::Frame(item) => {
            let (run, sequence, stamp) = (item.chapter.run, item.sequence, item.stamp);
            // Lent, not copied: the ring gets its space back when the engine has sent it.
            (Kind::Frame, run, sequence, stamp, ZBytes::from(Bytes::from_owner(Lent(item))))
        }
    };
    let length = payload.len() as u64;
    (Header { kind, epoch, number, run, sequence, stamp, lost, length }, payload)
}

struct Lent(Arc<Item>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.payload.as_ref()
    }
}

/// The thread that takes frames out of the ring.
struct Feed<'a> {
    hub: &'a Hub,
    ring: &'a str,
    source: Source,
    run: u64,
    path: Vec<u128>,
    /// When the path was looked at.
    looked: Option<Instant>,
    told: say::Once,
}

impl<'a> Feed<'a> {
    fn new(hub: &'a Hub, ring: &'a str, source: Source) -> Feed<'a> {
        Feed {
            hub,
            ring,
            source,
            run: clock::unlike(),
            path: Vec::new(),
            looked: None,
            told: say::Once::default(),
        }
    }

    fn run(mut self, stop: &Stop) {
        while !stop.is_set() {
            self.turn();
            if !self.hub.wants_frame(LOOK) {
                continue;
            }
            let newest = self.hub.policy() == Policy::Latest;
            match self.source.next(newest, LOOK, stop) {
                Event::Frame { payload, sequence, skipped } => {
                    // It may be the first of another writer.
                    self.turn();
                    let stamp = clock::stamp();
                    self.hub.give(Item { payload, sequence, stamp, chapter: self.hub.chapter() }, skipped);
                }
                Event::Nothing => {}
                Event::WriterGone | Event::Renewed => {
                    self.turn();
                    // Another writer may count from 1 again.
                    self.run = clock::unlike();
                    self.looked = None;
                }
            }
        }
    }

    /// Tells the receivers if the stream has changed.
    fn turn(&mut self) {
        let metadata = match self.source.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return self.told.warn(error.to_string()),
        };
        let live = self.source.is_live(metadata.as_ref());
        if live && self.looked.is_none_or(|looked| looked.elapsed() >= PATH_EVERY) {
            self.path = path::of(self.ring);
            self.looked = Some(Instant::now());
        }
        if metadata.as_ref().is_some_and(|metadata| metadata.len() > MAX_METADATA)
            || self.path.len() > MAX_HOPS
        {
            self.told.warn(format!(
                "{}: metadata of more than {MAX_METADATA} bytes, or a way of more than {MAX_HOPS} rings, are not sent",
                self.ring
            ));
            return;
        }
        self.hub.turn(self.run, Opening { live, metadata, path: self.path.clone() });
    }
}
