//! Start, stop, restart, from everywhere and at any time (D1, D5, D6).

use crate::{Channel, LONG, SMALL, agent, common::check, common::content, eventually, server};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig,
    duplex::{Client, ClientConfig, Server, ServerConfig},
};

#[test]
fn the_request_buffer_exists_when_start_returns() {
    for _ in 0..20 {
        let channel = Channel::new("dstart");
        let server =
            Server::new(&channel.name, ServerConfig::default().buffer(BufferConfig::ring(4096).metadata(64)));
        server.start(|_, mut response| Ok(response.write(b"!").map(drop)?)).unwrap();
        let client =
            Client::connect_with(&channel.name, ClientConfig::default().response_size(4096)).unwrap();
        assert_eq!(client.call(b"?", LONG).unwrap().data(), b"!");
    }
}

#[test]
fn start_twice_stop_twice_and_start_again() {
    let channel = Channel::new("dtwice");
    let server = Server::new(&channel.name, ServerConfig::default());
    assert!(server.stop(), "nothing runs");
    for round in 0..5_u8 {
        server.start(move |_, mut response| Ok(response.write(&[round]).map(drop)?)).unwrap();
        let error = server.start(|_, _| Ok(())).unwrap_err();
        assert!(matches!(error, zerobuffer::Error::ServerRunning { .. }), "{error}");
        assert!(server.is_running() && server.request_buffer().is_some());
        let client = channel.connect_with(4096);
        assert_eq!(client.call(b"?", LONG).unwrap().data(), [round]);
        let stopped = Instant::now();
        assert!(server.stop() && server.stop());
        assert!(stopped.elapsed() < Duration::from_millis(500), "{:?}", stopped.elapsed());
        assert!(!server.is_running() && server.request_buffer().is_none());
        assert!(client.call(b"?", LONG).unwrap_err().is_peer_gone());
        drop(client);
        channel.assert_gone();
    }
}

#[test]
fn stop_without_any_client_is_prompt() {
    let channel = Channel::new("dprompt");
    let mut peer = server(&channel, "echo", "");
    let mut times: Vec<u64> = Vec::new();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(30));
        let answer = peer.must("stop");
        times.push(answer.split_once(' ').unwrap().1.parse().unwrap());
        channel.assert_gone();
        peer.must(&format!("serve {} echo", channel.name));
    }
    times.sort_unstable();
    // The promise is 200 ms; the machine is shared.
    assert!(times[2] <= 200, "stopping took {times:?} ms");
}

#[test]
fn stop_while_blocked_on_a_full_response_ring() {
    let channel = Channel::new("dblocked");
    let mut peer = server(&channel, "echo", "write-timeout=60000");
    let client = channel.connect_with(4096);
    for key in 1..=4 {
        client.send(&content(key, 3000)).unwrap();
    }
    eventually("an answer is there", || client.response_buffer().utilization() > 0.7);
    std::thread::sleep(Duration::from_millis(100));
    let answer = peer.must("stop");
    let taken: u64 = answer.strip_prefix("true ").unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
    assert!(taken <= 400, "stopping took {taken} ms");
    check(client.receive(LONG).unwrap().unwrap().data(), 1).unwrap();
    assert!(client.receive(LONG).unwrap_err().is_peer_gone());
}

#[test]
fn stop_from_a_handler_lets_it_answer() {
    for options in ["", "pool=2"] {
        let channel = Channel::new("dself");
        let mut peer = server(&channel, "stop", options);
        let client = channel.connect();
        let response = client.call(b"stop yourself", LONG).unwrap();
        let taken: u64 = std::str::from_utf8(response.data()).unwrap().parse().unwrap();
        assert!(taken <= 400, "stopping took {taken} ms");
        assert!(client.receive(LONG).unwrap_err().is_peer_gone());
        assert_eq!(peer.must("running"), "false");
        assert_eq!(peer.must("failures"), "");
        drop(client);
        eventually("the buffers are gone", || channel.request.leftovers().is_empty());
        // The same object, again.
        peer.must(&format!("serve {} echo", channel.name));
        check(channel.connect().call(&content(1, 50), LONG).unwrap().data(), 1).unwrap();
    }
}

