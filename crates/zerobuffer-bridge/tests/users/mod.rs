//! Buffers and bridges of other users.
use std::time::Duration;

use super::common::{Bridge, Pair, name, port, reader, wait_for, write, writer};

/// This program again, as the reader of a buffer, as another user.
fn reader_of_nobody(buffer: &str) -> Option<std::process::Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["users::a_reader_of_another_user", "--exact", "--nocapture"]).uid(65_534).gid(65_534);
    command.env("ZEROBUFFER_BRIDGE_READER", buffer).stdin(std::process::Stdio::piped());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            assert!(std::env::var_os("ZEROBUFFER_BRIDGE_NAMESPACES").is_none(), "{error}");
            println!("skipped: this user may not become another one");
            None
        }
    }
}

#[test]
fn a_reader_of_another_user() {
    let Ok(buffer) = std::env::var("ZEROBUFFER_BRIDGE_READER") else { return };
    let config = zerobuffer::BufferConfig::ring(1 << 20).metadata(4096).mode(0o666);
    let mut reader = zerobuffer::Reader::create(&buffer, config).unwrap();
    // A path that is as long as one may be: a stream that has gone it goes no further.
    let mut planted = buffer.starts_with("bridge.").then(|| zerobuffer::Writer::connect(&buffer).unwrap());
    if let Some(writer) = &mut planted {
        writer.set_metadata(&[&b"ZBPATH1\0"[..], &[7; 8 * 16]].concat()).unwrap();
    }
    // Until the test closes the pipe.
    let ends = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
    while !ends.is_finished() {
        let _ = reader.read_timeout(Duration::from_millis(100));
    }
}

#[test]
fn buffers_of_other_users_are_neither_filled_nor_believed() {
    let (from, theirs) = (name("from"), name("theirs"));
    let Some(mut other) = reader_of_nobody(&theirs) else { return };
    wait_for("it is there", || zerobuffer::observe::inspect(&theirs).is_ok(), String::new);
    let pair = Pair::start(&from, &theirs, &[], &[]);
    let mut writer = writer(&from);
    writer.write(&[1; 100]).unwrap();
    pair.recv.says("65534");
    assert!(zerobuffer::observe::inspect(&theirs).unwrap().writer.is_none());
    drop(other.stdin.take());
    other.wait().unwrap();
    drop(writer);
    pair.send.stop();
    pair.recv.stop();
    // With the option it is filled.
    let mut other = reader_of_nobody(&theirs).unwrap();
    let pair = Pair::start(&from, &theirs, &[], &["--owner", "any"]);
    let mut writer = super::common::writer(&from);
    writer.write(&[1; 100]).unwrap();
    let is_read = || zerobuffer::observe::inspect(&theirs).is_ok_and(|info| info.read_count > 0);
    wait_for("it is filled", is_read, || pair.recv.said());
    drop(other.stdin.take());
    other.wait().unwrap();
    pair.send.stop();
    pair.recv.stop();
}

#[test]
fn a_planted_path_stops_no_stream() {
    use std::os::unix::fs::FileExt as _;
    let (from, to) = (name("from"), name("to"));
    let planted = format!("bridge.{from}");
    let Some(mut other) = reader_of_nobody(&planted) else { return };
    let has_metadata = || zerobuffer::observe::inspect(&planted).is_ok_and(|info| info.metadata.is_some());
    wait_for("it is planted", has_metadata, String::new);
    // It says that it is of the process that writes the stream, as its owner can.
    let own = u64::from(std::process::id()).to_le_bytes();
    let theirs = u64::from(other.id()).to_le_bytes();
    let file = std::fs::File::options().read(true).write(true).open(format!("/dev/shm/{planted}")).unwrap();
    let mut start = [0; 256];
    file.read_exact_at(&mut start, 0).unwrap();
    for at in (0..248).step_by(8).filter(|at| start[*at..at + 8] == theirs) {
        file.write_all_at(&own, at as u64).unwrap();
    }
    let info = zerobuffer::observe::inspect(&planted).unwrap();
    assert!(info.reader.is_some_and(|reader| reader.alive && reader.pid == u64::from(std::process::id())));
    let mut far = reader(&to, 4, 1000);
    let pair = Pair::start(&from, &to, &[], &[]);
    let mut writer = writer(&from);
    write(&mut writer, 1000, 1);
    wait_for("the frame comes", || matches!(far.try_read(), Ok(Some(_))), || pair.send.said());
    pair.send.stop();
    pair.recv.stop();
    drop(other.stdin.take());
    let _ = other.wait();
    let _ = std::fs::remove_file(format!("/dev/shm/{planted}"));
    drop(file);
}

#[test]
fn a_loop_of_bridges_of_different_users_is_noticed() {
    let (a, b) = (name("a"), name("b"));
    let there = format!("127.0.0.1:{}", port());
    let back = format!("127.0.0.1:{}", port());
    let nobody = ["send", &format!("{b}=back"), "--listen", &back, "--ring", "1MiB", "--mode", "666"];
    let Some(send_b) = Bridge::start_as(65_534, &nobody) else { return };
    let send_a = Bridge::start(&["send", &format!("{a}=there"), "--listen", &there, "--ring", "1MiB"]);
    send_a.says("is published");
    send_b.says("is published");
    let to_b = format!("there={b}");
    let recv_b = Bridge::start(&["recv", &to_b, "--connect", &there, "--owner", "any"]);
    let mut source = writer(&a);
    source.write(&[1; 1000]).unwrap();
    let is_filled = || zerobuffer::observe::inspect(&b).is_ok_and(|info| info.writer.is_some());
    wait_for("B is filled", is_filled, || recv_b.said());
    let recv_a = Bridge::start(&["recv", &format!("back={a}"), "--connect", &back]);
    recv_a.says("a loop of bridges");
    for bridge in [send_a, send_b, recv_a, recv_b] {
        bridge.stop();
    }
}
