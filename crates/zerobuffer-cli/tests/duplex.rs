//! `serve` and `call`: a program as a duplex server.
// The tests speak to the command by signals, FIFOs and files of Unix.
#![cfg(unix)]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Running, assert_no_files, assert_same, command, feed, name, noise, start, until};
use rustix::process::Signal;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

fn serving(channel: &str, program: &str, options: &[&str]) -> Running {
    let mut server = start(&[&["serve", channel, "--exec", program], options].concat());
    server.wait_for("serving channel");
    server
}

fn ended(server: Running, channel: &str) {
    server.signal(Signal::INT);
    let done = server.finish();
    assert!(done.shell_code() == 130 && done.stderr.contains("stopped by Ctrl-C"), "{}", done.stderr);
    assert_no_files(&format!("{channel}_request"));
    assert_no_files(&format!("{channel}_response"));
}

#[test]
fn a_filter_answers_one_call_after_the_other() {
    let channel = name();
    let server = serving(&channel, "tr a-z A-Z", &[]);
    for text in ["hello", "zero", "copies"] {
        assert_eq!(feed(&["call", &channel], text.as_bytes()).ok().text(), text.to_uppercase());
    }
    let large = noise(5_000_000, 7);
    let other = name();
    let cat = serving(&other, "cat", &["--workers", "3"]);
    assert_same(&feed(&["call", &other], &large).ok().stdout, &large);
    ended(cat, &other);
    ended(server, &channel);
}

#[test]
fn a_program_that_fails_is_reported_at_both_ends() {
    let channel = name();
    let mut server = serving(&channel, "cat > /dev/null; exit 3", &[]);
    feed(&["call", &channel, "--timeout", "0.3"], b"x").failed(7, &["no response", "300ms"]);
    server.wait_for("exit status: 3");
    ended(server, &channel);
}

#[test]
fn without_a_server_or_without_room() {
    let channel = name();
    let parts = ["does not exist", &format!("zerobuffer serve {channel} --exec"), "--wait SECONDS"];
    feed(&["call", &channel, "--wait", "0"], b"x").failed(4, &parts);
    let server = serving(&channel, "cat", &[]);
    feed(&["call", &channel, "--response-size", "1000TiB"], b"x").failed(9, &["response_size"]);
    feed(&["call", &channel], b"").failed(3, &["0 bytes"]);
    ended(server, &channel);
}

#[test]
fn standard_input_is_taken_from_where_it_stands() {
    let channel = name();
    let server = serving(&channel, "cat", &[]);
    let call = |input: Stdio| command(&["call", &channel]).stdin(input).output().unwrap().stdout;

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"by a socket").unwrap();
    drop(ours);
    assert_eq!(call(OwnedFd::from(theirs).into()), b"by a socket");

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"read before\nthe request").unwrap();
    file.seek(SeekFrom::Start(12)).unwrap();
    assert_eq!(call(file.into()), b"the request");
    ended(server, &channel);
}

#[test]
fn programs_end_with_their_server() {
    let channel = name();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    // The second one does not end when asked to.
    for stubborn in ["", "trap '' TERM; "] {
        let program =
            format!("{stubborn}sleep 1000 & echo $! $$ > {}.new; mv {0}.new {0}; wait; wait", file.display());
        let server = serving(&channel, &program, &[]);
        let request = folder.path().join("request");
        std::fs::write(&request, "x").unwrap();
        let call = start(&["call", &channel, "--input", request.to_str().unwrap()]);
        until("the program runs", || file.exists());
        let pids = std::fs::read_to_string(&file).unwrap();
        let pids: Vec<&str> = pids.split_whitespace().collect();
        assert_eq!(pids.len(), 2);
        server.signal(Signal::TERM);
        let done = server.finish();
        assert!(done.shell_code() == 143, "{}", done.stderr);
        let runs = |pid: &&&str| {
            // What its parent has not waited for yet is a zombie.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        until("no program is left", || pids.iter().filter(runs).count() == 0);
        assert_eq!(call.finish().code, Some(6));
        assert_no_files(&format!("{channel}_request"));
        std::fs::remove_file(&file).unwrap();
    }
}