#[test]
fn a_stopped_server_has_no_request_buffer_although_its_handler_is_busy() {
    for from_the_handler in [false, true] {
        let channel = Channel::new("dbusy");
        let server = Arc::new(Server::new(&channel.name, ServerConfig::default()));
        let (begun, is_begun) = mpsc::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let (own, may_finish) = (Arc::downgrade(&server), Mutex::new(may_finish));
        let handler = move |_: zerobuffer::Frame, _: zerobuffer::duplex::Responder| {
            let server = own.upgrade().unwrap();
            let stopped = from_the_handler && !server.stop() && server.request_buffer().is_some();
            begun.send(stopped).unwrap();
            drop(server);
            let _ = may_finish.lock().unwrap().recv();
            Ok(())
        };
        server.start(handler).unwrap();
        let client = channel.connect();
        client.send(b"x").unwrap();
        assert!(!is_begun.recv_timeout(LONG).unwrap(), "a buffer after a stop by the handler");
        assert!(from_the_handler || server.request_buffer().is_some(), "nobody has stopped it");
        assert!(!server.stop(), "the handler is busy");
        assert!(server.request_buffer().is_none() && !server.is_running());
        drop(finish);
        assert!(server.wait(Some(LONG)));
        assert!(server.request_buffer().is_none());
        drop(client);
        channel.assert_gone();
    }
}

#[test]
fn a_server_that_is_not_persistent_reports_and_stops() {
    let channel = Channel::new("donce");
    let mut peer = server(&channel, "echo", "once client-timeout=100");
    eventually("it has stopped", || peer.must("running") == "false");
    let failures = peer.must("failures");
    assert!(failures.starts_with("NoClient: ") && !failures.contains('|'), "{failures}");
    eventually("the buffer is gone", || channel.request.leftovers().is_empty());

    let mut peer = server(&channel, "echo", "once client-timeout=20000");
    let client = channel.connect();
    drop(client.call(b"x", LONG).unwrap());
    drop(client);
    eventually("it has stopped", || peer.must("running") == "false");
    let failures = peer.must("failures");
    assert!(failures.starts_with("ClientGone: ") && !failures.contains('|'), "{failures}");
}

#[test]
fn a_persistent_server_reports_the_absence_of_clients_once_and_serves_on() {
    let channel = Channel::new("dabsent");
    let mut peer = server(&channel, "echo", "client-timeout=50");
    std::thread::sleep(Duration::from_millis(400));
    let failures = peer.must("failures");
    assert!(failures.starts_with("NoClient: ") && !failures.contains('|'), "{failures}");
    check(channel.connect().call(&content(1, 50), LONG).unwrap().data(), 1).unwrap();
}

#[test]
fn a_client_without_a_response_buffer_is_reported_and_the_next_one_served() {
    let channel = Channel::new("dmute");
    let mut peer = server(&channel, "echo", "client-timeout=300");
    let mut writer = zerobuffer::Writer::connect(&channel.request).unwrap();
    for _ in 0..3 {
        writer.write(b"to nobody").unwrap();
    }
    eventually("it is reported", || peer.must("failures").contains("NoResponseBuffer: "));
    drop(writer);
    check(channel.connect().call(&content(1, 50), LONG).unwrap().data(), 1).unwrap();
    assert_eq!(peer.must("handled"), "1");
}

