//! `serve` and `call`: a program as a duplex server.
// The tests speak to the command by signals, FIFOs and files of Unix.
#![cfg(unix)]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Running, assert_no_files, assert_same, feed, name, noise, start};
use rustix::process::Signal;

fn serving(channel: &str, program: &str, options: &[&str]) -> Running {
    let mut server = start(&[&["serve", channel, "--exec", program], options].concat());
    server.wait_for("serving channel");
    server
}

fn ended(server: Running, channel: &str) {
    server.signal(Signal::INT);
    let done = server.finish();
    assert!(done.code == Some(130) && done.stderr.contains("stopped by Ctrl-C"), "{}", done.stderr);
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
    feed(&["call", &channel, "--wait", "0"], b"x").failed(4, &["does not exist"]);
    let server = serving(&channel, "cat", &[]);
    feed(&["call", &channel, "--response-size", "1000TiB"], b"x").failed(9, &["response_size"]);
    feed(&["call", &channel], b"").failed(3, &["0 bytes"]);
    ended(server, &channel);
}
