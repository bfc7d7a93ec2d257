//! A service that takes several clients at the same time: each remote one has a channel of its own.
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zerobuffer::duplex::{Call, Client, ClientConfig, ProcessingMode, Server, ServerConfig};
use zerobuffer::{BufferConfig, Error};

use super::super::common::{LIMIT, memory, name, signal, wait_for};
use super::{
    Across, ECHO, SIZE, SLEEP, Seen, call_anew, connect, reach, request, serve, serve_clients, server_process,
};

/// This program again, as the process of a client.
struct Process {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Process {
    /// Client `who`, whose requests have the numbers from `who` million on.
    fn start(channel: &str, who: u64, role: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["duplex::several::a_client_of_its_own", "--exact", "--nocapture"]);
        command.env("ZEROBUFFER_BRIDGE_CLIENT", format!("{role} {who} {channel}"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Process { child, out }
    }

    /// Waits until it says a line that begins so.
    fn says(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.out.read_line(&mut line).unwrap() > 0 {
            if let Some(at) = line.find(word) {
                return line[at..].trim().to_owned();
            }
            line.clear();
        }
        panic!("a client ends without '{word}'");
    }

    fn ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls of one that asks and waits.
const CALLS: u64 = 200;
/// Requests of one that sends all before it takes an answer, and bytes of each answer.
const AHEAD: u64 = 2000;
const LARGE: u64 = 100_000;

#[test]
fn a_client_of_its_own() {
    let Ok(what) = std::env::var("ZEROBUFFER_BRIDGE_CLIENT") else { return };
    let [role, who, channel] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let who: u64 = who.parse().unwrap();
    let client = connect(channel);
    client.set_metadata(format!("client {who}").as_bytes()).unwrap();
    let numbers = who * 1_000_000..;
    if role == "calls" {
        for number in numbers.take(CALLS as usize) {
            let answer = client.call(&request(number, ECHO, 16 + number as usize % 5000), LIMIT).unwrap();
            let data = answer.data();
            assert_eq!(data[data.len() - 8..], number.to_be_bytes());
        }
    } else {
        let calls: Vec<_> = numbers
            .take(AHEAD as usize)
            .map(|number| client.submit(&request(number, SIZE | LARGE, 16)).unwrap())
            .collect();
        println!("sent");
        let is_answered = |call: &Call| {
            call.wait(LIMIT / 6).unwrap().is_some_and(|answer| answer.data() == [7; LARGE as usize])
        };
        let answered = calls.iter().take_while(|call| is_answered(call)).count();
        println!("answered {answered}");
    }
    println!("done");
}

#[test]
fn remote_clients_have_channels_of_their_own_and_a_stopped_one_holds_up_nobody() {
    let across = Across::start();
    let (server, seen) = serve_clients(&across.far, 8, ProcessingMode::SingleThread, 1 << 20);
    let other = name("other");
    let second = reach(None, &other, &format!("127.0.0.1:{}", across.port));
    // Eight of two machines, one of them stopped while answers are on their way to it.
    let mut stopped = Process::start(&across.near, 1, "ahead");
    stopped.says("sent");
    signal(stopped.child.id(), "STOP");
    let since = Instant::now();
    let before = memory(across.reach.pid());
    let channels = [&across.near, &across.near, &across.near, &other, &other, &other, &other];
    let others: Vec<_> =
        (2..).zip(channels).map(|(who, channel)| Process::start(channel, who, "calls")).collect();
    for mut process in others {
        process.says("done");
        process.ends_well();
    }
    let stood = since.elapsed();
    let grown = memory(across.reach.pid()).saturating_sub(before);
    println!(
        "{} calls of seven clients took {stood:?} beside a stopped one, and {} MB",
        7 * CALLS,
        grown >> 20
    );
    assert!(grown < 64 << 20, "what one client does not take costs {grown} bytes");
    signal(stopped.child.id(), "CONT");
    let answered = stopped.says("answered");
    // As on one machine, a response that finds no room for so long is dropped.
    if stood < Duration::from_secs(4) {
        assert_eq!(answered, format!("answered {AHEAD}"));
    }
    println!("after that, of the stopped one: {answered}");
    stopped.ends_well();
    let requests = seen.with_channels();
    for who in 1..=8 {
        let its: Vec<_> = requests.iter().filter(|(number, _)| number / 1_000_000 == who).collect();
        let count = if who == 1 { AHEAD } else { CALLS };
        assert_eq!(its.len() as u64, count, "client {who}");
        assert!(its.is_sorted_by_key(|(number, _)| *number), "the order of client {who}");
        let channel = &its[0].1;
        assert!(channel.starts_with(&format!("{}+", across.far)), "{channel}");
        assert!(its.iter().all(|(_, other)| other == channel), "client {who} has one channel");
        let shares = requests.iter().filter(|(_, other)| other == channel).count();
        assert_eq!(shares as u64, count, "and nobody else has it");
    }
    let mut metadata = seen.metadata();
    metadata.sort();
    let right: Vec<_> = (1..=8).map(|who| Some(format!("client {who}").into_bytes())).collect();
    assert_eq!(metadata, right);
    // A bridge that is stopped while answers to its clients are on their way.
    let (one, two) = (call_anew(&across.near, 9_000_000), call_anew(&other, 9_000_001));
    let held: Vec<_> = (0..8).map(|_| two.submit(&request(3, SIZE | 1_000_000, 16)).unwrap()).collect();
    second.pause();
    for number in 0..50 {
        drop(one.call(&request(number, ECHO, 1000), LIMIT).unwrap());
    }
    second.resume();
    for call in held {
        assert_eq!(call.wait(LIMIT).unwrap().unwrap().data().len(), 1_000_000);
    }
    drop((one, two));
    second.stop();
    let names = [across.far.clone(), across.near.clone(), other];
    across.stop();
    server.stop();
    nothing_is_left(&names);
}

/// Of channels, whatever was made for their clients.
fn buffers(channel: &str) -> Vec<String> {
    let all = zerobuffer::observe::list().unwrap().into_iter().map(|buffer| buffer.name);
    all.filter(|name| name.starts_with(channel)).collect()
}

fn nothing_is_left(channels: &[String]) {
    let left = || channels.iter().flat_map(|channel| buffers(channel)).collect::<Vec<_>>();
    wait_for("nothing is left", || left().is_empty(), || format!("{:?}", left()));
}

#[test]
fn a_remote_client_too_many_waits_for_a_place_and_learns_if_there_is_none() {
    let across = Across::start();
    let (server, seen) = serve_clients(&across.far, 2, ProcessingMode::SingleThread, 1 << 20);
    let (one, two) = (call_anew(&across.near, 1), call_anew(&across.near, 2));
    let three = connect(&across.near);
    let waits = three.submit(&request(3, ECHO, 16)).unwrap();
    assert!(waits.wait(Duration::from_millis(500)).unwrap().is_none(), "it has no place");
    // The others do not wait with it.
    drop(two.call(&request(4, ECHO, 16), LIMIT).unwrap());
    drop(one);
    assert_eq!(waits.wait(LIMIT).unwrap().unwrap().data()[8..], 3u64.to_be_bytes());
    let four = connect(&across.near);
    match four.call(&request(5, ECHO, 16), LIMIT) {
        Err(Error::Remote { kind, message, .. }) => {
            assert_eq!(kind, "busy");
            assert!(message.contains("2 of 2 clients are connected"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // The next request finds one, if there is one.
    drop(two);
    drop(four.call(&request(6, ECHO, 16), LIMIT).unwrap());
    // One that does not ask for a channel of its own has the plain one, which has room for one.
    let plain = ClientConfig::default().own_channel(false);
    drop(three);
    let plainly = Client::connect_with(&across.near, plain.clone()).unwrap();
    drop(plainly.call(&request(7, ECHO, 16), LIMIT).unwrap());
    let second = Client::connect_with(&across.near, plain.clone()).unwrap_err();
    assert!(matches!(second, Error::ClientAlreadyConnected { .. }), "{second}");
    drop(plainly);
    let next = Client::connect_with(&across.near, plain).unwrap();
    drop(next.call(&request(8, ECHO, 16), LIMIT).unwrap());
    assert_eq!(seen.requests(), [1, 2, 4, 3, 6, 7, 8]);
    drop((next, four));
    across.stop();
    server.stop();
}

#[test]
fn the_death_of_a_server_or_a_bridge_is_told_to_each_of_several_clients() {
    let mut across = Across::start();
    let told = |clients: Vec<(Client, Call)>| {
        for (_client, waits) in clients {
            let told = waits.wait(LIMIT);
            assert!(matches!(told, Err(Error::ServerGone { .. })), "{told:?}");
        }
    };
    // All are there before one asks what takes long.
    let start = |channel: &str, round: u64| {
        let clients: Vec<_> = (0..4).map(|who| call_anew(channel, round + who)).collect();
        let begin = |(who, client): (u64, Client)| {
            let waits = client.submit(&request(round + 100 + who, SLEEP | 3000, 16)).unwrap();
            (client, waits)
        };
        (0..).zip(clients).map(begin).collect::<Vec<_>>()
    };
    let mut process = server_process(&across.far, 8);
    let clients = start(&across.near, 0);
    process.kill().unwrap();
    process.wait().unwrap();
    told(clients);
    let workers = ProcessingMode::ThreadPool(16.try_into().unwrap());
    let (server, seen) = serve_clients(&across.far, 8, workers, 1 << 20);
    for round in 1..=4 {
        let clients = start(&across.near, round * 1000);
        let first = round * 1000 + 100;
        let begun = || seen.requests().iter().filter(|number| (first..first + 4).contains(*number)).count();
        wait_for("they are there", || begun() == 4, String::new);
        across = across.with_one_killed(round);
        told(clients);
    }
    drop(call_anew(&across.near, 9000));
    let requests = seen.requests();
    for number in &requests {
        assert_eq!(requests.iter().filter(|other| *other == number).count(), 1, "{number}: {requests:?}");
    }
    // The server has removed the channels of bridges that were killed.
    let own = || buffers(&format!("{}+", across.far)).into_iter().filter(|name| !name.ends_with("+_request"));
    wait_for("they are removed", || own().next().is_none(), || format!("{:?}", own().collect::<Vec<_>>()));
    let names = [across.far.clone(), across.near.clone()];
    across.stop();
    server.stop();
    nothing_is_left(&names);
}

/// A service for several clients, made by hand: it closes one channel, and serves the others.
#[test]
fn a_channel_that_the_server_closes_is_the_end_of_its_own_client_alone() {
    let across = Across::start();
    let made: Arc<Mutex<Vec<(Server, Seen)>>> = Arc::default();
    let (own, far) = (Arc::clone(&made), across.far.clone());
    let config = ServerConfig::default().buffer(BufferConfig::ring(4096).metadata(0));
    let entrance = Server::new(&format!("{far}+"), config);
    entrance
        .start(move |_, mut response| {
            let mut made = own.lock().unwrap();
            let channel = format!("{far}+{:016x}", made.len());
            made.push(serve(&channel, ProcessingMode::SingleThread, 1 << 20));
            response.write(format!("channel {channel}").as_bytes())?;
            Ok(())
        })
        .unwrap();
    let (plain, _) = serve(&across.far, ProcessingMode::SingleThread, 1 << 20);
    let (one, two) = (call_anew(&across.near, 1), call_anew(&across.near, 2));
    let which = |number| made.lock().unwrap().iter().position(|(_, seen)| seen.requests().contains(&number));
    let (ones, twos) = (which(1).unwrap(), which(2).unwrap());
    let stays = two.submit(&request(3, SLEEP | 4000, 16)).unwrap();
    // A handler that has begun may still answer.
    let begun = one.submit(&request(4, SLEEP | 500, 16)).unwrap();
    let waits = one.submit(&request(5, ECHO, 16)).unwrap();
    wait_for("they are there", || which(3) == Some(twos) && which(4) == Some(ones), String::new);
    made.lock().unwrap()[ones].0.stop();
    drop(begun);
    let closed = |told: Result<bool, Error>| match told {
        Err(Error::Remote { kind, message, .. }) => {
            assert_eq!(kind, "closed");
            assert!(message.contains("connect anew"), "{message}");
        }
        other => panic!("{other:?}"),
    };
    closed(waits.wait(LIMIT).map(|answer| answer.is_some()));
    for number in 6..9 {
        closed(one.call(&request(number, ECHO, 16), LIMIT).map(|_| true));
    }
    assert_eq!(stays.wait(LIMIT).unwrap().unwrap().data()[8..], 3u64.to_be_bytes());
    drop(two.call(&request(9, ECHO, 16), LIMIT).unwrap());
    assert_eq!(which(9), Some(twos), "it has kept its channel");
    // As the message says.
    drop(one);
    drop(call_anew(&across.near, 10));
    assert!((5..9).all(|number| which(number).is_none()), "no request is carried out by another channel");
    drop(two);
    let names = [across.far.clone(), across.near.clone()];
    across.stop();
    for server in [plain, entrance] {
        server.stop();
    }
    made.lock().unwrap().clear();
    nothing_is_left(&names);
}
