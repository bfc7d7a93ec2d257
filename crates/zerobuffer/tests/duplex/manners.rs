//! What clients of one service cost each other, and what a server that stops owes them.

use crate::{Channel, LONG, common::expect_error, eventually, server};
use std::{
    any::Any,
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::{
        Arc, Barrier, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig, Patience,
    duplex::{Client, ClientConfig, Failure, ProcessingMode, Server, ServerConfig},
    observe,
};

/// What a client that asks, and does not go on, may cost others.
const ASKING: Duration = Duration::from_secs(5);

fn config() -> ServerConfig {
    ServerConfig::default().buffer(BufferConfig::ring(16 * 1024).metadata(64)).on_error(|_| {})
}

fn pool(workers: usize) -> ProcessingMode {
    ProcessingMode::ThreadPool(NonZeroUsize::new(workers).unwrap())
}

fn echo(channel: &Channel, config: ServerConfig) -> Server {
    echo_on(&channel.name, config)
}

fn echo_on(channel: &str, config: ServerConfig) -> Server {
    let server = Server::new(channel, config);
    server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?)).unwrap();
    server
}

/// A client without patience.
fn at_once() -> ClientConfig {
    ClientConfig::default().response_size(4096)
}

fn has_its_own(client: &Client) -> bool {
    client.channel().contains('+')
}

/// Clients that notice the end of their server and connect again, whatever they meet.
#[test]
fn clients_of_a_server_that_is_restarted_get_channels_of_their_own_again() {
    const ROUNDS: usize = if cfg!(windows) { 2 } else { 6 };
    let channel = Channel::new("dmrestart");
    for round in 0..ROUNDS {
        let mut peer = server(&channel, "echo", "clients=16");
        let clients: Vec<_> = (0..6).map(|_| channel.connect_with(4096)).collect();
        let next: Vec<_> = thread::scope(|scope| {
            let come_again = |client: Client| {
                while client.call(b"x", LONG).is_ok() {}
                drop(client);
                channel.connect_with(4096)
            };
            let threads: Vec<_> =
                clients.into_iter().map(|client| scope.spawn(move || come_again(client))).collect();
            thread::sleep(Duration::from_millis(20));
            if round % 2 == 0 {
                peer.must("stop");
                peer.must("close");
            } else {
                peer.kill();
            }
            peer = server(&channel, "echo", "clients=16");
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for client in &next {
            assert!(has_its_own(client), "round {round}: {}", client.channel());
            drop(client.call(b"x", LONG).unwrap());
        }
        drop(next);
        peer.must("close");
    }
}

/// A client has found a server without an entrance. The next server, which has one, comes before
/// the client has made its response buffer.
#[test]
fn a_server_of_several_that_comes_in_between_gives_a_channel_all_the_same() {
    let channel = Channel::new("dmbetween");
    let alone = echo(&channel, config());
    let taken = zerobuffer::Reader::create(&channel.response, BufferConfig::ring(4096).metadata(64)).unwrap();
    thread::scope(|scope| {
        let comes = scope.spawn(|| Client::connect_with(&channel.name, at_once().succession(LONG)).unwrap());
        thread::sleep(Duration::from_millis(100));
        alone.stop();
        let several = echo(&channel, config().clients(4));
        drop(taken);
        let client = comes.join().unwrap();
        assert!(has_its_own(&client), "{}", client.channel());
        drop(client.call(b"x", LONG).unwrap());
        drop(client);
        several.stop();
    });
}

/// Its process ends between its answer and the client's coming.
#[test]
fn a_channel_that_is_gone_when_its_client_comes_is_asked_for_anew_at_once() {
    let channel = Channel::new("dmgone");
    let [lost, own] = ["0000000000000001", "0000000000000002"].map(|id| format!("{}+{id}", channel.name));
    let entrance = ServerConfig::default().buffer(BufferConfig::ring(4096).metadata(0));
    let entrance = Server::new(&format!("{}+", channel.name), entrance);
    let (asked, next) = (AtomicUsize::new(0), own.clone());
    entrance
        .start(move |request, mut response| {
            assert_eq!(request.data(), b"channel?");
            let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            let answer = format!("channel {}", if is_first { &lost } else { &next });
            Ok(response.write(answer.as_bytes()).map(drop)?)
        })
        .unwrap();
    let server = echo(&channel, config());
    let serving = echo_on(&own, config());
    let started = Instant::now();
    // However much time it has.
    let client = Client::connect_with(&channel.name, at_once().connect_timeout(LONG)).unwrap();
    println!("asked twice in {:?}", started.elapsed());
    assert_eq!(client.channel(), own);
    assert!(started.elapsed() < LONG / 3, "it has waited for a channel that is gone");
    drop(client.call(b"x", LONG).unwrap());
    drop(client);
    for server in [serving, server, entrance] {
        server.stop();
    }
}

/// It asks without end, as no client does: each of its questions moves the queue.
#[test]
#[ignore = "it takes a minute"]
fn one_that_asks_without_end_costs_others_a_minute() {
    const MINUTE: Duration = Duration::from_secs(60);
    let channel = Channel::new("dmminute");
    let server = echo(&channel, config().clients(4));
    let plain = at_once().own_channel(false).connect_timeout(LONG);
    let greedy = Client::connect_with(&format!("{}+", channel.name), plain).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                drop(greedy.call(b"channel?", LONG).unwrap());
                thread::sleep(Duration::from_secs(1));
            }
        });
        let started = Instant::now();
        let client = Client::connect_with(&channel.name, at_once().connect_timeout(10 * MINUTE));
        let waited = started.elapsed();
        over.store(true, Ordering::SeqCst);
        println!("beside one that asks without end: {waited:?}");
        assert_eq!(client.unwrap().channel(), channel.name);
        assert!(MINUTE <= waited && waited < 10 * MINUTE, "{waited:?}");
    });
    server.stop();
}

