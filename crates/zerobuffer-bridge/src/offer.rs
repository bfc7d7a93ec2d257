//! `zerobuffer-bridge offer`: lets other machines call services of this one.
mod desk;
mod line;
mod visitor;

use std::sync::Arc;
use std::thread::JoinHandle;

use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::Subscriber;
use zenoh::query::{Query, Queryable};
use zenoh::sample::{Locality, SampleKind};
use zenoh::{Session, Wait as _};
use zerobuffer::observe::{self, BufferInfo};
use zerobuffer::{Error, Owner};

use self::desk::Desk;
use crate::engine::{self, Side};
use crate::fail::Fail;
use crate::keys::{self, Stream};
use crate::ls::Info;
use crate::stop::{LOOK, Stop};
use crate::wire::Terms;
use crate::{path, say, size, threads};

/// The buffer that carries a channel's requests.
pub(crate) fn requests_of(channel: &str) -> String {
    format!("{channel}_request")
}

/// The buffer that carries what clients ask a server that takes several of them.
fn entrance_of(channel: &str) -> String {
    requests_of(&format!("{channel}+"))
}

/// Let other machines call services of this one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The channels, whose servers run on this machine: NAME, or NAME=STREAM to offer one under
    /// another name. A server may come later, and again.
    #[arg(required = true, value_name = "NAME[=STREAM]")]
    channels: Vec<String>,
    #[command(flatten)]
    engine: engine::Options,
    /// Bytes of the largest request that is taken from the network. The engine drops larger ones.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size::parse_positive)]
    max_frame: u64,
    /// Whose servers are called: trusted (one's own and root's), any, or the number of a user.
    #[arg(long, value_name = "USER", default_value = "trusted")]
    owner: Owner,
}

pub(crate) fn run(args: &Args, stop: &Stop) -> Result<(), Fail> {
    let mut names: Vec<(String, Stream)> = Vec::new();
    for text in &args.channels {
        let (channel, stream) = match text.split_once('=') {
            Some((channel, stream)) => (channel.to_owned(), keys::stream(stream)?),
            None => (text.clone(), keys::of_ring(text)),
        };
        if names.iter().any(|(other, key)| *other == channel || *key == stream) {
            return Err(Fail::usage(format!("'{text}': the channel or the stream is named twice")));
        }
        // A name that no server can have is refused at once.
        match observe::inspect(&requests_of(&channel)) {
            Err(error @ Error::InvalidName { .. }) => return Err(error.into()),
            _ => names.push((channel, stream)),
        }
    }
    let session = engine::open(&args.engine, Side::Listens, args.max_frame)?;
    let offerings = names.into_iter().enumerate().map(|(index, (channel, stream))| Offering {
        session: session.clone(),
        index,
        channel,
        stream,
        largest: args.max_frame,
        owner: args.owner,
        told: say::Once::default(),
    });
    let works = offerings.map(|mut offering| move || offering.run(stop));
    let result = threads::run_all(stop, "a channel", works);
    let _ = session.close().wait();
    result
}

/// One channel, whose server comes and goes.
struct Offering {
    session: Session,
    index: usize,
    channel: String,
    stream: Stream,
    largest: u64,
    owner: Owner,
    told: say::Once,
}

/// A server, as others see its channel.
struct Server {
    pid: u64,
    terms: Terms,
}

/// The server that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offered {
    pid: u64,
    /// It has a channel for each client.
    several: bool,
}

/// The process of the reader of a buffer, if that lives.
fn reader_of(info: BufferInfo) -> Option<u64> {
    info.reader.filter(|reader| reader.alive).map(|reader| reader.pid)
}

/// The process that serves a channel.
fn server_of(channel: &str) -> Option<u64> {
    observe::inspect(&requests_of(channel)).ok().and_then(reader_of)
}

impl Offering {
    fn run(&mut self, stop: &Stop) -> Result<(), Fail> {
        let mut open: Option<Open> = None;
        let mut lives = 0;
        let (mut answered, mut failed) = (0, 0);
        while !stop.is_set() {
            let server = self.server();
            let is_same = |open: &Open| server.as_ref().is_some_and(|server| server.pid == open.pid);
            // A server that has gone and come again inside a look is noticed by the desk.
            if open.as_ref().is_some_and(|open| !is_same(open) || open.desk.is_over()) {
                let desk = open.take().map(Open::close);
                let counts = desk.map(|desk| desk.counts()).unwrap_or_default();
                (answered, failed) = (answered + counts.answered, failed + counts.failed);
                say::note(&format!("{}: the server of channel '{}' is gone", self.stream, self.channel));
            }
            if open.is_none()
                && let Some(server) = server
            {
                lives += 1;
                open = Some(self.open(server, lives)?);
                say::note(&format!("{}: the channel '{}' is offered", self.stream, self.channel));
            }
            stop.sleep(LOOK);
        }
        let counts = open.map(|open| open.close().counts()).unwrap_or_default();
        say::note(&format!(
            "{}: {} requests answered, {} not",
            self.stream,
            answered + counts.answered,
            failed + counts.failed
        ));
        Ok(())
    }

