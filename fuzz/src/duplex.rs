//! Hostile memory under a channel: server and client in one process, both of their buffers damaged
//! between calls.

use crate::{damage::Victim, fresh, hostile::judge, script::Script};
use std::time::Duration;
use zerobuffer::{
    BufferConfig, WaitStrategy,
    duplex::{Client, ClientConfig, ProcessingMode, Server, ServerConfig},
};

const RING: u64 = 1024;
const METADATA: u64 = 64;
/// Calls that wait: each may cost as much as this.
const CALL: Duration = Duration::from_millis(3);
/// A script of more steps says nothing that a shorter one does not.
const STEPS: usize = 24;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let channel = fresh::name("duplex");
    let options = script.byte();
    let buffer = BufferConfig::ring(RING).metadata(METADATA).prefault(false);
    let mut config = ServerConfig::default().buffer(buffer).wait(WaitStrategy::Block);
    config = config.write_timeout(Some(CALL)).on_error(|failure| {
        std::hint::black_box(failure.to_string());
    });
    if options & 1 != 0 {
        config = config.mode(ProcessingMode::thread_pool());
    }
    let server = Server::new(&channel, config);
    if options & 2 == 0 {
        server
            .start(|request, mut response| {
                let answer = request.data().first().map_or(1, |&first| usize::from(first) + 1);
                Ok(response.write(&vec![1; answer]).map(drop)?)
            })
            .unwrap();
    } else {
        server
            .start_mutable(|request| {
                request.data_mut().reverse();
                Ok(())
            })
            .unwrap();
    }
    let mut client = connect(&channel);
    for _ in 0..STEPS {
        let Some(step) = script.next() else { break };
        match (step % 8, &client) {
            (0 | 1, _) => damage(&channel, "request", &mut script),
            (2 | 3, _) => damage(&channel, "response", &mut script),
            (4 | 5, Some(client)) => {
                let request = vec![script.byte(); script.short() as usize % 1100];
                if let Some(response) = judge(&channel, client.call(&request, CALL)) {
                    assert!(response.data().len() as u64 + 16 <= RING);
                    std::hint::black_box(response.data().iter().fold(0, |sum: u8, byte| sum ^ byte));
                }
            }
            (6, Some(client)) => {
                judge(&channel, client.set_metadata(&vec![3; usize::from(script.byte() % 70)]));
                judge(&channel, client.receive(Duration::ZERO));
                let _ = client.is_server_connected();
            }
            _ => {
                drop(client.take());
                client = connect(&channel);
            }
        }
    }
    drop(client);
    server.stop();
    drop(server);
    for side in ["request", "response"] {
        fresh::sweep(&format!("{channel}_{side}"));
    }
}

fn connect(channel: &str) -> Option<Client> {
    let config = ClientConfig::default().response_size(RING).response_metadata_size(METADATA);
    let config = config.connect_timeout(Duration::ZERO).write_timeout(Some(CALL)).wait(WaitStrategy::Block);
    judge(channel, Client::connect_with(channel, config))
}

fn damage(channel: &str, side: &str, script: &mut Script<'_>) {
    let name = format!("{channel}_{side}");
    // There is none between two clients.
    if let Ok(victim) = Victim::open(&name, METADATA, RING) {
        victim.damage(&mut || script.byte()).unwrap();
    }
}
