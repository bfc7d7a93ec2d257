//! The ends of a channel that are ended at a crash point, and what they say to each other.

use super::victim::{PATTERN, PAYLOAD};
use crate::{
    child::{Orders, say},
    process::PATIENCE,
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig, Error, Frame, WaitStrategy,
    duplex::{BoxError, Client, ClientConfig, Responder, Server, ServerConfig},
};

/// Requests of one conversation.
pub(super) const CALLS: u64 = 6;
const METADATA: &[u8] = b"metadata";

pub(crate) fn server_config() -> ServerConfig {
    let buffer = BufferConfig::ring(PAYLOAD).metadata(64).wait(WaitStrategy::Block);
    let config = ServerConfig::default().buffer(buffer).wait(WaitStrategy::Block);
    config.on_init(|metadata| match metadata {
        None => Ok(()),
        Some(bytes) if bytes == METADATA => Ok(()),
        Some(bytes) => Err(format!("the client's metadata are {bytes:?}").into()),
    })
}

pub(super) fn client_config() -> ClientConfig {
    let config = ClientConfig::default().response_size(PAYLOAD).response_metadata_size(64);
    config.wait(WaitStrategy::Block)
}

/// The answer is the request in reverse, written by each way of the API in turn.
#[allow(clippy::needless_pass_by_value, reason = "a handler owns its request")]
pub(crate) fn answered(request: Frame, mut response: Responder) -> Result<(), BoxError> {
    let answer: Vec<u8> = request.data().iter().rev().copied().collect();
    match answer.len() % 3 {
        0 => drop(response.write(&answer)?),
        1 => {
            let mut loan = response.loan(answer.len())?;
            loan.copy_from_slice(&answer);
            loan.commit()?;
        }
        _ => {
            response.begin(answer.len())?;
            response.pending().unwrap_or_default().copy_from_slice(&answer);
            response.commit(answer.len())?;
        }
    }
    Ok(())
}

/// Asks by each way of the API in turn, with the requests after `last`; every answer must be the
/// request's own. Returns how many it has made.
pub(crate) fn converse(client: &Client, last: u64) -> Result<u64> {
    for key in last + 1..=last + CALLS {
        let request = PATTERN.content(key);
        let response = match key % 4 {
            0 => Some(client.call(&request, PATIENCE)?),
            1 => {
                let mut loan = client.loan(request.len())?;
                loan.copy_from_slice(&request);
                loan.submit()?.wait(PATIENCE)?
            }
            2 => {
                client.begin(request.len())?;
                client.with_pending(|room| room.copy_from_slice(&request));
                let sequence = client.commit(request.len())?;
                let response = client.receive(PATIENCE)?;
                ensure!(
                    response.as_ref().is_none_or(|response| response.sequence() == sequence),
                    "the response of another request has come"
                );
                response
            }
            _ => {
                // Abandoned, then sent.
                drop(client.loan(7)?);
                client.send(&request)?;
                client.receive(PATIENCE)?
            }
        };
        let response = response.with_context(|| format!("no answer to request {key} within {PATIENCE:?}"))?;
        let right = response.data().iter().rev().eq(&request);
        ensure!(right, "the answer to request {key} of {} bytes is not its reverse", request.len());
    }
    Ok(CALLS)
}

/// `None`: `over` has been set.
pub(crate) fn connect_client(channel: &str, over: &AtomicBool) -> Result<Option<Client>> {
    let deadline = Instant::now() + PATIENCE;
    while !over.load(Ordering::SeqCst) {
        match Client::connect_with(channel, client_config().connect_timeout(Duration::from_millis(5))) {
            Ok(client) => return Ok(Some(client)),
            Err(
                error @ (Error::NoServer { .. }
                | Error::ServerNotReady { .. }
                | Error::ReaderAlreadyConnected { .. }
                | Error::WriterAlreadyConnected { .. }
                | Error::CrashNotNoticed { .. }),
            ) if Instant::now() < deadline => drop(error),
            Err(error) => return Err(error).context("connect to the server"),
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

/// A client: connect, metadata, requests, close.
pub(super) fn client(channel: &str) -> Result<()> {
    Orders::listen();
    let client =
        Client::connect_with(channel, client_config().connect_timeout(PATIENCE)).context("connect")?;
    client.set_metadata(METADATA).context("set_metadata")?;
    converse(&client, 0)?;
    client.close()?;
    Ok(())
}

/// A server: start, one conversation, stop.
pub(super) fn server(channel: &str) -> Result<()> {
    Orders::listen();
    let handled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&handled);
    let server = Server::new(channel, server_config());
    server
        .start(move |request, response| {
            let outcome = answered(request, response);
            count.fetch_add(1, Ordering::SeqCst);
            outcome
        })
        .context("start")?;
    say("serving");
    let deadline = Instant::now() + PATIENCE;
    while handled.load(Ordering::SeqCst) < CALLS {
        if Instant::now() > deadline {
            bail!("only {} requests within {PATIENCE:?}", handled.load(Ordering::SeqCst));
        }
        thread::sleep(Duration::from_micros(200));
    }
    server.stop();
    Ok(())
}

/// Serves until its end.
pub(super) fn idle_server(channel: &str) -> Result<()> {
    Orders::listen();
    let server = Server::new(channel, server_config());
    server.start(answered).context("start")?;
    say("serving");
    loop {
        thread::park();
    }
}
