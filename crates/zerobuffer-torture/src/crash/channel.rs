//! Runs on a duplex channel: a victim that is its client or its server, the other end as survivor,
//! the successor (D5).

use super::{
    channel_victim::{CALLS, answered, connect_client, converse, server_config},
    scene::Scene,
    script::Script,
};
use crate::{leftovers, process::PATIENCE};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    Error,
    duplex::{Client, Failure, Server},
    observe,
};

/// A server of the supervisor's own, and what it has found wrong.
struct Survivor {
    server: Server,
    is_of_several: bool,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Survivor {
    fn start(channel: &str, clients: usize) -> Result<Self> {
        let complaints = Arc::default();
        let reports: Arc<Mutex<Vec<String>>> = Arc::clone(&complaints);
        let config = server_config().clients(clients).on_error(move |failure| {
            if !is_expected(failure) {
                reports.lock().unwrap_or_else(PoisonError::into_inner).push(failure.to_string());
            }
        });
        let server = Server::new(channel, config);
        server.start(answered).context("start")?;
        Ok(Self { server, is_of_several: clients > 0, complaints })
    }

    /// Serves a client of the supervisor's, stops, and nothing is left.
    fn serve_to_the_end(self, channel: &str) -> Result<u64> {
        let client = connect_client(channel, &AtomicBool::new(false))?.context("no server")?;
        let is_right = (client.channel() == channel) != self.is_of_several;
        ensure!(is_right, "the successor has the channel '{}'", client.channel());
        client.set_metadata(b"metadata").context("the successor's metadata")?;
        converse(&client, 0).context("the successor")?;
        client.close().context("the successor's close")?;
        ensure!(self.server.is_running(), "the server has ended");
        // A fifth of a second is the rule; ten times that on a machine that is busy.
        let stopped = self.server.stop() || self.server.wait(Some(Duration::from_secs(2)));
        ensure!(stopped, "the server does not stop");
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(complaints.is_empty(), "the server reports {complaints:?}");
        // What dead clients of several have left is removed within 2 seconds.
        let deadline = Instant::now() + PATIENCE;
        while self.is_of_several && !left_behind(channel).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let left = left_behind(channel);
        ensure!(left.is_empty(), "left behind after both have closed: {left:?}");
        Ok(CALLS)
    }
}

/// What a client's death may make of a request or an answer. All else would be a fault of the
/// server's own.
fn is_expected(failure: &Failure) -> bool {
    match failure {
        Failure::ClientGone { .. } | Failure::NoResponseBuffer { .. } => true,
        // Its handler was answering when the client died.
        Failure::Handler { source, .. } => source.downcast_ref::<Error>().is_some_and(Error::is_peer_gone),
        _ => false,
    }
}

fn buffers(channel: &str) -> [String; 2] {
    [format!("{channel}_request"), format!("{channel}_response")]
}

fn left_behind(channel: &str) -> Vec<PathBuf> {
    let own = leftovers::with(&format!("{channel}+"));
    buffers(channel).iter().flat_map(|name| leftovers::of(name)).chain(own).collect()
}

/// Removes what a failed run has left of the channel's buffers.
pub(super) fn sweep(channel: &str) -> Vec<PathBuf> {
    let left = left_behind(channel);
    leftovers::remove(&left);
    left
}

impl Scene {
    pub(super) fn client_dies(&mut self) -> Result<()> {
        let survivor = Survivor::start(&self.name, if self.script == Script::Entrant { 4 } else { 0 })?;
        if self.script == Script::NextClient {
            self.predecessor()?.wait()?;
        }
        self.victim()?.wait()?;
        if !self.hasty {
            let [request, _] = buffers(&self.name);
            let deadline = Instant::now() + PATIENCE;
            while observe::inspect(&request)?.writer.is_some() {
                ensure!(Instant::now() < deadline, "the dead client is not noticed");
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.frames += survivor.serve_to_the_end(&self.name)?;
        Ok(())
    }

    pub(super) fn server_dies(&mut self) -> Result<()> {
        let over = AtomicBool::new(false);
        let (name, over) = (&self.name.clone(), &over);
        let survivor = thread::scope(|scope| {
            let mut orphan = None;
            if self.script == Script::NextServer {
                let mut first = self.spawn("idle-server", "unused", "", false)?;
                first.hear();
                let client = connect_client(name, over)?.context("no first server")?;
                let waiting = scope.spawn(move || ask_until_finish(&client));
                thread::sleep(Duration::from_millis(2));
                orphan = Some(waiting);
            }
            let mut victim = self.victim()?;
            let asking = scope.spawn(move || ask(name, over));
            let ended = victim.wait();
            over.store(true, Ordering::SeqCst);
            ended?;
            // Before the clients have noticed, or after.
            let early = self.hasty.then(|| Survivor::start(name, 0)).transpose()?;
            for client in orphan.into_iter().chain([asking]) {
                let ended = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
                ended.context("the server's client")?;
            }
            early.map_or_else(|| Survivor::start(name, 0), Ok)
        })?;
        self.frames += survivor.serve_to_the_end(&self.name)?;
        Ok(())
    }
}

/// Connects and asks until there is no server any more.
fn ask(channel: &str, over: &AtomicBool) -> Result<()> {
    while let Some(client) = connect_client(channel, over)? {
        // It may have come to the successor.
        if over.load(Ordering::SeqCst) {
            break;
        }
        ask_until_finish(&client)?;
    }
    Ok(())
}

fn ask_until_finish(client: &Client) -> Result<()> {
    loop {
        let Err(error) = converse(client, 0) else { continue };
        match error.downcast_ref::<Error>() {
            Some(cause) if cause.is_peer_gone() => return Ok(()),
            _ => bail!("the server's end is not noticed: {error:#}"),
        }
    }
}
