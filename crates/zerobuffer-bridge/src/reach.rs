//! `zerobuffer-bridge reach`: programs of this machine call services of others.
mod desk;
mod visit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use zenoh::query::{ConsolidationMode, QueryTarget};
use zenoh::sample::{Locality, Sample, SampleKind};
use zenoh::{Session, Wait as _};
use zerobuffer::duplex::{Failure, Server, ServerConfig};
use zerobuffer::{BufferConfig, Error, Owner};

use self::desk::Desk;
use crate::engine::{self, Side};
use crate::fail::Fail;
use crate::fill::Offers;
use crate::keys::{self, Stream};
use crate::ls::Info;
use crate::offer::requests_of;
use crate::path::{self, Mark};
use crate::stop::{LOOK, Stop};
use crate::wire::{MAX_HOPS, MAX_METADATA, Terms, VERSION};
use crate::{say, send, size, threads};

/// Bridges that are known to offer one channel.
const MOST_OFFERERS: usize = 16;
/// Between two attempts after a refusal.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an offer is asked about itself.
const ASKS: Duration = Duration::from_secs(5);

/// Have programs of this machine call services of others.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The channels, as they are offered: STREAM=NAME is the channel NAME here. A channel is there
    /// as long as the server is, on the other machine.
    #[arg(required = true, value_name = "STREAM[=NAME]")]
    streams: Vec<String>,
    #[command(flatten)]
    engine: engine::Options,
    /// Bytes of the largest response that is taken from the network. The engine drops larger ones.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size::parse_positive)]
    max_frame: u64,
    /// Bytes of the request buffer at most. It is as large as the server's own, if that is smaller.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Permission bits of the request buffer, in octal digits: 660 for a group.
    #[arg(long, value_name = "BITS", value_parser = send::mode)]
    mode: Option<u32>,
    /// Whose clients are answered: trusted (one's own and root's), any, or the number of a user.
    #[arg(long, value_name = "USER", default_value = "trusted")]
    owner: Owner,
}

pub(crate) fn run(args: &Args, stop: &Stop) -> Result<(), Fail> {
    let mut wanted: BTreeMap<Stream, (String, Offers)> = BTreeMap::new();
    for text in &args.streams {
        let (stream, channel) = match text.split_once('=') {
            Some((stream, channel)) => (keys::stream(stream)?, channel.to_owned()),
            None => {
                let stream = keys::stream(text)?;
                let channel = keys::ring_of(&stream).ok_or_else(|| {
                    Fail::usage(format!("'{text}' has no letters after a %: give the channel as {text}=NAME"))
                })?;
                (stream, channel)
            }
        };
        match zerobuffer::observe::inspect(&requests_of(&channel)) {
            Err(error @ Error::InvalidName { .. }) => return Err(error.into()),
            _ if wanted.values().any(|(other, _)| *other == channel) || wanted.contains_key(&stream) => {
                return Err(Fail::usage(format!("'{text}': the channel or the stream is named twice")));
            }
            _ => wanted.insert(stream, (channel, Offers::default())),
        };
    }
    let session = engine::open(&args.engine, Side::Connects, args.max_frame)?;
    let own = session.zid().to_string();
    let known: BTreeMap<_, _> =
        wanted.iter().map(|(stream, (_, offers))| (stream.clone(), offers.clone())).collect();
    let told = std::sync::Mutex::new(say::Once::default());
    let _offerers = session
        .liveliness()
        .declare_subscriber(keys::OFFERERS)
        .history(true)
        .callback(move |sample| notice(&known, &told, &sample, &own))
        .wait()
        .map_err(|error| Fail::other(format!("cannot look for offers: {error}")))?;
    let alone = wanted.len() == 1;
    let reaching = wanted.into_iter().enumerate().map(|(index, (stream, (channel, offers)))| {
        let bridge = format!("{}-{index}", session.zid());
        Reaching { session: session.clone(), bridge, stream, channel, offers, args, alone }
    });
    let works = reaching.map(|reaching| move || reaching.run(stop));
    let result = threads::run_all(stop, "a channel", works);
    let _ = session.close().wait();
    result
}