/// However long they wait, for a server and for a place there.
#[test]
#[ignore = "it takes two minutes"]
fn clients_that_wait_for_minutes_get_channels_of_their_own() {
    const MINUTE: Duration = Duration::from_secs(60);
    let channel = Channel::new("dmminutes");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let patient = at_once().connect_timeout(10 * MINUTE);
                let client = Client::connect_with(&channel.name, patient).unwrap();
                assert!(has_its_own(&client), "{}", client.channel());
                drop(client.call(b"x", LONG).unwrap());
                while !is_over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        thread::sleep(MINUTE + Duration::from_secs(5));
        let server = echo(&channel, config().clients(4));
        eventually("four are there", || server.request_buffers().len() == 5);
        thread::sleep(MINUTE + Duration::from_secs(5));
        is_over.store(true, Ordering::SeqCst);
        eventually("the others have come, too", || server.past_requests().0 == 8);
    });
}

/// All places, for one that comes to none of them.
#[cfg(target_os = "linux")]
#[test]
fn places_that_somebody_asks_for_and_leaves_alone_are_given_to_those_that_come() {
    let channel = Channel::new("dmgreed");
    let server = echo(&channel, config().several_clients());
    let plain = at_once().own_channel(false).connect_timeout(LONG);
    let greedy = Client::connect_with(&format!("{}+", channel.name), plain).unwrap();
    let ask = || greedy.call(b"channel?", LONG).unwrap().data().to_vec();
    let started = Instant::now();
    for number in 1..=ServerConfig::CLIENTS {
        let answer = ask();
        assert!(answer.starts_with(b"channel "), "{number}: {}", answer.escape_ascii());
    }
    assert_eq!(ask(), b"full 64 64");
    println!("all places are asked for within {:?}", started.elapsed());
    drop(greedy);
    // A quarter of a second is the rule.
    let patient = at_once().connect_timeout(Duration::from_millis(2500));
    let client = Client::connect_with(&channel.name, patient).unwrap();
    println!("a place is free after {:?}", started.elapsed());
    assert!(has_its_own(&client), "{}", client.channel());
    assert_eq!(client.call(b"x", LONG).unwrap().data(), b"x");
    drop(client);
    server.stop();
}

/// They live, and keep their response buffers.
#[cfg(target_os = "linux")]
#[test]
fn connected_clients_keep_no_server_from_its_end() {
    let end = |what: &str, server: &Server| {
        if what == "stop" { server.stop() } else { server.drain(Duration::from_secs(1)) }
    };
    for what in ["stop", "drain"] {
        let is_prompt = |round: u32| {
            let channel = Channel::new("dmend");
            let server = echo(&channel, config().clients(4));
            let clients = [(); 3].map(|()| channel.connect_with(4096));
            for client in &clients {
                drop(client.call(b"x", LONG).unwrap());
            }
            let plain = at_once().own_channel(false).connect_timeout(LONG);
            let at_the_entrance = Client::connect_with(&format!("{}+", channel.name), plain).unwrap();
            let started = Instant::now();
            let ended = end(what, &server);
            println!("round {round}, {what}: {ended} after {:?}", started.elapsed());
            drop((clients, at_the_entrance));
            ended
        };
        // One round may meet a busy machine.
        assert!((0..10).any(is_prompt), "{what}: no handler is busy");
    }
}

