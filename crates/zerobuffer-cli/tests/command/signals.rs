//! Ctrl-C while waiting for anything, and the death of either side.

use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Stdio;

use crate::common::{
    Running, assert_no_files, assert_same, command, feed, files, name, noise, run, start, start_command,
    until, y4m,
};
use rustix::process::Signal;
use zerobuffer::{BufferConfig, Reader, Writer};

/// Sends the signal and checks the shell's code for it.
fn stop(running: Running, signal: Signal, code: i32, parts: &[&str]) -> Vec<u8> {
    running.signal(signal);
    running.wait().stopped(code, parts).stdout
}

#[test]
fn recv_that_waits_for_a_writer() {
    for (signal, code, word) in [(Signal::INT, 130, "Ctrl-C"), (Signal::TERM, 143, "SIGTERM")] {
        let name = name();
        let mut receiver = start(&["recv", &name]);
        receiver.wait_for("waiting for a writer");
        assert_eq!(stop(receiver, signal, code, &[word, "0 frames received"]), b"");
        assert_no_files(&name);
    }
}

#[test]
fn recv_that_waits_for_a_frame() {
    let name = name();
    let mut receiver = start(&["recv", &name]);
    receiver.wait_for("waiting for a writer");
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(b"abc").unwrap();
    until("the frame is read", || writer.utilization() == 0.0);
    assert_eq!(stop(receiver, Signal::INT, 130, &["Ctrl-C", "1 frame received", &name]), b"abc");
    drop(writer);
    assert_no_files(&name);
}

#[test]
fn recv_whose_output_nobody_empties() {
    let name = name();
    let mut child = command(&["recv", &name]);
    let mut receiver =
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut sender = start(&["send", &name, "--size", "4MiB"]);
    // The ring takes these five frames; 4 MiB are more than a pipe takes, so recv is in the middle
    // of the first.
    sender.write(&noise(20 << 20, 1));
    std::thread::sleep(std::time::Duration::from_millis(300));
    rustix::process::kill_process(crate::common::pid(receiver.id()), Signal::INT).unwrap();
    let status = receiver.wait().unwrap();
    let mut stderr = String::new();
    receiver.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(status.signal(), Some(2), "{stderr}");
    assert!(stderr.contains("while writing to standard output"), "{stderr}");
    let sent = sender.finish();
    assert!(matches!(sent.code, Some(0 | 6)), "{}", sent.stderr);
    assert_no_files(&name);
}

#[test]
fn send_that_waits_for_a_reader() {
    let name = name();
    let mut sender = start(&["send", &name, "--size", "3"]);
    sender.write(b"abc");
    sender.wait_for("waiting for a reader");
    stop(sender, Signal::INT, 130, &["Ctrl-C", "no reader of", &name]);
    assert_no_files(&name);
}

