//! Clients that are served at the same time, each on a channel of its own (D10).

use crate::{
    Channel, LONG, SMALL, agent,
    common::{Name, Peer, check, content, expect_error},
    eventually, server,
};
use std::{collections::BTreeSet, path::PathBuf, thread, time::Duration};
use zerobuffer::{
    BufferConfig,
    duplex::{Client, ClientConfig, ProcessingMode, Server, ServerConfig},
    observe,
};

/// What exists of the entrance and of the clients' channels.
fn own(channel: &Channel) -> BTreeSet<String> {
    let prefix = format!("{}+", channel.name);
    let buffers = observe::list().unwrap().into_iter().map(|info| info.name);
    let own = buffers.filter(|name| name.starts_with(&prefix));
    let files = files(channel).into_iter();
    own.chain(files.map(|path| path.file_name().unwrap().to_string_lossy().into_owned())).collect()
}

/// All files of the entrance and of the clients' channels.
#[cfg(target_os = "linux")]
pub(crate) fn files(channel: &Channel) -> Vec<PathBuf> {
    let prefix = format!("{}+", channel.name);
    let paths = [vec![channel.request.shm()], channel.request.locks().to_vec()].concat();
    let folders = paths.iter().filter_map(|path| std::fs::read_dir(path.parent().unwrap()).ok());
    let files = folders.flatten().filter_map(Result::ok).map(|file| file.path());
    files.filter(|path| path.to_string_lossy().contains(&prefix)).collect()
}

/// The kernel's objects have no files.
#[cfg(not(target_os = "linux"))]
pub(crate) fn files(_: &Channel) -> Vec<PathBuf> {
    Vec::new()
}

/// Channels of clients that have a request buffer.
fn channels(channel: &Channel) -> usize {
    let entrance = format!("{}+_request", channel.name);
    let is_one =
        |name: &&String| name.ends_with("_request") && **name != entrance && !name.starts_with("sem.");
    own(channel).iter().filter(is_one).count()
}

fn small() -> BufferConfig {
    BufferConfig::ring(16 * 1024).metadata(64)
}

fn echo(channel: &Channel, config: ServerConfig) -> Server {
    let server = Server::new(&channel.name, config.buffer(small()));
    server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?)).unwrap();
    server
}

fn connect(channel: &Channel) -> Client {
    let client = channel.connect_with(16 * 1024);
    let own = client.channel().strip_prefix(&channel.name).unwrap().to_owned();
    assert!(own.starts_with('+') && own.len() == 17, "{own}");
    client
}

/// The promise: one client is stopped while its responses fill its ring. The others neither wait
/// for it nor lose an answer, and it finds all of its own when it goes on.
#[cfg(target_os = "linux")]
#[test]
fn eight_clients_of_which_one_is_stopped() {
    const CALLS: u64 = 200;
    for options in ["", "pool=3"] {
        let channel = Channel::new("d8");
        // Longer than any wait here: one that waits for the stopped client meets no end.
        let mut peer = server(&channel, "echo", &format!("clients=8 write-timeout=120000 {options}"));
        let mut clients: Vec<Peer> = (0..8)
            .map(|_| {
                let mut client = agent::start();
                client.must(&format!("connect {} 16384", channel.name));
                client
            })
            .collect();
        let names: BTreeSet<_> = clients.iter_mut().map(|client| client.must("channel")).collect();
        assert_eq!(names.len(), 8, "{names:?}");
        assert_eq!(channels(&channel), 8);
        let (stopped, others) = clients.split_first_mut().unwrap();
        let mut burst = |from: u64| {
            let started = std::time::Instant::now();
            for (i, client) in (1..).zip(&mut *others) {
                client.tell(&format!("burst {} {CALLS} 300", i * 100_000 + from));
            }
            for client in &mut *others {
                client.must_reply();
            }
            started.elapsed()
        };
        let before = (0..3).map(|round| burst(round * CALLS)).min().unwrap();
        // 200 KB of responses for a ring of 16 KB.
        for key in 1..=200 {
            stopped.must(&format!("send {key} 1000"));
        }
        stopped.signal(libc::SIGSTOP);
        // One round may meet a busy machine; a wait for the stopped client is in all of them.
        let beside = (3..13).map(|round| burst(round * CALLS)).find(|beside| *beside < 10 * before);
        println!(
            "{options}: 7 clients, {CALLS} requests each: {before:?} beside an idle one, {beside:?} beside a stopped one"
        );
        assert!(beside.is_some(), "10 rounds took 10 times as long as {before:?} each");
        stopped.signal(libc::SIGCONT);
        for key in 1..=200 {
            assert_eq!(stopped.must(&format!("receive 30000 {key}")), format!("{key} 1000"));
        }
        assert_eq!(peer.must("failures"), "");
        drop(clients);
        eventually("the channels are gone", || channels(&channel) == 0);
        peer.must("close");
        eventually("nothing is left of the clients", || own(&channel).is_empty());
        channel.assert_gone();
    }
}