#[test]
fn nobody_comes_to_a_server_that_drains() {
    let channel = Channel::new("dmdrain");
    let server = Server::new(&channel.name, config().clients(4).mode(pool(2)));
    let (busy, done) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let [handler_busy, handler_done] = [Arc::clone(&busy), Arc::clone(&done)];
    let handle = move |request: &[u8]| {
        if request == b"wait" {
            handler_busy.wait();
            handler_done.wait();
        }
    };
    server
        .start(move |request, mut response| {
            handle(request.data());
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let client = channel.connect_with(4096);
    client.send(b"wait").unwrap();
    busy.wait();
    server.begin_drain();
    eventually("the plain channel is closed", || observe::inspect(&channel.request).is_err());
    for _ in 0..3 {
        expect_error(Client::connect_with(&channel.name, at_once()), "NoServer");
    }
    done.wait();
    assert!(server.wait(Some(LONG)));
    assert_eq!(client.receive(LONG).unwrap().unwrap().data(), b"wait");
}

/// Its handler waits for something that never comes, as many do.
#[cfg(feature = "async")]
#[test]
fn a_pending_future_of_a_client_that_left_keeps_no_place() {
    let channel = Channel::new("dmfuture");
    let server = Server::new(&channel.name, config().clients(2));
    let spawn = |task| drop(thread::spawn(|| pollster::block_on(task)));
    let pending = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pending);
    server
        .start_async(spawn, move |request, mut response| {
            let counter = Arc::clone(&counter);
            async move {
                if request.data() == b"never" {
                    counter.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                response.write_async(request.data()).await?;
                Ok(())
            }
        })
        .unwrap();
    for number in 1..=6 {
        let client = channel.connect_with(4096);
        assert!(has_its_own(&client), "{}", client.channel());
        client.send(b"never").unwrap();
        eventually("its future is pending", || pending.load(Ordering::SeqCst) == number);
    }
    let client = channel.connect_with(4096);
    assert_eq!(client.call(b"x", LONG).unwrap().data(), b"x");
    server.stop();
}

/// The response to its first request is missing, so none of the following has its turn.
#[test]
fn metadata_of_responses_that_wait_hold_up_no_other_client() {
    let channel = Channel::new("dmmeta");
    let server = Server::new(&channel.name, config().clients(4).write_timeout(Some(LONG)));
    let held = Arc::new(Mutex::new(Vec::new()));
    let holder = Arc::clone(&held);
    server
        .start(move |request, mut response| {
            if request.data() == b"hold" {
                holder.lock().unwrap().push(response);
                return Ok(());
            }
            if request.data() == b"described" {
                let error = response.set_metadata(&[7; 5000]).unwrap_err();
                assert!(matches!(error, zerobuffer::Error::MetadataTooLarge { .. }), "{error}");
                response.set_metadata(b"what it is")?;
                let error = response.set_metadata(b"again").unwrap_err();
                assert!(matches!(error, zerobuffer::Error::MetadataAlreadyWritten { .. }), "{error}");
            }
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let [client, other] = [(); 2].map(|()| channel.connect_with(4096));
    client.send(b"hold").unwrap();
    client.send(b"described").unwrap();
    eventually("the first request is held", || !held.lock().unwrap().is_empty());
    let started = Instant::now();
    drop(other.call(b"x", LONG).unwrap());
    println!("a call beside metadata that wait: {:?}", started.elapsed());
    assert!(started.elapsed() < LONG / 3, "it waited for the other client's turn");
    assert!(client.response_buffer().metadata().unwrap().is_none(), "they come with their response");
    let mut first = held.lock().unwrap().pop().unwrap();
    first.write(b"held").unwrap();
    for response in [&b"held"[..], b"described"] {
        assert_eq!(client.receive(LONG).unwrap().unwrap().data(), response);
    }
    assert_eq!(&*client.response_buffer().metadata().unwrap().unwrap(), b"what it is");
    server.stop();
}

/// A response that waits for room goes out whatever becomes of its metadata, and these go out once.
#[test]
fn no_response_is_lost_with_its_metadata() {
    const REQUESTS: u8 = 20;
    let channel = Channel::new("dmmeta2");
    let failures = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&failures);
    let config = config()
        .clients(2)
        .write_timeout(None)
        .on_error(move |failure| noted.lock().unwrap().push(failure.to_string()));
    let server = Server::new(&channel.name, config);
    server
        .start(move |request, mut response| {
            // The second request's are one set too many, which few handlers look at.
            let _ = response.set_metadata(request.data());
            Ok(response.write(&[request.data(), &[0; 1000][..]].concat()).map(drop)?)
        })
        .unwrap();
    let client = channel.connect_with(4096);
    for key in 0..REQUESTS {
        client.send(&[key]).unwrap();
    }
    for key in 0..REQUESTS {
        let response = client.receive(LONG).unwrap().unwrap();
        assert_eq!((response.data()[0], response.data().len()), (key, 1001));
    }
    assert_eq!(&*client.response_buffer().metadata().unwrap().unwrap(), [0]);
    let failures = failures.lock().unwrap();
    println!("{} failures: {:?}", failures.len(), failures.first());
    assert!(failures.iter().all(|failure| failure.contains("metadata")), "{failures:?}");
    drop(failures);
    drop(client);
    server.stop();
}

/// One program that starts many: their number is the same, so only their questions tell them apart.
#[cfg(target_os = "linux")]
#[test]
fn all_of_many_clients_that_come_at_once_get_channels() {
    const CLIENTS: usize = 100;
    let channel = Channel::new("dmmany");
    let mut peer = server(&channel, "echo", &format!("clients={CLIENTS} ring=16384"));
    let (begin, all_are_there) = (Barrier::new(CLIENTS), Barrier::new(CLIENTS));
    let worst = Mutex::new(Duration::ZERO);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (channel, begin, all_are_there, worst) = (&channel, &begin, &all_are_there, &worst);
            scope.spawn(move || {
                begin.wait();
                let started = Instant::now();
                let client = Client::connect_with(&channel.name, at_once());
                let taken = started.elapsed();
                let mut worst = worst.lock().unwrap();
                *worst = worst.max(taken);
                drop(worst);
                all_are_there.wait();
                let client = client.unwrap();
                assert!(has_its_own(&client), "{}", client.channel());
                drop(client.call(b"x", LONG).unwrap());
            });
        }
    });
    println!("{CLIENTS} clients at once, the last one after {:?}", worst.into_inner().unwrap());
    peer.must("close");
}