#[test]
fn send_that_waits_for_input() {
    let name = name();
    // Its standard input stays open and empty; first before it knows the format, then between
    // frames.
    let sender = start(&["send", &name]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    stop(sender, Signal::INT, 130, &["Ctrl-C", "standard input"]);

    let receiver = start(&["recv", &name]);
    let mut sender = start(&["send", &name, "--size", "3"]);
    sender.write(b"abcd");
    sender.wait_for("sending to");
    std::thread::sleep(std::time::Duration::from_millis(100));
    stop(sender, Signal::INT, 130, &["Ctrl-C", "standard input"]);
    assert_eq!(receiver.finish().ok().stdout, b"abc");
    assert_no_files(&name);
}

#[test]
fn send_that_waits_for_space_or_for_its_turn() {
    let name = name();
    let reader = Reader::create(&name, BufferConfig::ring(1024).metadata(4096)).unwrap();
    let mut sender = start(&["send", &name, "--size", "300"]);
    sender.write(&noise(5000, 1));
    until("the ring is full", || reader.utilization() > 0.9);
    std::thread::sleep(std::time::Duration::from_millis(100));
    stop(sender, Signal::INT, 130, &["Ctrl-C", "frames sent to"]);
    drop(reader);

    let reader = Reader::create(&name, BufferConfig::ring(1024).metadata(4096)).unwrap();
    let mut sender = start(&["send", &name, "--size", "5", "--fps", "0.01"]);
    sender.write(&noise(50, 1));
    until("the first frame is there", || reader.utilization() > 0.0);
    stop(sender, Signal::INT, 130, &["Ctrl-C", "1 frame sent to"]);
    drop(reader);
    assert_no_files(&name);
}

#[test]
fn a_signal_sent_twice_counts_once_and_a_later_one_ends_it_on_the_spot() {
    // `timeout` signals the process and its group, a terminal the group: both at once are one wish.
    // Of two signals that wait at the same time, the kernel lets the handler of the later one run
    // first.
    for (second, ends) in [(Signal::INT, [2, 2]), (Signal::TERM, [2, 15])] {
        let name = name();
        let mut receiver = start(&["recv", &name]);
        receiver.wait_for("waiting for a writer");
        receiver.signal(Signal::INT);
        receiver.signal(second);
        let signal = receiver.wait().signal;
        assert!(signal.is_some_and(|signal| ends.contains(&signal)), "{signal:?} is none of {ends:?}");
        assert_no_files(&name);
    }

    // A write to a socket that nobody reads from may outlast the first signal, if another thread
    // takes that.
    let (own, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let name = name();
    let mut child = command(&["recv", &name]);
    let output = std::os::fd::OwnedFd::from(theirs);
    let mut receiver = start_command(child.stdin(Stdio::null()).stdout(output));
    drop(child);
    let mut sender = start(&["send", &name, "--size", "4MiB"]);
    sender.write(&noise(8 << 20, 1));
    receiver.wait_for("receiving from");
    std::thread::sleep(std::time::Duration::from_millis(200));
    receiver.signal(Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(1200));
    if receiver.is_running() {
        receiver.signal(Signal::INT);
    }
    assert_eq!(receiver.wait().signal, Some(2));
    drop((own, sender));
    // What it has left is gone with the next reader.
    drop(Reader::create(&name, BufferConfig::default()).unwrap());
    assert_no_files(&name);
}

#[test]
fn ctrl_c_stops_a_loop_of_the_shell() {
    let name = name();
    let script = format!(
        "for i in 1 2 3; do {} recv {name}-$i --format null; done; echo went on",
        env!("CARGO_BIN_EXE_zerobuffer")
    );
    // bash runs the rest of the loop after a program that merely exits with 130.
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut shell = start_command(&mut shell);
    shell.wait_for("waiting for a writer");
    rustix::process::kill_process_group(crate::common::pid(shell.pid()), Signal::INT).unwrap();
    let done = shell.wait();
    assert_eq!((done.signal, done.text().as_str()), (Some(2), ""), "{}", done.stderr);
    assert_no_files(&format!("{name}-1"));
}

#[test]
fn a_sender_that_is_killed_gives_its_frames_and_an_end() {
    let name = name();
    let receiver = start(&["recv", &name]);
    let mut sender = start(&["send", &name, "--size", "1000"]);
    let input = noise(10_500, 1);
    sender.write(&input);
    sender.wait_for("sending to");
    std::thread::sleep(std::time::Duration::from_millis(300));
    sender.signal(Signal::KILL);
    assert_eq!(sender.wait().signal, Some(9));
    let ended = receiver.finish();
    assert_same(&ended.stdout, &input[..10_000]);
    ended.failed(6, &["the writer", "died", "10 frames received", &name]);
    assert_no_files(&name);
}

#[test]
fn a_receiver_that_is_killed_ends_the_sender() {
    let name = name();
    let mut receiver = start(&["recv", &name, "--format", "null"]);
    receiver.wait_for("waiting for a writer");
    let mut sender = start(&["send", &name, "--size", "1000"]);
    sender.write(&noise(10_000, 1));
    sender.wait_for("sending to");
    // It waits for input now: the death must be noticed all the same.
    receiver.signal(Signal::KILL);
    assert_eq!(receiver.wait().signal, Some(9));
    sender.wait().failed(6, &["the reader of", &name, "frames sent"]);

    // What the dead reader left is taken over by its successor.
    assert!(!files(&name).is_empty());
    let receiver = start(&["recv", &name]);
    let stream = y4m("YUV4MPEG2 W2 H2", 6, 3, "");
    feed(&["send", &name], &stream).ok();
    assert_same(&receiver.finish().ok().stdout, &stream);
    assert_no_files(&name);
}

#[test]
fn a_receiver_that_is_killed_ends_a_sender_that_waits_for_space() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    std::fs::write(&path, noise(8 << 20, 1)).unwrap();
    let mut child = command(&["recv", &name, "--ring", "64KiB"]);
    let mut receiver =
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut sender = start(&["send", &name, "--size", "32000", "--input", path.to_str().unwrap()]);
    sender.wait_for("sending to");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(sender.is_running());
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    sender.wait().failed(6, &["its reader", "is gone", "sent to"]);
    run(&["clean", "--yes", &name]).ok();
    assert_no_files(&name);
}

#[test]
fn an_endless_stream_that_is_stopped_has_a_result() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.y4m");
    std::fs::write(&path, y4m("YUV4MPEG2 W2 H2", 6, 3, "")).unwrap();
    let mut receiver = start(&["recv", &name, "--format", "null", "--json", "--follow"]);
    receiver.wait_for("waiting for a writer");
    let mut sender =
        start(&["send", &name, "--input", path.to_str().unwrap(), "--loop", "--fps", "100", "--json"]);
    sender.wait_for("sending to");
    std::thread::sleep(std::time::Duration::from_millis(300));
    sender.signal(Signal::INT);
    let sent = sender.wait();
    assert_eq!(sent.signal, Some(2), "{}", sent.stderr);
    receiver.wait_for("waiting for the next writer");
    receiver.signal(Signal::TERM);
    let ended = receiver.wait();
    assert_eq!(ended.signal, Some(15), "{}", ended.stderr);
    let (sent, counted) = (sent.json(), ended.json());
    assert_eq!((&sent["end"], &counted["end"]), (&"interrupted".into(), &"interrupted".into()));
    assert!(sent["frames"].as_u64().unwrap() > 1, "{sent}");
    assert_eq!(sent["frames"], counted["frames"]);
}
