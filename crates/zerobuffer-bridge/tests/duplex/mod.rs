//! Channels across two bridges: the server on one machine, its clients on another one. Neither end
//! knows of a bridge.
mod several;

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zerobuffer::Error;
use zerobuffer::duplex::{Client, ClientConfig, HandlerError, ProcessingMode, Server, ServerConfig};

use super::common::{B, Bridge, LIMIT, Net, RGB, check, count, fill, name, port, wait_for};

/// What a server has seen, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Sight>>);

#[derive(Default)]
struct Sight {
    /// Their numbers, and the channels by which they came.
    requests: Vec<(u64, String)>,
    metadata: Metadata,
}

type Metadata = Vec<Option<Vec<u8>>>;

impl Seen {
    fn requests(&self) -> Vec<u64> {
        self.0.lock().unwrap().requests.iter().map(|(number, _)| *number).collect()
    }

    fn metadata(&self) -> Metadata {
        self.0.lock().unwrap().metadata.clone()
    }

    fn with_channels(&self) -> Vec<(u64, String)> {
        self.0.lock().unwrap().requests.clone()
    }
}

/// The first eight bytes of a request are its number, the next eight say what is to be done.
fn request(number: u64, what: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; size.max(16)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..16].copy_from_slice(&what.to_le_bytes());
    bytes
}

const ECHO: u64 = 0;
const FAIL: u64 = 1;
const PANIC: u64 = 2;
const SILENT: u64 = 3;
/// And so many milliseconds.
const SLEEP: u64 = 1 << 32;
/// A response of so many bytes.
const SIZE: u64 = 1 << 33;

fn serve(channel: &str, mode: ProcessingMode, ring: u64) -> (Server, Seen) {
    serve_clients(channel, 0, mode, ring)
}

/// So many at the same time; 0: one after the other.
fn serve_clients(channel: &str, clients: usize, mode: ProcessingMode, ring: u64) -> (Server, Seen) {
    let seen = Seen::default();
    let (init, requests) = (seen.clone(), seen.clone());
    let config = ServerConfig::default()
        .buffer(zerobuffer::BufferConfig::ring(ring).metadata(4096))
        .mode(mode)
        .clients(clients)
        .on_error(|_| {})
        .on_init(move |metadata| {
            init.0.lock().unwrap().metadata.push(metadata.map(<[u8]>::to_vec));
            Ok(())
        });
    let server = Server::new(channel, config);
    let handler = move |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| {
        let word = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
        let (number, what) = (word(0), word(8));
        requests.0.lock().unwrap().requests.push((number, response.channel().to_owned()));
        match what {
            FAIL => {
                return Err(HandlerError::new("format", "this is no picture").detail("magic: 00 00").into());
            }
            PANIC => panic!("the handler's own words"),
            SILENT => return Ok(()),
            what if what & SIZE != 0 => {
                response.write(&vec![7; (what & 0xffff_ffff) as usize])?;
                return Ok(());
            }
            what if what & SLEEP != 0 => std::thread::sleep(Duration::from_millis(what & 0xffff_ffff)),
            _ => {}
        }
        let reversed: Vec<u8> = request.iter().rev().copied().collect();
        response.write(&reversed)?;
        Ok(())
    };
    server.start(handler).unwrap();
    (server, seen)
}

/// This program again, as the process of a server of so many clients at the same time.
fn server_process(channel: &str, clients: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["duplex::a_server_of_its_own", "--exact", "--nocapture"]);
    command.env("ZEROBUFFER_BRIDGE_CLIENTS", clients.to_string());
    command.env("ZEROBUFFER_BRIDGE_SERVER", channel).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_server_of_its_own() {
    let Ok(channel) = std::env::var("ZEROBUFFER_BRIDGE_SERVER") else { return };
    let clients = std::env::var("ZEROBUFFER_BRIDGE_CLIENTS").map_or(0, |text| text.parse().unwrap());
    let (_server, _) = serve_clients(&channel, clients, ProcessingMode::SingleThread, 1 << 20);
    std::thread::sleep(LIMIT);
}

fn connect(channel: &str) -> Client {
    Client::connect_with(channel, ClientConfig::default().connect_timeout(LIMIT)).unwrap()
}