#[test]
fn one_that_holds_the_entrance_costs_others_five_seconds() {
    let channel = Channel::new("dmheld");
    let server = echo(&channel, config().clients(4));
    let plain = || at_once().own_channel(false).connect_timeout(LONG);
    let holder = Client::connect_with(&format!("{}+", channel.name), plain()).unwrap();
    let started = Instant::now();
    // However much time it has.
    let client = Client::connect_with(&channel.name, at_once().connect_timeout(60 * ASKING)).unwrap();
    let waited = started.elapsed();
    println!("beside one that holds the entrance: {waited:?}");
    assert_eq!(client.channel(), channel.name);
    assert!(ASKING <= waited && waited < 10 * ASKING, "{waited:?}");
    drop(holder);
    assert!(has_its_own(&channel.connect_with(4096)));
    drop(client);
    server.stop();
}

/// It holds the responder of its first request, and the others fail with long texts.
#[test]
fn refusals_that_wait_for_their_turn_are_bounded() {
    const TEXT: usize = 40_000;
    let channel = Channel::new("dmrefusals");
    let server = Server::new(&channel.name, config().clients(2));
    let held = Arc::new(Mutex::new(Vec::new()));
    let holder = Arc::clone(&held);
    server
        .start(move |request, response| {
            if request.data() == b"hold" {
                drop(request);
                holder.lock().unwrap().push(response);
                return Ok(());
            }
            Err("e".repeat(TEXT).into())
        })
        .unwrap();
    let client = channel.connect_with(64 * 1024);
    client.send(b"hold").unwrap();
    // The rings hold 16 KiB and 64 KiB.
    let most = 2000;
    let sent = (0..most)
        .take_while(|_| client.send_with(b"fail", &mut Patience::at_most(Duration::from_millis(500))).is_ok())
        .count();
    println!("{sent} requests whose refusals have {TEXT} bytes were taken");
    assert!(sent < most, "{} MB of refusals are kept", sent * TEXT / 1_000_000);
    held.lock().unwrap().clear();
    server.stop();
}

