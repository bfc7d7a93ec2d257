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
pub(crate) struct Channel {
    pub(crate) name: String,
    _buffers: [Name; 2],
}

impl Channel {
    pub(crate) fn new(tag: &str) -> Self {
        let name = Name::new(tag).to_string();
        let buffers = ["request", "response"].map(|kind| Name::of(&format!("{name}_{kind}")));
        Self { name, _buffers: buffers }
    }
}

pub(crate) fn small() -> ClientConfig {
    ClientConfig::default().response_size(64 * 1024).connect_timeout(LONG)
}

pub(crate) fn server_config() -> ServerConfig {
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

/// The blocked call has the request writer while it waits for room.
#[test]
fn a_task_beside_a_blocked_send_does_not_spin() {
    let channel = Channel::new("async-beside");
    let server = Server::new(&channel.name, server_config());
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    server
        .start(move |request, mut response| {
            // Until the other end is dropped.
            let _ = gate.lock().unwrap().recv();
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let client = Arc::new(Client::connect_with(&channel.name, small()).unwrap());
    let blocked = Arc::clone(&client);
    let sending = thread::spawn(move || (0..40).for_each(|key| drop(blocked.submit(&content(key, 1000)))));
    thread::sleep(Duration::from_millis(200));
    assert!(!sending.is_finished(), "the ring has no room for all");
    let opening = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        drop(open);
    });
    let mut polls = 0;
    let request = content(99, 100);
    let mut call = Box::pin(client.call_async(&request));
    let counted = std::future::poll_fn(|context| {
        polls += 1;
        call.as_mut().poll(context)
    });
    assert_eq!(pollster::block_on(counted).unwrap().data(), request);
    sending.join().unwrap();
    opening.join().unwrap();
    println!("{polls} polls");
    assert!(polls < 500, "{polls} polls");
}

/// As `tokio::spawn` does where no runtime is.
#[test]
fn a_spawn_that_panics_is_a_failure_of_its_request() {
    for mode in [ProcessingMode::SingleThread, ProcessingMode::thread_pool()] {
        let channel = Channel::new("async-no-runtime");
        let server = Server::new(&channel.name, server_config().mode(mode).on_error(|_| {}));
        let spawn = |_task| panic!("there is no runtime");
        server.start_async(spawn, |_request, _response| async { Ok(()) }).unwrap();
        let client = Client::connect_with(&channel.name, small()).unwrap();
        for _ in 0..20 {
            let answer = client.call(b"request", LONG);
            assert!(matches!(answer, Err(Error::Remote { .. })), "{answer:?}");
        }
        assert!(server.is_running());
        assert!(server.drain(LONG));
    }
}

/// One thread runs all tasks: none may block it while another one has the turn.
#[test]
fn a_failure_waits_for_its_turn_without_blocking_the_executor() {
    let executing = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let channel = Channel::new("async-turns");
    let server = Server::new(&channel.name, server_config());
    let (spawn, mut tasks) = tokio::sync::mpsc::unbounded_channel();
    let spawn = move |task| spawn.send(task).unwrap();
    let handler = |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| async move {
        if request.data() == b"slow" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            response.write_async(b"done").await?;
        } else {
            response.set_metadata_async(b"described").await?;
            response.fail_async(&zerobuffer::duplex::HandlerError::new("Test", "as told")).await?;
        }
        Ok(())
    };
    server.start_async(spawn, handler).unwrap();
    let running = thread::spawn(move || {
        executing.block_on(async move {
            let mut all = Vec::new();
            while let Some(task) = tasks.recv().await {
                all.push(tokio::spawn(task));
                if all.len() == 2 {
                    break;
                }
            }
            for task in all {
                task.await.unwrap();
            }
        });
    });
    let client = Client::connect_with(&channel.name, small()).unwrap();
    let slow = client.submit(b"slow").unwrap();
    let failing = client.submit(b"fail").unwrap();
    assert_eq!(slow.wait(LONG).unwrap().unwrap().data(), b"done");
    assert!(matches!(failing.wait(LONG), Err(Error::Remote { .. })));
    running.join().unwrap();
    drop(client);
    assert!(server.stop());
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