/// An offer came or went.
fn notice(known: &BTreeMap<Stream, Offers>, told: &std::sync::Mutex<say::Once>, sample: &Sample, own: &str) {
    let Some((version, offerer, stream)) = keys::parse_offer(sample.key_expr()) else { return };
    let Some(offers) = known.get(stream) else { return };
    let own = offerer.strip_prefix(own).is_some_and(|rest| rest.starts_with('-'));
    if own || offerer.len() > 128 {
        return;
    }
    let warn = |message: String| told.lock().unwrap_or_else(std::sync::PoisonError::into_inner).warn(message);
    if sample.kind() == SampleKind::Delete {
        offers.remove(offerer);
    } else if version.parse::<u8>() != Ok(VERSION) {
        warn(format!(
            "the channel '{stream}' is offered by a bridge of version {version}; this one speaks version {VERSION}: use the same release at both ends"
        ));
    } else if !offers.add(offerer, MOST_OFFERERS) {
        warn(format!("the channel '{stream}' is offered by more than {MOST_OFFERERS} bridges"));
    }
}

/// A channel of this machine, whose server is on another one.
struct Reaching<'a> {
    session: Session,
    bridge: String,
    stream: Stream,
    channel: String,
    offers: Offers,
    args: &'a Args,
    alone: bool,
}

/// Why a channel is not served.
enum End {
    Refused(String),
    /// Something else serves it.
    Taken(String),
}

