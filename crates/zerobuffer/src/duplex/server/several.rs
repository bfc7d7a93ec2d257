//! Clients that are served at the same time (D10): each asks at the entrance, and gets a channel of
//! its own.
//!
//! Each channel has a run of its own, which ends with its client. All runs have their handlers
//! called by the one pool of the server.

use super::{
    super::{BoxError, Failure, ServerConfig, entrance, response_name},
    handler::Handler,
    pool::Share,
    run::{Guests, Run, report},
    service::Service,
    stop::Stop,
};
use crate::{
    config::BufferConfig,
    error::{Error, Result},
    link::Patience,
    observe,
    reader::{Frame, ReaderHandle},
    sync::{Arc, AtomicBool, Mutex, Ordering, lock},
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Condvar, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a client may take to come to the channel that was made for it.
const TO_COME: Duration = Duration::from_secs(5);
/// The same while another one needs the place. It is less than the time that one waits for it.
const TO_COME_TO_THE_LAST: Duration = Duration::from_millis(250);
/// How long a process that is killed may take to let go of its buffers.
const TO_DIE: Duration = Duration::from_secs(2);

/// The entrance, and the clients that have come by it.
pub(super) struct Several {
    entrance: Arc<Run>,
    /// The entrance is served.
    is_open: AtomicBool,
    clients: Arc<Clients>,
}

/// The channels of a server's clients.
struct Clients {
    channel: String,
    most: usize,
    /// Of each client's run.
    config: ServerConfig,
    handler: Arc<Handler>,
    places: Mutex<Places>,
    /// A client's run has ended.
    left: Condvar,
}

#[derive(Default)]
struct Places {
    /// Those that are taken; a channel that is being made has one, too.
    taken: usize,
    runs: BTreeMap<String, Arc<Run>>,
    /// The pool of the server, once that runs.
    pool: Option<Share>,
    /// The server stops: nobody is let in.
    stop: Option<Stop>,
    /// Frames and bytes of the requests of clients that have gone.
    past: (u64, u64),
}

impl Several {
    /// The entrance to `channel`, before anything serves.
    pub(super) fn create(channel: &str, config: &ServerConfig, handler: &Arc<Handler>) -> Result<Self> {
        entrance::check(channel)?;
        let clients = Arc::new(Clients {
            channel: channel.to_owned(),
            most: config.clients,
            config: of_clients(config),
            handler: Arc::clone(handler),
            places: Mutex::default(),
            left: Condvar::new(),
        });
        let door = Arc::clone(&clients);
        let answer = move |request: Frame, mut responder: super::Responder| -> Result<(), BoxError> {
            responder.write(door.answer(request.data())?.as_bytes())?;
            Ok(())
        };
        let handler = Handler::Answer(Box::new(answer));
        let entrance = Run::create(&entrance::of(channel), of_entrance(config), Arc::new(handler), None)?;
        clients.remove_left();
        Ok(Self { entrance, is_open: AtomicBool::new(false), clients })
    }
}

impl Guests for Several {
    fn open(&self, pool: Share) -> Result<()> {
        lock(&self.clients.places).pool = Some(pool);
        let entrance = Arc::clone(&self.entrance);
        spawn(move || {
            Service::new(entrance).serve();
        })?;
        self.is_open.store(true, Ordering::Release);
        Ok(())
    }

    fn ask_to_stop(&self, how: Stop) {
        let mut places = lock(&self.clients.places);
        places.stop = places.stop.max(Some(how));
        let runs: Vec<_> = places.runs.values().cloned().collect();
        drop(places);
        for run in runs {
            run.ask_to_stop(how);
        }
    }

    fn wait(&self) {
        // The plain channel is closed by now. A client that found no entrance beside it would take
        // it for one of a server without.
        let is_asked = lock(&self.entrance.handle).is_writer_connected();
        self.entrance.ask_to_stop(Stop::Now);
        if self.is_open.load(Ordering::Acquire) {
            self.entrance.wait(&mut Patience::forever());
            if !is_asked {
                self.clients.remove_soon(&response_name(&self.entrance.channel));
            }
        }
        let mut places = lock(&self.clients.places);
        while places.taken > 0 {
            places = self.clients.left.wait(places).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close_readers(&self) {
        self.entrance.close_reader();
        let runs: Vec<_> = lock(&self.clients.places).runs.values().cloned().collect();
        for run in runs {
            run.close_reader();
        }
    }

    fn is_in_use(&self) -> bool {
        lock(&self.clients.places).taken > 0
    }

    fn is_own_thread(&self) -> bool {
        let runs: Vec<_> = lock(&self.clients.places).runs.values().cloned().collect();
        self.entrance.is_own_thread() || runs.iter().any(|run| run.is_own_thread())
    }

    fn request_buffers(&self) -> Vec<ReaderHandle> {
        let runs: Vec<_> = lock(&self.clients.places).runs.values().cloned().collect();
        runs.iter().map(|run| lock(&run.handle).clone()).collect()
    }

    fn past(&self) -> (u64, u64) {
        lock(&self.clients.places).past
    }
}

impl Clients {
    /// What the entrance says to one that asks.
    fn answer(self: &Arc<Self>, ask: &[u8]) -> Result<String, BoxError> {
        if ask != entrance::ASK {
            return Err("this is the entrance for clients: requests are not answered here".into());
        }
        let mut places = lock(&self.places);
        if places.stop.is_some() {
            return Ok(entrance::CLOSING.to_owned());
        }
        if places.taken >= self.most {
            let (taken, runs) = (places.taken, places.runs.values().cloned().collect::<Vec<_>>());
            drop(places);
            runs.iter().filter(|run| self.has_missed(run)).for_each(|run| run.ask_to_stop(Stop::Drain));
            return Ok(entrance::full(taken, self.most));
        }
        places.taken += 1;
        drop(places);
        match self.admit() {
            Ok(channel) => Ok(entrance::admitted(&channel)),
            Err(error) => {
                self.leave(|_| {});
                Err(error.into())
            }
        }
    }

    /// Makes a channel, and serves it.
    fn admit(self: &Arc<Self>) -> Result<String> {
        // By chance: nobody else knows where a client is about to come.
        let channel = entrance::own(&self.channel, RandomState::new().hash_one(&self.channel));
        let run = Run::create(&channel, self.config.clone(), Arc::clone(&self.handler), None)?;
        let mut places = lock(&self.places);
        let Some(pool) = places.pool.as_ref().filter(|_| places.stop.is_none()) else {
            return Err(Error::closed(&self.channel));
        };
        run.lend(pool.another());
        places.runs.insert(channel.clone(), Arc::clone(&run));
        drop(places);
        let (clients, serving) = (Arc::clone(self), Arc::clone(&run));
        let spawned = spawn(move || {
            // In its thread there is nothing of a binding's: the pool calls handlers.
            let is_client_there = Service::new(Arc::clone(&serving)).serve();
            if !is_client_there {
                clients.remove_soon(&response_name(&serving.channel));
            }
            let stats = lock(&serving.handle).stats();
            clients.leave(|places| {
                places.runs.remove(&serving.channel);
                places.past.0 += stats.frames;
                places.past.1 += stats.bytes;
            });
        });
        if let Err(error) = spawned {
            run.close_reader();
            lock(&self.places).runs.remove(&channel);
            return Err(error);
        }
        Ok(channel)
    }

    /// Whether nobody has come to a channel in time, while others need the place.
    fn has_missed(&self, run: &Run) -> bool {
        if run.made.elapsed() < TO_COME_TO_THE_LAST || run.is_asked(Stop::Drain) {
            return false;
        }
        let handle = lock(&run.handle).clone();
        let has_missed = !handle.is_writer_connected()
            && handle.stats().frames == 0
            && matches!(observe::inspect(&response_name(&run.channel)), Err(Error::NotFound { .. }));
        if has_missed {
            log::info!(target: "zerobuffer::duplex::server", "channel '{}': '{}' is given up, its client has not come and another one needs the place", self.channel, run.channel);
        }
        has_missed
    }

    fn leave(&self, change: impl FnOnce(&mut Places)) {
        let mut places = lock(&self.places);
        places.taken -= 1;
        change(&mut places);
        drop(places);
        self.left.notify_all();
    }

    /// Removes what a server and its clients have left behind that were killed.
    fn remove_left(&self) {
        let Ok(names) = observe::names() else { return };
        for name in names {
            let channel = name.strip_suffix("_request").or_else(|| name.strip_suffix("_response"));
            if channel.is_some_and(|channel| entrance::is_own(&self.channel, channel)) {
                self.remove(&name);
            }
        }
        self.remove(&response_name(&entrance::of(&self.channel)));
    }

    /// As [`Self::remove`], for the buffer of a client that has just gone. A process that is killed
    /// lets go of one buffer after the other.
    fn remove_soon(&self, name: &str) {
        let until = Instant::now() + TO_DIE;
        loop {
            self.remove(name);
            if observe::inspect(name).is_err() || Instant::now() >= until {
                return;
            }
            thread::sleep(TO_DIE / 100);
        }
    }

    /// Removes a buffer whose reader, a process of the same user, is proven dead.
    fn remove(&self, name: &str) {
        match observe::remove_dead(name) {
            Ok(removed) if removed.is_empty() => {}
            Ok(_) => {
                log::info!(target: "zerobuffer::duplex::server", "channel '{}': '{name}', which was left behind, is removed", self.channel);
            }
            Err(error) => {
                log::debug!(target: "zerobuffer::duplex::server", "channel '{}': '{name}' stays: {error}", self.channel);
            }
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name("zerobuffer-duplex".to_owned()).spawn(work);
    thread.map(drop).map_err(|source| Error::Os { operation: "start", object: "a thread".to_owned(), source })
}

/// One client, and no other after it.
fn of_clients(config: &ServerConfig) -> ServerConfig {
    let on_error = config.on_error.clone();
    let mut own = config.clone().clients(0).persistent(false).client_timeout(Some(TO_COME));
    own.on_error.clear();
    own.on_error(move |failure| match failure {
        Failure::NoClient { channel, .. } => {
            log::info!(target: "zerobuffer::duplex::server", "channel '{channel}': its client has not come");
        }
        failure => report(&on_error, failure),
    })
}

/// All that comes is an ask.
fn of_entrance(config: &ServerConfig) -> ServerConfig {
    let mut own = ServerConfig::default().owner(config.owner).wait(config.wait);
    own.buffer = BufferConfig::ring(entrance::RING).metadata(0).global(config.buffer.global);
    own.buffer.mode = config.buffer.mode;
    own.on_error(|failure| log::debug!(target: "zerobuffer::duplex::server", "{failure}"))
}