#[test]
fn error_handlers_do_not_wait_for_the_end_of_their_own_server() {
    for clients in [0, 4] {
        let channel = Channel::new("dmwait");
        let own: Arc<OnceLock<Weak<Server>>> = Arc::default();
        let handler_own = Arc::clone(&own);
        let config = config().clients(clients).on_error(move |failure| {
            if let Failure::ClientGone { .. } = failure
                && let Some(server) = handler_own.get().and_then(Weak::upgrade)
            {
                assert!(!server.drain(LONG), "it runs while it calls this");
            }
        });
        let server = Arc::new(echo(&channel, config));
        own.set(Arc::downgrade(&server)).unwrap();
        let client = channel.connect_with(4096);
        drop(client.call(b"x", LONG).unwrap());
        drop(client);
        let started = Instant::now();
        assert!(server.wait(Some(LONG)));
        assert!(started.elapsed() < LONG / 3, "clients={clients}: {:?}", started.elapsed());
    }
}

#[test]
fn a_panic_whose_payload_panics_costs_one_answer() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            assert!(thread::panicking(), "a drop that panics");
        }
    }
    for clients in [0, 4] {
        let channel = Channel::new("dmpanic");
        let server = Server::new(&channel.name, config().clients(clients).mode(pool(1)));
        server
            .start(|request, mut response| {
                if request.data() == b"panic" {
                    resume_unwind(Box::new(Payload) as Box<dyn Any + Send>);
                }
                Ok(response.write(request.data()).map(drop)?)
            })
            .unwrap();
        let client = channel.connect_with(4096);
        for _ in 0..3 {
            expect_error(client.call(b"panic", LONG), "Remote");
            assert_eq!(client.call(b"x", LONG).unwrap().data(), b"x");
        }
        drop(client);
        assert!(server.stop());
    }
}

/// The place that it has just left is its own again.
#[test]
fn a_client_that_closes_and_comes_again_at_once_finds_a_place() {
    let channel = Channel::new("dmagain");
    let server = echo(&channel, config().clients(1));
    for _ in 0..if cfg!(windows) { 10 } else { 100 } {
        let client = Client::connect_with(&channel.name, at_once()).unwrap();
        assert!(has_its_own(&client), "{}", client.channel());
        drop(client.call(b"x", LONG).unwrap());
        client.close().unwrap();
    }
    server.stop();
}

/// Beside a service called `NAME` another one may be called `NAME+`.
#[test]
fn a_service_that_is_called_like_an_entrance_is_asked_nothing() {
    let channel = Channel::new("dmplus");
    let server = echo(&channel, config());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let other = Server::new(&format!("{}+", channel.name), config());
    other
        .start(move |request, mut response| {
            hearing.lock().unwrap().push(request.data().to_vec());
            Ok(response.write(request.data()).map(drop)?)
        })
        .unwrap();
    let client = Client::connect_with(&channel.name, at_once()).unwrap();
    assert_eq!(client.call(b"x", LONG).unwrap().data(), b"x");
    assert!(!has_its_own(&client), "{}", client.channel());
    assert_eq!(*heard.lock().unwrap(), Vec::<Vec<u8>>::new());
    drop(client);
    other.stop();
    server.stop();
}

/// Anywhere on its way a client gets an error, or a channel of its own: never the plain channel.
#[test]
fn a_stop_while_clients_connect_lets_no_one_in_by_the_plain_channel() {
    for round in 0..if cfg!(windows) { 3 } else { 15_u64 } {
        let channel = Channel::new("dmstop");
        let server = echo(&channel, config().clients(6).mode(pool(2)));
        let first = Barrier::new(5);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let client = channel.connect_with(4096);
                    first.wait();
                    drop(client);
                    loop {
                        match Client::connect_with(&channel.name, at_once()) {
                            Ok(client) => assert!(has_its_own(&client), "{}", client.channel()),
                            Err(zerobuffer::Error::NoServer { .. }) => break,
                            Err(_) => {}
                        }
                    }
                });
            }
            first.wait();
            thread::sleep(Duration::from_millis(7 * round % 40));
            if round % 2 == 0 {
                assert!(server.drain(LONG));
            } else {
                server.stop();
            }
        });
    }
}
