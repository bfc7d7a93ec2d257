//! `serve` and `call`: a program as a duplex server.

use crate::common::{
    Running, assert_no_files, assert_same, children, command, feed, name, noise, run, start, start_command,
    until,
};
use rustix::process::Signal;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    let mut server = serving(&channel, "cat > /dev/null; echo why >&2; exit 3", &[]);
    let asked = Instant::now();
    feed(&["call", &channel, "--timeout", "60"], b"x")
        .failed(11, &[&format!("the program of channel '{channel}' failed"), "exit status: 3: why"]);
    assert!(asked.elapsed() < Duration::from_secs(30), "it learns at once: {:?}", asked.elapsed());
    server.wait_for("request 1: 'cat > /dev/null; echo why >&2; exit 3' ended with exit status: 3: why");
    ended(server, &channel);
}

#[test]
fn without_a_server_or_without_room() {
    let channel = name();
    let parts = ["has no server", &format!("zerobuffer serve {channel} --exec"), "--wait SECONDS"];
    feed(&["call", &channel, "--wait", "0"], b"x").failed(4, &parts);
    let server = serving(&channel, "cat", &[]);
    feed(&["call", &channel, "--response-size", "1000TiB"], b"x").failed(9, &["--response-size", "bytes"]);
    feed(&["call", &channel], b"").failed(3, &["the request is empty"]);
    start(&["serve", &channel, "--exec", "cat"]).finish().failed(5, &["already has a server, process"]);
    feed(&["call", "a/b"], b"x").failed(2, &["'a/b' cannot be a channel's name"]);
    start(&["serve", "a/b", "--exec", "cat"]).finish().failed(2, &["'a/b' cannot be a channel's name"]);
    ended(server, &channel);
}

#[test]
fn standard_input_is_taken_from_where_it_stands() {
    let channel = name();
    let server = serving(&channel, "cat", &[]);
    let call = |input: Stdio| command(&["call", &channel]).stdin(input).output().unwrap().stdout;

    let (mut own, theirs) = UnixStream::pair().unwrap();
    own.write_all(b"by a socket").unwrap();
    drop(own);
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
        // It learns that its program was ended, or that its server has gone, whichever comes first.
        assert!(matches!(call.finish().code, Some(6 | 11)));
        assert_no_files(&format!("{channel}_request"));
        std::fs::remove_file(&file).unwrap();
    }
}

/// The command with an address space of 1 GiB: what has no end must not be kept.
fn bounded(arguments: &[&str]) -> Running {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -v 1048576; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_zerobuffer")])
        .args(arguments);
    start_command(shell.stdin(Stdio::null()).stdout(Stdio::piped()))
}

#[test]
fn input_and_output_without_end_are_bounded_by_the_rings() {
    let channel = name();
    let mut server = bounded(&["serve", &channel, "--exec", "cat /dev/zero", "--ring", "1MiB"]);
    server.wait_for("serving channel");
    bounded(&["call", &channel, "-i", "/dev/zero"])
        .finish()
        .failed(3, &["more than 1048560 bytes", &format!("does not fit channel '{channel}'"), "--ring"]);
    bounded(&["call", &channel, "-i", "/dev/null", "--metadata", "/dev/zero"])
        .finish()
        .failed(3, &["the metadata in /dev/zero", "4088 bytes", "--metadata"]);
    feed(&["call", &channel, "--response-size", "100KiB"], b"x")
        .failed(11, &["printed more than 102384 bytes", "--response-size"]);
    server.wait_for("printed more than 102384 bytes");
    until("the program is ended", || children(server.pid()).is_empty());
    ended(server, &channel);
}

#[test]
fn a_program_that_hangs_is_ended_by_its_time_limit_or_with_its_caller() {
    let channel = name();
    // All that it has started goes with it; the second one does not listen.
    let program = "trap '' TERM; sleep 1000 & cat > /dev/null; sleep 1000";
    let mut server = serving(&channel, program, &["--timeout", "0.4"]);
    let start_time = Instant::now();
    feed(&["call", &channel, "--timeout", "60"], b"x").failed(11, &["it ran for 0.4 s", "--timeout"]);
    server.wait_for("it ran for 0.4 s, all that --timeout allows");
    assert!(start_time.elapsed() < Duration::from_secs(30));
    until("the program is ended", || children(server.pid()).is_empty());
    ended(server, &channel);

    let mut server = serving(&channel, program, &[]);
    let mut call = start(&["call", &channel, "--timeout", "1000"]);
    call.write(b"x");
    call.close_input();
    until("the program runs", || !children(server.pid()).is_empty());
    call.signal(Signal::KILL);
    assert_eq!(call.wait().signal, Some(9));
    server.wait_for("its caller has gone");
    until("the program is ended", || children(server.pid()).is_empty());
    // What a killed caller leaves, its successor takes over.
    drop(zerobuffer::Reader::create(&format!("{channel}_response"), zerobuffer::BufferConfig::default()));
    ended(server, &channel);
}

#[test]
fn the_inner_buffers_of_a_channel_are_not_listed() {
    let channel = name();
    let server = serving(&channel, "cat", &["--ring", "4KiB"]);
    let done = feed(&["call", &channel], &noise(5000, 1)).failed(3, &["does not fit channel", "4080"]);
    assert!(!done.stderr.contains("_request"), "{}", done.stderr);
    server.signal(Signal::KILL);
    assert!(!server.stderr().contains("_request"), "{}", server.stderr());
    server.wait();
    run(&["clean", "--yes", &format!("{channel}_request")]).ok();
}

#[test]
fn a_response_that_does_not_come_in_time() {
    let channel = name();
    let server = serving(&channel, "cat > /dev/null; sleep 1000", &[]);
    feed(&["call", &channel, "--timeout", "0.3"], b"x").failed(7, &["no response", "0.3 s", "--timeout"]);
    ended(server, &channel);
}

#[test]
fn two_calls_at_the_same_time_are_answered_at_the_same_time_and_a_third_waits_for_a_place() {
    let (channel, folder) = (name(), tempfile::tempdir().unwrap());
    let is_there = |file: &str| folder.path().join(file).exists();
    let program = format!(
        "cd {} && read who; touch $who; while ! test -e go; do sleep 0.01; done; echo to $who",
        folder.path().display()
    );
    let server = serving(&channel, &program, &["--clients", "2", "--ring", "64KiB"]);
    let call = |who: &str| {
        let options = ["call", &channel, "--wait", "80", "--timeout", "80", "--response-size", "64KiB"];
        let mut call = start(&options);
        call.write(format!("{who}\n").as_bytes());
        call.close_input();
        call
    };
    let calls = ["a", "b"].map(call);
    until("the programs of both run", || is_there("a") && is_there("b"));
    let parts = ["has 2 clients, and serves 2 at a time", "--wait SECONDS", "--clients"];
    feed(&["call", &channel, "--wait", "0"], b"x").failed(5, &parts);
    let third = call("c");
    std::fs::write(folder.path().join("go"), "").unwrap();
    for (call, who) in calls.into_iter().chain([third]).zip(["a", "b", "c"]) {
        assert_eq!(call.finish().ok().text(), format!("to {who}\n"));
    }
    ended(server, &channel);
    let left = zerobuffer::observe::list().unwrap();
    assert!(!left.iter().any(|buffer| buffer.name.starts_with(&channel)), "{left:?}");
}
