//! The ends of a channel that are killed: a client that asks without end, and a server.

use super::{Orders, footprint, hello, say};
use crate::{
    crash::{answered, connect_client, converse, server_config},
    plan::Plan,
    process::PATIENCE,
};
use anyhow::{Context as _, Result};
use std::{
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{Error, duplex::Server};

/// Requests of one process, by which they are nobody else's.
const REQUESTS: u64 = 1 << 32;

/// Asks until the order to finish; goes to the next server when one is gone.
pub(crate) fn client(plan: &Plan, number: u64) -> Result<()> {
    let orders = Orders::listen();
    hello()?;
    let mut request = number * REQUESTS;
    while let Some(client) = connect_client(&plan.name, &orders.finish)? {
        while !orders.finishes() {
            match converse(&client, request) {
                Ok(asked) => {
                    request += asked;
                    say(&format!("answered {asked}"));
                }
                Err(error) if error.downcast_ref::<Error>().is_some_and(Error::is_peer_gone) => {
                    request += REQUESTS >> 16;
                    say("gone");
                    break;
                }
                Err(error) => return Err(error).context("a request"),
            }
        }
        client.close()?;
    }
    say(&format!("closed {}", footprint()));
    Ok(())
}

/// Serves until the order to finish.
pub(crate) fn server(plan: &Plan) -> Result<()> {
    let orders = Orders::listen();
    hello()?;
    let server = Server::new(&plan.name, server_config());
    let deadline = Instant::now() + PATIENCE;
    loop {
        match server.start(answered) {
            Ok(()) => break,
            Err(Error::ReaderAlreadyConnected { .. } | Error::NotReady { .. })
                if Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error).context("start"),
        }
    }
    while !orders.finishes() {
        thread::sleep(Duration::from_micros(200));
    }
    anyhow::ensure!(server.stop(), "the server does not stop");
    say(&format!("closed {}", footprint()));
    Ok(())
}
