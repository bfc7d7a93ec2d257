//! A handler has failed, and there is no room to tell the client so. The report waits; the thread
//! that runs the handlers does not.

use super::{
    LONG,
    duplex::{Channel, server_config},
};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    Error, Frame,
    duplex::{BoxError, Call, Client, ClientConfig, ProcessingMode, Responder, Server},
};

/// A response that leaves no room for a report in [`client`]'s ring.
const FULL: [u8; 3900] = [7; 3900];

fn client(channel: &Channel) -> Client {
    Client::connect_with(&channel.name, ClientConfig::default().response_size(4096)).unwrap()
}

fn failure() -> BoxError {
    "as told, at some length. ".repeat(12).into()
}

/// Three requests, of which the second one fails, and the third one is answered.
fn ask(client: &Client) -> [Call; 3] {
    ["full", "fail", "answer"].map(|request| client.submit(request.as_bytes()).unwrap())
}

fn check([full, failed, answer]: [Call; 3]) {
    assert_eq!(full.wait(LONG).unwrap().unwrap().data(), FULL);
    let failed = failed.wait(LONG);
    assert!(matches!(failed, Err(Error::Remote { .. })), "{failed:?}");
    assert_eq!(answer.wait(LONG).unwrap().unwrap().data(), b"answer");
}

async fn handle(request: Frame, mut response: Responder) -> Result<(), BoxError> {
    match request.data() {
        b"full" => response.write_async(&FULL).await?,
        b"fail" => return Err(failure()),
        answer => response.write_async(answer).await?,
    };
    Ok(())
}

#[test]
fn the_thread_of_an_executor_does_not_wait() {
    for drains in [false, true] {
        let executing = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let channel = Channel::new("refusals-async");
        let server = Server::new(&channel.name, server_config());
        let (spawn, mut tasks) = tokio::sync::mpsc::unbounded_channel();
        server.start_async(move |task| spawn.send(task).unwrap(), handle).unwrap();
        let ticks = Arc::new(AtomicU64::new(0));
        let ticking = Arc::clone(&ticks);
        let running = thread::spawn(move || {
            executing.block_on(async move {
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        ticking.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let mut all = Vec::new();
                while let Some(task) = tasks.recv().await {
                    all.push(tokio::spawn(task));
                }
                for task in all {
                    task.await.unwrap();
                }
            });
        });
        let client = client(&channel);
        let calls = ask(&client);
        thread::sleep(Duration::from_millis(150));
        let before = ticks.load(Ordering::Relaxed);
        let started = Instant::now();
        while ticks.load(Ordering::Relaxed) < before + 20 {
            assert!(started.elapsed() < LONG, "the executor stands still");
            thread::sleep(Duration::from_millis(5));
        }
        if drains {
            let asked = thread::spawn(move || server.drain(LONG));
            thread::sleep(Duration::from_millis(100));
            check(calls);
            assert!(asked.join().unwrap());
        } else {
            check(calls);
            drop(client);
            assert!(server.stop());
            drop(server);
        }
        running.join().unwrap();
    }
}

/// A handler that blocks, and one thread or several.
#[test]
fn the_servers_own_threads_send_it_in_order() {
    for mode in [ProcessingMode::SingleThread, ProcessingMode::ThreadPool(NonZeroUsize::new(3).unwrap())] {
        for drains in [false, true] {
            let channel = Channel::new("refusals-blocking");
            let server = Server::new(&channel.name, server_config().mode(mode).on_error(|_| {}));
            let blocking =
                |request: Frame, response: Responder| pollster::block_on(handle(request, response));
            server.start(blocking).unwrap();
            let client = client(&channel);
            let calls = ask(&client);
            thread::sleep(Duration::from_millis(150));
            thread::scope(|scope| {
                let draining = drains.then(|| scope.spawn(|| server.drain(LONG)));
                thread::sleep(Duration::from_millis(100));
                check(calls);
                if draining.is_none() {
                    assert_eq!(client.call(b"on", LONG).unwrap().data(), b"on");
                }
                assert!(draining.is_none_or(|draining| draining.join().unwrap()));
            });
            assert!(server.drain(LONG));
        }
    }
}

#[test]
fn a_server_that_stops_waits_for_no_room() {
    let channel = Channel::new("refusals-stop");
    let server = Server::new(&channel.name, server_config().on_error(|_| {}));
    server.start(|request, response| pollster::block_on(handle(request, response))).unwrap();
    let client = client(&channel);
    let calls = ask(&client);
    thread::sleep(Duration::from_millis(150));
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    drop(calls);
}
