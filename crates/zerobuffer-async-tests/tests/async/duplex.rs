//! Duplex calls and handlers as futures.

use super::{
    LONG, agent,
    common::{Name, check, content, expect_error, size_of},
    executor::ALL,
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
    BufferConfig, Error,
    duplex::{Client, ClientConfig, ProcessingMode, Server, ServerConfig},
};

/// A channel whose buffers are gone at the end.
struct Channel {
    name: String,
    _buffers: [Name; 2],
}

impl Channel {
    fn new(tag: &str) -> Self {
        let name = Name::new(tag).to_string();
        let buffers = ["request", "response"].map(|kind| Name::of(&format!("{name}_{kind}")));
        Self { name, _buffers: buffers }
    }
}

fn small() -> ClientConfig {
    ClientConfig::default().response_size(64 * 1024).connect_timeout(LONG)
}

fn server_config() -> ServerConfig {
    ServerConfig::default().buffer(BufferConfig::ring(16 * 1024)).write_timeout(None)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A server whose handlers are futures that take random times.
fn echoing(channel: &Channel, runtime: &tokio::runtime::Runtime) -> Server {
    let server = Server::new(&channel.name, server_config());
    let handle = runtime.handle().clone();
    let spawn = move |task| drop(handle.spawn(task));
    let echo = |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| async move {
        let pause = Duration::from_micros(u64::from(request[0]) * 3);
        tokio::time::sleep(pause).await;
        if request.len().is_multiple_of(2) {
            response.write_async(&request).await?;
        } else {
            let mut loan = response.loan_async(request.len()).await?;
            loan.copy_from_slice(&request);
            loan.commit()?;
        }
        Ok(())
    };
    server.start_async(spawn, echo).unwrap();
    server
}

#[test]
fn many_tasks_call_at_a_time() {
    const TASKS: u64 = 20;
    const CALLS: u64 = 30;
    let executing = runtime();
    for executor in ALL {
        for is_async in [false, true] {
            let channel = Channel::new("async-calls");
            let server = if is_async {
                echoing(&channel, &executing)
            } else {
                let pool = ProcessingMode::ThreadPool(NonZeroUsize::new(3).unwrap());
                let server = Server::new(&channel.name, server_config().mode(pool));
                server.start(|request, mut response| Ok(response.write(&request).map(drop)?)).unwrap();
                server
            };
            let name = channel.name.clone();
            executor.block_on(async move {
                let client = Arc::new(Client::connect_async(&name, small()).await.unwrap());
                let blocking = Arc::clone(&client);
                // A blocked call beside them reads for all.
                let beside = thread::spawn(move || {
                    for key in 1..=CALLS {
                        let request = content(key, 50);
                        assert_eq!(blocking.call(&request, LONG).unwrap().data(), request);
                    }
                });
                let calls = (0..TASKS).map(|task| {
                    let client = Arc::clone(&client);
                    smol::spawn(async move {
                        for call in 0..CALLS {
                            let key = task * 1000 + call;
                            let request = content(key, size_of(5, key, 900));
                            let response = client.call_async(&request).await.unwrap();
                            assert_eq!(response.data(), request);
                        }
                    })
                });
                for call in calls.collect::<Vec<_>>() {
                    call.await;
                }
                beside.join().unwrap();
            });
            assert!(server.drain(LONG));
        }
    }
}

#[test]
fn calls_that_are_given_up_mix_nothing_up() {
    let executing = runtime();
    let channel = Channel::new("async-given-up-calls");
    let server = echoing(&channel, &executing);
    let client = Arc::new(Client::connect_with(&channel.name, small()).unwrap());
    let given_up = Arc::new(AtomicU64::new(0));
    let calling = runtime();
    let tasks: Vec<_> = (0..10_u64)
        .map(|task| {
            let (client, given_up) = (Arc::clone(&client), Arc::clone(&given_up));
            calling.spawn(async move {
                for call in 0..100 {
                    let key = task * 1000 + call;
                    let request = content(key, size_of(9, key, 900));
                    let moment = Duration::from_micros(key * 7919 % 3000);
                    match tokio::time::timeout(moment, client.call_async(&request)).await {
                        Ok(response) => check(response.unwrap().data(), key).unwrap(),
                        Err(_) => {
                            given_up.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                // And none is left hanging.
                let request = content(task, 30);
                assert_eq!(client.call_async(&request).await.unwrap().data(), request);
            })
        })
        .collect();
    for task in tasks {
        calling.block_on(task).unwrap();
    }
    println!("{} of 1000 calls were given up", given_up.load(Ordering::Relaxed));
    assert!(server.drain(LONG));
}

#[test]
fn pending_calls_end_with_the_server_and_with_the_client() {
    for end in ["kill", "close"] {
        let channel = Channel::new("async-call-ends");
        let mut server = agent::start();
        server.must(&format!("serve {} slow:20000", channel.name));
        let client = Arc::new(Client::connect_with(&channel.name, small()).unwrap());
        let pending: Vec<_> = (0..5)
            .map(|key| {
                let client = Arc::clone(&client);
                thread::spawn(move || pollster::block_on(client.call_async(&content(key, 20))).map(drop))
            })
            .collect();
        thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        let expected = if end == "kill" {
            server.kill();
            "ServerGone"
        } else {
            client.close().unwrap();
            "Closed"
        };
        for call in pending {
            expect_error(call.join().unwrap(), expected);
        }
        let took = started.elapsed();
        println!("{end}: {took:?}");
        assert!(took < Duration::from_secs(5), "{end}: {took:?}");
    }
}

/// Failures, panics, futures that the executor drops: the client learns of each.
#[test]
fn a_handlers_future_that_fails_is_told_to_the_client() {
    let executing = runtime();
    let channel = Channel::new("async-failing");
    let failures = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&failures);
    let config = server_config().on_error(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let server = Server::new(&channel.name, config);
    let handle = executing.handle().clone();
    let spawn = move |task| {
        let task = handle.spawn(task);
        let aborted = task.abort_handle();
        handle.spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            aborted.abort();
        });
    };
    let handler = |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| {
        assert!(request.data() != b"panic at once", "as told");
        async move {
            match request.data() {
                b"fail" => Err("as told".into()),
                b"panic" => panic!("as told"),
                b"hang" => std::future::pending().await,
                b"nothing" => Ok(()),
                answer => Ok(response.write_async(answer).await.map(drop)?),
            }
        }
    };
    server.start_async(spawn, handler).unwrap();
    let client = Client::connect_with(&channel.name, small()).unwrap();
    for request in ["fail", "panic", "hang", "nothing", "panic at once"] {
        let answer = client.call(request.as_bytes(), LONG);
        assert!(matches!(answer, Err(Error::Remote { .. })), "{request}: {answer:?}");
        assert_eq!(client.call(b"answer", LONG).unwrap().data(), b"answer");
    }
    assert_eq!(failures.load(Ordering::Relaxed), 5);
    assert!(server.drain(LONG));
}