/// Connects as soon as the channel takes a client, and calls.
fn call_anew(channel: &str, number: u64) -> Client {
    let until = Instant::now() + LIMIT;
    loop {
        // Not for longer: a server that has let the client in may go before the client has come.
        let config = ClientConfig::default().connect_timeout(Duration::from_secs(1));
        let client = Client::connect_with(channel, config);
        let called = client.and_then(|client| {
            let answer = client.call(&request(number, ECHO, 16), LIMIT)?;
            assert_eq!(answer.data()[8..], number.to_be_bytes());
            drop(answer);
            Ok(client)
        });
        match called {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The server's channel on one machine, the clients' on another one, and a bridge on each.
struct Across {
    offer: Bridge,
    reach: Bridge,
    far: String,
    near: String,
    port: u16,
}

impl Across {
    fn start() -> Across {
        let (far, near, port) = (name("far"), name("near"), port());
        let offer = offer(None, &far, &format!("127.0.0.1:{port}"));
        let reach = reach(None, &near, &format!("127.0.0.1:{port}"));
        Across { offer, reach, far, near, port }
    }

    /// One of the two bridges is killed, each in its turn, and comes again.
    fn with_one_killed(self, round: u64) -> Across {
        let address = format!("127.0.0.1:{}", self.port);
        let Across { offer: mut offering, reach: mut reaching, far, near, port } = self;
        if round.is_multiple_of(2) {
            offering.kill();
            offering = offer(None, &far, &address);
        } else {
            reaching.kill();
            reaching = reach(None, &near, &address);
        }
        Across { offer: offering, reach: reaching, far, near, port }
    }

    fn stop(self) -> (String, String) {
        (self.offer.stop(), self.reach.stop())
    }
}

fn offer(namespace: Option<&str>, channel: &str, address: &str) -> Bridge {
    Bridge::start_in(namespace, &["offer", &format!("{channel}=service"), "--listen", address])
}

fn reach(namespace: Option<&str>, channel: &str, address: &str) -> Bridge {
    Bridge::start_in(namespace, &["reach", &format!("service={channel}"), "--connect", address])
}

#[test]
fn requests_and_responses_cross_between_two_machines_byte_for_byte() {
    let Some(net) = Net::new() else { return };
    let (far, near) = (name("far"), name("near"));
    let address = format!("{B}:7447");
    let offer = offer(Some(&net.b), &far, &address);
    let reach = reach(Some(&net.a), &near, &address);
    // No server, no channel: as on one machine.
    let none = Client::connect(&near).unwrap_err();
    assert!(matches!(none, Error::NoServer { .. }), "{none}");
    let (server, seen) = serve(&far, ProcessingMode::SingleThread, 32 << 20);
    let client = connect(&near);
    client.set_metadata(b"who: a client").unwrap();
    for number in 1..=100u64 {
        let mut bytes = vec![0; if number % 10 == 0 { RGB } else { 16 + number as usize }];
        fill(&mut bytes, number);
        bytes[8..16].copy_from_slice(&ECHO.to_le_bytes());
        let answer = client.call(&bytes, LIMIT).unwrap();
        let back: Vec<u8> = answer.data().iter().rev().copied().collect();
        assert_eq!((check(&back).0, back.len()), (number, bytes.len()));
        assert!(back == bytes);
    }
    // Many at a time: each gets its own answer, and the server sees their order.
    let calls: Vec<_> =
        (101..=400).map(|number| client.submit(&request(number, ECHO, 100)).unwrap()).collect();
    for (number, call) in (101u64..).zip(calls) {
        let answer = call.wait(LIMIT).unwrap().unwrap();
        assert_eq!(answer.data()[92..], number.to_be_bytes());
    }
    assert_eq!(seen.requests(), (1..=400).collect::<Vec<_>>());
    assert_eq!(seen.metadata(), [Some(b"who: a client".to_vec())]);
    // A second client of one channel: as on one machine.
    let second = Client::connect(&near).unwrap_err();
    assert!(matches!(second, Error::ClientAlreadyConnected { .. }), "{second}");
    client.close().unwrap();
    // To the server the next one is another one.
    let next = call_anew(&near, 500);
    assert_eq!(seen.metadata(), [Some(b"who: a client".to_vec()), None]);
    next.close().unwrap();
    let said = offer.stop();
    assert_eq!(count(&said, " requests answered"), 401, "{said}");
    reach.stop();
    server.stop();
}

#[test]
fn a_failure_a_response_that_is_too_large_and_a_time_out_are_what_they_are_on_one_machine() {
    let across = Across::start();
    let (server, _) = serve(&across.far, ProcessingMode::SingleThread, 1 << 20);
    let client = connect(&across.near);
    let call = |number, what| client.call(&request(number, what, 16), LIMIT);
    match call(1, FAIL) {
        Err(Error::Remote { kind, message, detail, .. }) => {
            assert_eq!((&*kind, &*message, &*detail), ("format", "this is no picture", "magic: 00 00"));
        }
        other => panic!("{other:?}"),
    }
    match call(2, PANIC) {
        Err(Error::Remote { kind, message, .. }) => {
            assert_eq!(kind, "panic");
            assert!(message.contains("the handler's own words"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(call(3, SILENT), Err(Error::Remote { kind, .. }) if kind == "no-answer"));
    match call(4, SIZE | 3_000_000) {
        Err(Error::ResponseTooLarge { size: 3_000_000, max, .. }) => assert!(max <= 1 << 20, "{max}"),
        other => panic!("{other:?}"),
    }
    // It does not fit the client's own, smaller ring.
    drop(call(5, ECHO).unwrap());
    let late = client.call(&request(6, SLEEP | 500, 16), Duration::from_millis(100));
    assert!(matches!(late, Err(Error::NoResponse { .. })), "{late:?}");
    // The late response is nobody else's.
    assert_eq!(call(7, ECHO).unwrap().data()[8..], 7u64.to_be_bytes());
    let too_large = client.send(&vec![0; 2 << 20]).unwrap_err();
    assert!(matches!(too_large, Error::FrameTooLarge { .. }), "as the server's own ring: {too_large}");
    client.close().unwrap();
    let small = ClientConfig::default().response_size(4096).connect_timeout(LIMIT);
    let small = Client::connect_with(&across.near, small).unwrap();
    match small.call(&request(8, SIZE | 100_000, 16), LIMIT) {
        Err(Error::ResponseTooLarge { size: 100_000, max, .. }) => assert!(max < 4096, "{max}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(small.call(&request(9, SIZE | 4000, 16), LIMIT).unwrap().data(), [7; 4000]);
    drop(small);
    across.stop();
    server.stop();
}

#[test]
fn the_death_of_a_server_is_told_to_the_client_and_the_next_server_is_found() {
    let across = Across::start();
    for round in 0..3 {
        let mut process = server_process(&across.far, 0);
        let client = call_anew(&across.near, round);
        let waits = client.submit(&request(100, SLEEP | 60_000, 16)).unwrap();
        assert!(waits.wait(Duration::from_millis(300)).unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
        let killed = Instant::now();
        let told = waits.wait(LIMIT);
        assert!(matches!(told, Err(Error::ServerGone { .. })), "{told:?}");
        println!("the client learns of the server's death after {:?}", killed.elapsed());
        let told = client.call(&request(101, ECHO, 16), LIMIT);
        assert!(matches!(told, Err(Error::ServerGone { .. })), "{told:?}");
    }
    // What the killed server has left.
    serve(&across.far, ProcessingMode::SingleThread, 1 << 20).0.stop();
    across.stop();
}

#[test]
fn a_bridge_that_dies_is_a_server_that_dies_and_no_request_is_carried_out_twice() {
    let mut across = Across::start();
    let (server, seen) = serve(&across.far, ProcessingMode::SingleThread, 1 << 20);
    for round in 0..4 {
        let client = call_anew(&across.near, round);
        let waits = client.submit(&request(100 + round, SLEEP | 500, 16)).unwrap();
        wait_for("the request is there", || seen.requests().contains(&(100 + round)), String::new);
        across = across.with_one_killed(round);
        let told = waits.wait(LIMIT);
        assert!(matches!(told, Err(Error::ServerGone { .. })), "{told:?}");
    }
    let client = call_anew(&across.near, 1000);
    let requests = seen.requests();
    for round in 100..104 {
        assert_eq!(requests.iter().filter(|number| **number == round).count(), 1, "{requests:?}");
    }
    drop(client);
    across.stop();
    server.stop();
}

#[test]
fn a_cut_cable_ends_a_client_and_a_mended_one_brings_the_channel_back() {
    let Some(net) = Net::new() else { return };
    let (far, near) = (name("far"), name("near"));
    let address = format!("{B}:7447");
    let offer = offer(Some(&net.b), &far, &address);
    let reach = reach(Some(&net.a), &near, &address);
    let (server, seen) = serve(&far, ProcessingMode::SingleThread, 1 << 20);
    let client = call_anew(&near, 1);
    // A short one is not noticed.
    net.cut();
    let waits = client.submit(&request(2, ECHO, 16)).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    net.mend();
    assert_eq!(waits.wait(LIMIT).unwrap().unwrap().data()[8..], 2u64.to_be_bytes());
    // A long one is a server that is gone.
    net.cut();
    let cut = Instant::now();
    let told = client.call(&request(3, ECHO, 16), LIMIT);
    assert!(matches!(told, Err(Error::ServerGone { .. })), "{told:?}");
    println!("the client learns of the cut cable after {:?}", cut.elapsed());
    drop(client);
    net.mend();
    drop(call_anew(&near, 4));
    let requests = seen.requests();
    assert!(requests.iter().filter(|number| **number == 3).count() <= 1, "{requests:?}");
    offer.stop();
    reach.stop();
    server.stop();
}

#[test]
fn clients_of_two_machines_are_served_side_by_side_and_a_stopped_one_holds_up_nobody() {
    let across = Across::start();
    let (server, seen) = serve(&across.far, ProcessingMode::SingleThread, 16 << 20);
    let other = name("other");
    let second = reach(None, &other, &format!("127.0.0.1:{}", across.port));
    let (one, two) = (call_anew(&across.near, 1), call_anew(&other, 2));
    for number in 10..60 {
        let calls = [&one, &two].map(|client| client.submit(&request(number, ECHO, 1000)).unwrap());
        for call in calls {
            drop(call.wait(LIMIT).unwrap().unwrap());
        }
    }
    assert_eq!(seen.metadata(), [None], "without metadata they are one client to the server");
    // A bridge that is stopped while the answers to its client are on their way.
    let held: Vec<_> = (0..8).map(|_| two.submit(&request(3, SIZE | 1_000_000, 16)).unwrap()).collect();
    second.pause();
    for number in 100..150 {
        drop(one.call(&request(number, ECHO, 1000), LIMIT).unwrap());
    }
    second.resume();
    drop((held, one, two));
    // With metadata the server meets one after the other.
    for (channel, metadata) in [(&across.near, b"one"), (&other, b"two")] {
        let client = connect(channel);
        client.set_metadata(metadata).unwrap();
        drop(client.call(&request(200, ECHO, 16), LIMIT).unwrap());
        assert_eq!(seen.metadata().last().unwrap().as_deref(), Some(&metadata[..]));
    }
    second.stop();
    across.stop();
    server.stop();
}

#[test]
fn a_channel_that_has_a_server_or_comes_back_to_itself_is_refused() {
    let across = Across::start();
    let (server, _) = serve(&across.far, ProcessingMode::SingleThread, 1 << 20);
    let address = format!("127.0.0.1:{}", across.port);
    // The channel of the server itself.
    let own = Bridge::start(&["reach", &format!("service={}", across.far), "--connect", &address]);
    own.says("a loop of bridges");
    own.stop();
    // One that another bridge serves.
    drop(call_anew(&across.near, 1));
    let (code, said) =
        Bridge::start(&["reach", &format!("service={}", across.near), "--connect", &address]).end();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("one server"), "{said}");
    // One that a program here serves.
    let local = name("local");
    let (own, _) = serve(&local, ProcessingMode::SingleThread, 1 << 20);
    let (code, said) = Bridge::start(&["reach", &format!("service={local}"), "--connect", &address]).end();
    assert_eq!(code, Some(5), "{said}");
    // Two hops, and back to the first channel.
    let back = format!("127.0.0.1:{}", port());
    let again = Bridge::start(&["offer", &format!("{}=again", across.near), "--listen", &back]);
    again.says("is offered");
    let looped = Bridge::start(&["reach", &format!("again={}", across.far), "--connect", &back]);
    looped.says("a loop of bridges");
    for bridge in [again, looped] {
        bridge.stop();
    }
    drop(own);
    across.stop();
    server.stop();
}

#[test]
fn names_and_options_of_channels() {
    for (arguments, part) in [
        (&["offer", "a/b"][..], "a/b"),
        (&["offer", "x=a*"], "%2A"),
        (&["offer", "x", "x"], "twice"),
        (&["offer"], "required"),
        (&["reach", "a//b"], "no key expression"),
        (&["reach", "a=x/y"], "x/y"),
        (&["reach", "a=x", "b=x"], "twice"),
        (&["reach", "a", "--mode", "9"], "no octal number"),
    ] {
        let (code, said) = Bridge::start(arguments).end();
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}