    fn server(&mut self) -> Option<Server> {
        let requests = requests_of(&self.channel);
        let info = match observe::inspect(&requests) {
            Ok(info) => info,
            Err(Error::NotFound { .. }) => return None,
            Err(error) => {
                self.told.warn(format!("{}: {error}", self.stream));
                return None;
            }
        };
        let (ring, metadata) = (info.payload_size, info.metadata_size);
        let pid = reader_of(info)?;
        // It is made before the channel.
        let entrance = observe::inspect(&entrance_of(&self.channel)).ok().and_then(reader_of);
        let terms =
            Terms { ring, metadata, several: entrance == Some(pid), largest: self.largest, path: Vec::new() };
        Some(Server { pid, terms })
    }

    /// Others see the channel from now on.
    fn open(&self, server: Server, life: u64) -> Result<Open, Fail> {
        let failed = |error: zenoh::Error| Fail::other(format!("{}: {error}", self.stream));
        let session = &self.session;
        // Another life of the server is another offer.
        let offerer = format!("{}-{}-{life}", session.zid(), self.index);
        let offered = Offered { pid: server.pid, several: server.terms.several };
        let desk = Arc::new(Desk::new(&self.channel, &self.stream, self.owner, self.largest, offered));
        let worker = Arc::clone(&desk);
        let thread = std::thread::spawn(move || worker.run());
        let requests = requests_of(&self.channel);
        let path = path::of_requests(&requests);
        let terms = Terms { path, ..server.terms }.encode();
        let (about, key) = (keys::terms(&offerer, &self.stream), keys::terms(&offerer, &self.stream));
        let terms = session
            .declare_queryable(about)
            .allowed_origin(Locality::Remote)
            .callback(move |query: Query| {
                let _ = query.reply(key.clone(), terms.clone()).wait();
            })
            .wait()
            .map_err(failed)?;
        let calls = Arc::clone(&desk);
        let calls = session
            .declare_queryable(keys::call(&offerer, &self.stream))
            .allowed_origin(Locality::Remote)
            .callback(move |query: Query| calls.take(query))
            .wait()
            .map_err(failed)?;
        let visitors = Arc::clone(&desk);
        let clients = session
            .liveliness()
            .declare_subscriber(keys::clients(&offerer, &self.stream))
            .history(true)
            .callback(move |sample| {
                let Some(visitor) = keys::session(sample.key_expr()) else { return };
                match sample.kind() {
                    SampleKind::Put => visitors.join(visitor),
                    SampleKind::Delete => visitors.leave(visitor),
                }
            })
            .wait()
            .map_err(failed)?;
        let (told, channel) = (Arc::clone(&desk), self.channel.clone());
        let info = Info::new(move |line| {
            let counts = told.counts();
            "offer".clone_into(&mut line.role);
            line.ring.clone_from(&channel);
            (line.frames, line.bytes, line.lost) = (counts.answered, counts.bytes, counts.failed);
            (line.live, line.peers) = (true, counts.clients);
        });
        let info = info.declare(session, &offerer, &self.stream).map_err(failed)?;
        // Last: a bridge that sees the token finds all else.
        let token = session
            .liveliness()
            .declare_token(keys::offer_token(&offerer, &self.stream))
            .wait()
            .map_err(failed)?;
        Ok(Open { pid: server.pid, desk, thread, token, clients, queryables: [terms, calls, info] })
    }
}

/// What others see of a server while it is there.
struct Open {
    pid: u64,
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
    token: LivelinessToken,
    clients: Subscriber<()>,
    queryables: [Queryable<()>; 3],
}

impl Open {
    fn close(self) -> Arc<Desk> {
        let _ = self.token.undeclare().wait();
        let _ = self.clients.undeclare().wait();
        for queryable in self.queryables {
            let _ = queryable.undeclare().wait();
        }
        self.desk.end();
        let _ = self.thread.join();
        self.desk.wait_for_lines();
        self.desk
    }
}
