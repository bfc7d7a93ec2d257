//! The command while another process writes over the buffer: no run ends by a signal, in a panic or
//! never (W13).
// The tests speak to the command by signals and files of Unix.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;
#[path = "../../zerobuffer/tests/damage/mod.rs"]
mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Done, command, files, name, start_command};

/// How long the attack lasts.
const LENGTH: Duration = Duration::from_secs(4);
/// Exit codes that a damaged buffer may lead to: `zerobuffer --help` has the table. Not among them:
/// 1 (the operating system), 9 (memory), 70 (a defect).
const OUTCOMES: [i32; 7] = [0, 3, 4, 5, 6, 7, 8];

/// Runs the command to its end with bounded memory: what a field claims is not allocated.
fn run(arguments: &[&str]) -> Done {
    let mut bounded = bounded(&command(arguments));
    start_command(bounded.stdin(Stdio::null()).stdout(Stdio::piped())).finish()
}

/// The same command with an address space of 1 GiB.
#[cfg(not(fuzzing))]
fn bounded(plain: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 1048576; exec \"$@\"", "sh"]).arg(plain.get_program());
    limited.args(plain.get_args()).env_remove("ZEROBUFFER_LOG");
    limited
}

/// Under `AddressSanitizer`, whose shadow is an address space of terabytes, by the sanitizer's own
/// limits. What it finds ends the command with a code of its own, which is in no table.
#[cfg(fuzzing)]
fn bounded(plain: &Command) -> Command {
    let mut limited = Command::new(plain.get_program());
    limited.args(plain.get_args()).env_remove("ZEROBUFFER_LOG");
    limited.env(
        "ASAN_OPTIONS",
        "max_allocation_size_mb=256:hard_rss_limit_mb=1024:allocator_may_return_null=0:exitcode=99",
    );
    limited
}

/// Runs the commands one after the other until the attack is over; how often each code came.
fn keep_running(commands: &[&[&str]], end: Instant) -> BTreeMap<i32, u32> {
    let mut codes = BTreeMap::new();
    for arguments in commands.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let done = run(arguments);
        let code = done.code.unwrap_or(-1);
        assert!(
            OUTCOMES.contains(&code),
            "{arguments:?}: code {code}, signal {:?}: {}",
            done.signal,
            done.stderr
        );
        if code == 8 {
            // The field, and what was expected of it.
            assert!(done.stderr.contains("expected") || done.stderr.contains("version"), "{}", done.stderr);
        }
        *codes.entry(code).or_default() += 1;
    }
    codes
}

#[test]
fn every_command_comes_to_an_end_of_its_table() {
    let name = &*name();
    let input = std::env::temp_dir().join(format!("{name}.raw"));
    fs::write(&input, vec![7; 100 * 400]).unwrap();
    let input_path = input.to_str().unwrap();
    let short = ["--wait", "0.2", "--timeout", "0.2"];
    let recv =
        [&["recv", name, "--ring", "1KiB", "--metadata", "64", "--frames", "300"][..], &short].concat();
    let (raw, null) =
        ([&recv[..], &["--format", "raw"]].concat(), [&recv[..], &["--format", "null"]].concat());
    let send = [&["send", name, "--input", input_path][..], &short].concat();
    let (small, large) = ([&send[..], &["--size", "100"]].concat(), [&send[..], &["--size", "800"]].concat());
    let looks: [&[&str]; 6] = [
        &["ls"],
        &["ls", "--json"],
        &["inspect", name],
        &["inspect", name, "--json"],
        &["clean", name],
        &["clean", name, "--yes", "--json"],
    ];
    let end = Instant::now() + LENGTH;
    let (receives, sends, looked, changes) = thread::scope(|scope| {
        let receives = scope.spawn(|| keep_running(&[&raw, &null], end));
        let sends = scope.spawn(|| keep_running(&[&small, &large], end));
        let looked = scope.spawn(|| keep_running(&looks, end));
        let own = u64::from(std::process::id());
        let changes = damage::keep_damaging(&[name.to_owned()], 64, 1024, own, LENGTH);
        (receives.join().unwrap(), sends.join().unwrap(), looked.join().unwrap(), changes)
    });
    fs::remove_file(input).unwrap();
    for file in files(name) {
        let _ = fs::remove_file(file);
    }
    println!("{changes} changes; codes of recv {receives:?}, send {sends:?}, others {looked:?}");
    assert!(changes > 100, "only {changes} changes were made");
    assert!(receives.contains_key(&8), "the attacks have not met recv: {receives:?}");
    assert!(sends.len() > 1 && looked.values().sum::<u32>() > 20, "{sends:?} {looked:?}");
}
