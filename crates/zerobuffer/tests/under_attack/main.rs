//! Streams that run while a process of its own writes over their control blocks, metadata, headers
//! and semaphores. No end crashes, hangs or takes memory for what it reads. Every error names a
//! buffer and a field (W13).
// The damage is done to the files in /dev/shm.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../damage/mod.rs"]
mod damage;
mod roles;

use common::{Name, Peer};

/// How long each scene lasts, milliseconds.
const LENGTH: u64 = 3000;

/// Plays the roles side by side on one buffer or channel while an attacker has its way; what each
/// of them says.
fn play(names: &[&str], roles: &[&str], subject: &str) -> Vec<Report> {
    let seed = std::env::var("ZEROBUFFER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    println!("ZEROBUFFER_TEST_SEED={seed}");
    let mut attacker = roles::start();
    attacker.tell(&format!("attack {seed} {LENGTH} {}", names.join(" ")));
    let mut peers: Vec<Peer> = roles.iter().map(|_| roles::start()).collect();
    for ((peer, role), number) in peers.iter_mut().zip(roles).zip(1_u64..) {
        peer.tell(&format!("{role} {} {LENGTH} {subject}", seed + number));
    }
    let replies = peers.iter_mut().map(Peer::must_reply);
    let reports: Vec<Report> = replies.map(|text| Report::parse(&text)).collect();
    let changes: u64 = attacker.must_reply().parse().unwrap();
    println!("{changes} changes: {reports:?}");
    assert!(changes > 100, "only {changes} changes were made");
    for peer in peers {
        peer.finish();
    }
    reports
}

/// How often a role did something, and how often it got an error that something is impossible.
#[derive(Debug)]
struct Report {
    done: u64,
    corrupt: u64,
}

impl Report {
    fn parse(text: &str) -> Self {
        let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let &[done, corrupt] = numbers.as_slice() else { panic!("{text}") };
        Self { done, corrupt }
    }
}

#[test]
fn a_stream() {
    let name = Name::new("attack");
    let reports = play(&[&name], &["reader", "writer"], &name);
    assert!(reports.iter().all(|report| report.done > 50), "{reports:?}");
    assert!(reports[0].corrupt > 0, "the attacks have not met anything: {reports:?}");
}

#[test]
fn a_stream_that_others_look_at_and_clean_up_after() {
    let name = Name::new("attack-look");
    let reports = play(&[&name], &["reader", "writer", "observer"], &name);
    assert!(reports.iter().all(|report| report.done > 20), "{reports:?}");
}

#[test]
fn a_channel() {
    let channel = Name::new("c");
    let (request, response) =
        (Name::of(&format!("{}_request", &*channel)), Name::of(&format!("{}_response", &*channel)));
    let reports = play(&[&request, &response], &["server", "client"], &channel);
    assert!(reports.iter().all(|report| report.done > 5), "{reports:?}");
    assert!(reports.iter().any(|report| report.corrupt > 0), "nothing was met: {reports:?}");
}