#[test]
fn responses_go_out_in_each_client_s_order_from_one_pool() {
    let channel = Channel::new("dpoolorder");
    // The first byte says for how long a request sleeps: later ones are ready earlier.
    let mut peer = server(&channel, "reverse:1", "clients=4 pool=4");
    thread::scope(|scope| {
        for id in 0..4_u8 {
            let channel = &channel;
            scope.spawn(move || {
                let client = connect(channel);
                let request = |key: u8| [(7 - key % 8) % 5, id, key];
                let first = client.send(&request(0)).unwrap();
                for key in 1..40 {
                    client.send(&request(key)).unwrap();
                }
                for key in 0..40 {
                    let response = client.receive(LONG).unwrap().unwrap();
                    assert_eq!(response.data(), request(key));
                    assert_eq!(response.sequence(), first + u64::from(key));
                }
            });
        }
    });
    let at_once: u32 = peer.must("most-at-once").parse().unwrap();
    assert!((2..=4).contains(&at_once), "{at_once} handlers ran at once in a pool of 4");
}

#[test]
fn one_thread_calls_the_handlers_of_all_clients() {
    let channel = Channel::new("donethread");
    let mut peer = server(&channel, "slow:2", "clients=4");
    thread::scope(|scope| {
        for id in 1..=4 {
            let channel = &channel;
            scope.spawn(move || {
                let client = connect(channel);
                client.set_metadata(&content(id, 10 + id as usize)).unwrap();
                for key in 0..10 {
                    check(client.call(&content(id * 100 + key, 50), LONG).unwrap().data(), id * 100 + key)
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(peer.must("most-at-once"), "1");
    let inits = peer.must("inits");
    let inits: BTreeSet<_> = inits.split(' ').collect();
    assert_eq!(inits, BTreeSet::from(["11", "12", "13", "14"]), "each client is initialised once");
}

#[test]
fn clients_killed_at_any_point_leave_nothing() {
    let channel = Channel::new("dsevkill");
    let mut peer = server(&channel, "echo", "clients=8 pool=2");
    let bystander = connect(&channel);
    for round in 0..12_u64 {
        let mut client = agent::start();
        if round % 4 == 0 {
            // Anywhere on its way to the channel.
            client.tell(&format!("connect {} {SMALL}", channel.name));
        } else {
            client.must(&format!("connect {} {SMALL}", channel.name));
            client.tell("chatter 5000");
        }
        thread::sleep(Duration::from_micros(round * round * 150));
        client.kill();
        check(bystander.call(&content(round, 900), LONG).unwrap().data(), round).unwrap();
    }
    // Those that were made for a client that never came are kept for 5 seconds.
    eventually("only the bystander's channel is left", || channels(&channel) == 1);
    drop(bystander);
    // What was killed while it asked is followed at the entrance by the next one that asks.
    drop(connect(&channel).call(b"x", LONG).unwrap());
    eventually("the entrance alone is left", || {
        let left = own(&channel);
        channels(&channel) == 0 && !left.iter().any(|name| name.contains("_response"))
    });
    assert_eq!(peer.must("running"), "true");
    // Nobody follows this one.
    let mut last = agent::start();
    last.tell(&format!("connect {} {SMALL}", channel.name));
    last.kill();
    peer.must("close");
    #[cfg(target_os = "linux")]
    eventually("nothing is left of the clients", || own(&channel).is_empty());
}

#[test]
fn the_65th_client_is_refused_and_a_place_is_free_again() {
    assert_eq!(ServerConfig::CLIENTS, 64);
    let channel = Channel::new("d65");
    let server = echo(&channel, ServerConfig::default().several_clients());
    let mut clients: Vec<_> = (0..64).map(|_| connect(&channel)).collect();
    assert_eq!(server.request_buffers().len(), 65);
    for (key, client) in (0..).zip(&clients) {
        check(client.call(&content(key, 100), LONG).unwrap().data(), key).unwrap();
    }
    let refused =
        expect_error(Client::connect_with(&channel.name, ClientConfig::default()), "TooManyClients");
    assert!(refused.contains("64 of 64 clients") && refused.contains(&channel.name), "{refused}");
    // The plain channel is no place for those that ask, and is free for others.
    let plain = ClientConfig::default().own_channel(false).response_size(4096);
    let plain = Client::connect_with(&channel.name, plain).unwrap();
    assert_eq!((plain.channel(), plain.call(b"x", LONG).unwrap().data()), (&*channel.name, &b"x"[..]));
    // One that has time waits for a place.
    let next = thread::scope(|scope| {
        let next = scope.spawn(|| connect(&channel));
        thread::sleep(Duration::from_millis(50));
        drop(clients.pop());
        next.join().unwrap()
    });
    assert_eq!(next.call(b"next", LONG).unwrap().data(), b"next");
    assert_eq!(server.past_requests(), (1, 100), "one client with one request has gone");
    // It waits a fifth of a second for its end: 64 clients may take longer on a busy machine.
    eventually("all clients have been left", || server.stop());
    expect_error(next.call(b"x", LONG), "ServerGone");
    drop((clients, next, plain));
    #[cfg(target_os = "linux")]
    eventually("nothing is left of the clients", || own(&channel).is_empty());
    channel.assert_gone();
}

#[test]
fn a_server_that_was_killed_is_followed_by_one_that_removes_what_it_left() {
    let channel = Channel::new("dsevrestart");
    let mut peer = server(&channel, "echo", "clients=4");
    let clients = [connect(&channel), connect(&channel)];
    for client in &clients {
        drop(client.call(b"x", LONG).unwrap());
    }
    let mut dead = agent::start();
    dead.must(&format!("connect {} 16384", channel.name));
    // Both ends of the third channel die: nobody is left to remove it.
    peer.kill();
    dead.kill();
    for client in &clients {
        expect_error(client.call(b"x", LONG), "ServerGone");
    }
    let mut peer = server(&channel, "echo", "clients=4");
    // On Windows the name of memory that a client still uses is there.
    assert!(cfg!(windows) || channels(&channel) == 0, "{:?}", own(&channel));
    let next = [connect(&channel), connect(&channel)];
    for (key, client) in (0..).zip(&next) {
        check(client.call(&content(key, 100), LONG).unwrap().data(), key).unwrap();
    }
    drop((clients, next));
    peer.must("close");
    #[cfg(target_os = "linux")]
    eventually("nothing is left of the clients", || own(&channel).is_empty());
    channel.assert_gone();
}

#[test]
fn a_drain_answers_all_clients_and_lets_nobody_in() {
    let channel = Channel::new("dsevdrain");
    let mut peer = server(&channel, "slow:5", "clients=4 pool=2");
    let clients: Vec<_> = (0..4).map(|_| connect(&channel)).collect();
    for client in &clients {
        for key in 0..10 {
            client.send(&content(key, 100)).unwrap();
        }
    }
    assert_eq!(peer.must("drain 30000"), "true");
    for client in &clients {
        for key in 0..10 {
            check(client.receive(LONG).unwrap().unwrap().data(), key).unwrap();
        }
        expect_error(client.receive(LONG), "ServerGone");
    }
    expect_error(Client::connect(&channel.name), "NoServer");
    assert_eq!(peer.must("failures"), "");
    drop(clients);
    #[cfg(target_os = "linux")]
    eventually("nothing is left of the clients", || own(&channel).is_empty());
}

#[test]
fn a_stop_is_prompt_whatever_the_clients_do() {
    let channel = Channel::new("dsevstop");
    let mut peer = server(&channel, "slow:60000", "clients=3");
    let clients: Vec<_> = (0..3).map(|_| connect(&channel)).collect();
    clients[0].send(b"x").unwrap();
    eventually("the handler is busy", || peer.must("most-at-once") == "1");
    for client in &clients {
        client.send(b"x").unwrap();
    }
    let stopped = peer.must("stop");
    println!("stop: busy handlers left alone or not, milliseconds: {stopped}");
    let (_, taken) = stopped.split_once(' ').unwrap();
    assert!(taken.parse::<u64>().unwrap() < 2000, "200 ms is the rule: {stopped}");
    // On Windows the name of memory that a handler still uses is there.
    assert!(cfg!(windows) || channels(&channel) == 0);
    // The first one's handler may still answer.
    for client in &clients[1..] {
        expect_error(client.receive(LONG), "ServerGone");
    }
}

/// A client that reads nothing, in a pool of one thread. Responses to it are kept while its ring
/// would hold them, and each one that is given up is reported.
#[test]
fn responses_that_find_no_room_in_time_are_reported_and_the_next_ones_go_out() {
    let channel = Channel::new("dsevfull");
    let mut peer = server(&channel, "echo", "clients=2 write-timeout=100");
    let client = channel.connect_with(4096);
    for key in 0..40 {
        client.send(&content(key, 1000)).unwrap();
    }
    eventually("one is given up", || peer.must("failures").contains("Handler: "));
    let failures = peer.must("failures");
    println!("{failures}");
    let other = connect(&channel);
    check(other.call(&content(7, 1000), LONG).unwrap().data(), 7).unwrap();
    // In order, with gaps.
    let mut last = 0;
    while let Some(response) = client.receive(Duration::from_millis(500)).unwrap() {
        assert!(response.sequence() > last, "{} after {last}", response.sequence());
        last = response.sequence();
    }
    assert!(last > 0);
}

#[test]
fn what_is_no_question_is_not_answered_at_the_entrance() {
    let channel = Channel::new("dsevdoor");
    let server = echo(&channel, ServerConfig::default().clients(2));
    let plain = ClientConfig::default().own_channel(false).response_size(4096).connect_timeout(LONG);
    let client = Client::connect_with(&format!("{}+", channel.name), plain).unwrap();
    let text = expect_error(client.call(b"a request", LONG), "Remote");
    assert!(text.contains("entrance"), "{text}");
    drop(client);
    assert_eq!(connect(&channel).call(b"x", LONG).unwrap().data(), b"x");
    drop(server);
    // A server of one client has no entrance.
    let server = echo(&channel, ServerConfig::default().mode(ProcessingMode::thread_pool()));
    eventually("nothing is left of the clients", || own(&channel).is_empty());
    assert_eq!(channel.connect_with(4096).channel(), channel.name);
    drop(server);
    // A name that has room for a response buffer, but not for those of clients.
    let long = "n".repeat(230);
    let server = Server::new(&long, ServerConfig::default().clients(2));
    let text = expect_error(server.start(|_, _| Ok(())), "InvalidName");
    assert!(text.contains("no room for '+'"), "{text}");
}

/// The plain channel is what it is: a client of 1.3.0 has it as long as it likes. The others come
/// and go beside it.
#[cfg(target_os = "linux")]
#[test]
fn a_client_of_1_3_0_has_the_plain_channel_beside_others() {
    let channel = Channel::new("dsevold");
    let mut peer = server(&channel, "echo", "clients=4");
    let Some(mut old) = Peer::old_running("old_duplex.py") else { return };
    let before = connect(&channel);
    drop(before.call(b"x", LONG).unwrap());
    old.must(&format!("connect {}", channel.name));
    let after = connect(&channel);
    eventually("both ends are connected", || old.must("connected") == "true");
    for key in 1..=50 {
        assert_eq!(old.must(&format!("send {key} 5000")), key.to_string());
        for (i, client) in (1..).zip([&before, &after]) {
            check(client.call(&content(key * 10 + i, 700), LONG).unwrap().data(), key * 10 + i).unwrap();
        }
    }
    for key in 1..=50 {
        assert_eq!(old.must(&format!("receive 20000 {key}")), format!("{key} 5000"));
    }
    let plain = ClientConfig::default().own_channel(false).response_size(4096);
    expect_error(Client::connect_with(&channel.name, plain), "ClientAlreadyConnected");
    old.must("close");
    eventually("its end is reported", || peer.must("failures").contains("ClientGone: "));
    // The next one of its kind.
    old.must(&format!("connect {}", channel.name));
    assert_eq!(old.must("send 7 70"), "1");
    assert_eq!(old.must("receive 20000 7"), "1 70");
    check(after.call(&content(8, 80), LONG).unwrap().data(), 8).unwrap();
}

/// What another process has called as an entrance would be called is none.
#[test]
fn a_buffer_that_is_called_like_an_entrance_keeps_nobody_out() {
    let channel = Channel::new("dplus");
    let foreign = Name::of(&format!("{}+_request", channel.name));
    let mut other = Peer::native();
    other.must(&format!("create {} 64 4096", &*foreign));
    let server = echo(&channel, ServerConfig::default());
    let client = channel.connect_with(16 * 1024);
    assert_eq!((client.channel(), client.call(b"x", LONG).unwrap().data()), (&*channel.name, &b"x"[..]));
    drop(client);
    assert!(server.stop());
    other.must("close");
}