impl Reaching<'_> {
    fn run(&self, stop: &Stop) -> Result<(), Fail> {
        let (mut told, mut ever) = (say::Once::default(), false);
        while !stop.is_set() {
            let Some(offerer) = self.offers.first() else {
                stop.sleep(LOOK);
                continue;
            };
            if self.offers.count() > 1 {
                told.warn(format!(
                    "{}: more than one bridge offers this channel; {offerer} is taken",
                    self.stream
                ));
            }
            match self.serve(&offerer, stop) {
                Ok(()) => ever = true,
                Err(End::Taken(reason)) if self.alone && !ever => return Err(Fail::taken(reason)),
                Err(End::Refused(reason) | End::Taken(reason)) => {
                    told.warn(format!("{}: {reason}", self.stream));
                    self.offers.put_last(&offerer);
                    stop.sleep(AGAIN);
                }
            }
        }
        Ok(())
    }

    /// Serves the channel for as long as that offer is there.
    fn serve(&self, offerer: &str, stop: &Stop) -> Result<(), End> {
        let Some(terms) = self.terms(offerer)? else { return Ok(()) };
        let requests = requests_of(&self.channel);
        if terms.path.contains(&path::hop(&requests)) {
            return Err(End::Refused(format!(
                "a loop of bridges: requests would come back to the channel '{}' of this machine",
                self.channel
            )));
        }
        if terms.path.len() >= MAX_HOPS {
            return Err(End::Refused(format!("requests go through {MAX_HOPS} channels already")));
        }
        let desk = Arc::new(Desk::new(
            &self.session,
            &self.channel,
            offerer,
            &self.stream,
            (terms.largest, self.args.max_frame),
            terms.several,
        ));
        // First: a bridge that sees the channel has to find the way of its requests.
        let _mark = Mark::new(&requests, &terms.path).map_err(|error| match error {
            Error::ReaderAlreadyConnected { pid, .. } => End::Taken(format!(
                "another bridge, process {pid}, serves the channel '{}': a channel has one server",
                self.channel
            )),
            error => End::Refused(format!("loops cannot be noticed: {error}")),
        })?;
        let server = self.server(&terms, &desk)?;
        let posts = Arc::clone(&desk);
        let (channel, info) = (self.channel.clone(), Arc::clone(&desk));
        let info = Info::new(move |line| {
            let counts = info.counts();
            "reach".clone_into(&mut line.role);
            line.ring.clone_from(&channel);
            (line.frames, line.bytes, line.lost) = (counts.answered, counts.bytes, counts.failed);
            (line.live, line.peers) = (true, counts.clients);
        });
        let _info = info
            .declare(&self.session, &self.bridge, &self.stream)
            .map_err(|error| End::Refused(format!("the engine refuses: {error}")))?;
        say::note(&format!("{}: the channel '{}' is there", self.stream, self.channel));
        let posting = std::thread::spawn(move || posts.post_all());
        while !stop.is_set() && self.offers.has(offerer) && !desk.is_over() {
            stop.sleep(LOOK);
            desk.sweep();
        }
        // In this order: the client of a request without an answer learns that the server is gone.
        desk.end();
        server.stop();
        let _ = posting.join();
        desk.clear();
        let counts = desk.counts();
        say::note(&format!(
            "{}: the channel '{}' has ended, {} requests answered, {} not",
            self.stream, self.channel, counts.answered, counts.failed
        ));
        Ok(())
    }

    /// What has to be known of the offer; `None`: it is gone.
    fn terms(&self, offerer: &str) -> Result<Option<Terms>, End> {
        let failed = |error: zenoh::Error| End::Refused(format!("cannot ask: {error}"));
        let replies = self
            .session
            .get(keys::terms(offerer, &self.stream))
            .target(QueryTarget::BestMatching)
            .consolidation(ConsolidationMode::None)
            .allowed_destination(Locality::Remote)
            .timeout(ASKS)
            .wait()
            .map_err(failed)?;
        let Some(sample) = replies.into_iter().find_map(|reply| reply.into_result().ok()) else {
            return if self.offers.has(offerer) {
                Err(End::Refused("the offering bridge does not say its terms".to_owned()))
            } else {
                Ok(None)
            };
        };
        let payload = sample.payload();
        if payload.len() > Terms::MOST {
            return Err(End::Refused(format!("terms of {} bytes", payload.len())));
        }
        Terms::decode(&payload.to_bytes()).map(Some).map_err(|refused| End::Refused(refused.0))
    }

    fn server(&self, terms: &Terms, desk: &Arc<Desk>) -> Result<Server, End> {
        // As the server's own: what fits there fits here, and what does not is refused here.
        let ring = terms.ring.clamp(1024, self.args.ring.max(1024));
        let mut buffer = BufferConfig::ring(ring).metadata(terms.metadata.min(MAX_METADATA as u64));
        if let Some(mode) = self.args.mode {
            buffer = buffer.mode(mode);
        }
        let (comes, goes) = (Arc::clone(desk), Arc::clone(desk));
        let (stream, channel) = (self.stream.clone(), self.channel.clone());
        let config = ServerConfig::default().buffer(buffer).owner(self.args.owner).on_error(move |failure| {
            match failure {
                Failure::ClientGone { channel, .. } => goes.client_goes(channel),
                Failure::Handler { .. } | Failure::Answers { .. } => {}
                failure => say::warn(&format!("{stream}: {failure}")),
            }
        });
        let config = if terms.several {
            config.several_clients()
        } else {
            // The next one on that channel, or the first.
            config.on_init(move |_| {
                comes.client_goes(&channel);
                Ok(())
            })
        };
        let server = Server::new(&self.channel, config);
        let asked = Arc::clone(desk);
        server.start(move |request, responder| asked.ask(request, responder).map_err(Into::into)).map_err(
            |error| match error {
                Error::ReaderAlreadyConnected { .. } => {
                    End::Taken(format!("{error}: the channel '{}' has a server here", self.channel))
                }
                error => End::Refused(error.to_string()),
            },
        )?;
        Ok(server)
    }
}