#[test]
fn a_client_that_follows_a_mute_one_is_not_taken_for_it() {
    let channel = Channel::new("dfollow");
    let _peer = server(&channel, "echo", "client-timeout=1");
    for round in 0..20_u64 {
        let mut mute = zerobuffer::Writer::connect(&channel.request).unwrap();
        if round % 3 != 0 {
            mute.write(b"to nobody").unwrap();
        }
        // The next one comes at any moment of the server's looks for a response buffer.
        std::thread::sleep(Duration::from_micros(90_000 + round * 2_500));
        drop(mute);
        let answer = channel.connect().call(&content(round, 50), LONG);
        check(answer.unwrap_or_else(|error| panic!("round {round}: {error}")).data(), round).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_servers_and_clients_leak_nothing() {
    let channel = Channel::new("dleak");
    let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
    // Other tests of this process come and go: a process of its own.
    if std::env::var_os("ZEROBUFFER_TEST_LEAK").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "life::a_thousand_servers_and_clients_leak_nothing", "--nocapture"])
            .env("ZEROBUFFER_TEST_LEAK", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let mut before = (0, 0, 0);
    for round in 0..1000_u32 {
        if round == 50 {
            before = (entries("/proc/self/fd"), mappings(), entries("/proc/self/task"));
        }
        let config = ServerConfig::default().buffer(BufferConfig::ring(4096).metadata(64));
        let server = Server::new(&channel.name, config);
        server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?)).unwrap();
        let client =
            Client::connect_with(&channel.name, ClientConfig::default().response_size(4096)).unwrap();
        if round % 4 == 0 {
            drop(client.call(b"x", LONG).unwrap());
        }
        if round % 2 == 0 {
            drop(client);
            assert!(server.stop());
        } else {
            drop(server);
            drop(client);
        }
        channel.assert_gone();
    }
    // A serving thread says that it has ended a moment before it has.
    crate::eventually("all serving threads have ended", || entries("/proc/self/task") <= before.2);
    let after = (entries("/proc/self/fd"), mappings());
    let grown = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    // Thread stacks are kept by the allocator for the next thread.
    assert!(grown.0 == 0 && grown.1 <= 16, "descriptors and mappings grew by {grown:?} in 950 rounds");
}

#[test]
fn many_clients_one_after_the_other() {
    let channel = Channel::new("dmany");
    let mut peer = server(&channel, "echo", "");
    let mut agent = agent::start();
    for round in 0..60_u64 {
        if round % 3 == 0 {
            agent.must(&format!("connect {} {SMALL}", channel.name));
            agent.must("call 3 100 20000");
            agent.must("close");
        } else {
            let client = channel.connect();
            // Requests that are not waited for: their answers must not reach the next client.
            for key in 0..round % 5 {
                client.send(&content(key, 100)).unwrap();
            }
            check(client.call(&content(round, 10), LONG).unwrap().data(), round).unwrap();
            client.send(b"unread").unwrap();
        }
    }
    assert_eq!(peer.must("running"), "true");
}

/// The request buffer becomes unusable while somebody else has its name. Nothing announces that the
/// name is free again: the server tries, and it stops as promptly as ever.
#[cfg(target_os = "linux")]
#[test]
fn an_unusable_request_buffer_is_made_anew_once_its_name_is_free() {
    use crate::common::{Segment, segment::PUBLISHED};
    for stops in [false, true] {
        let channel = Channel::new("danew");
        let mut peer = server(&channel, "echo", "");
        let client = channel.connect();
        check(client.call(&content(1, 50), LONG).unwrap().data(), 1).unwrap();
        let segment = Segment::open(&channel.request);
        assert!(segment.is_native());
        let foreign = channel.request.shm();
        std::fs::remove_file(&foreign).unwrap();
        std::fs::write(&foreign, [0x5A; 4096]).unwrap();
        segment.set_native(PUBLISHED, u64::MAX / 2);
        channel.request.post_data();
        eventually("it is reported", || peer.must("failures").contains("Buffer: "));
        // Several tries.
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(std::fs::read(&foreign).unwrap(), [0x5A; 4096], "a foreign file was touched");
        assert_eq!(peer.must("running"), "true");
        drop(client);
        if stops {
            let answer = peer.must("stop");
            let taken: u64 =
                answer.strip_prefix("true ").unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
            println!("stopping took {taken} ms");
            // The promise is 200 ms.
            assert!(taken <= 2000, "stopping took {taken} ms");
        } else {
            std::fs::remove_file(&foreign).unwrap();
            check(channel.connect().call(&content(2, 50), LONG).unwrap().data(), 2).unwrap();
        }
        assert_eq!(peer.must("failures").matches("Buffer: ").count(), 1, "reported once");
    }
}
