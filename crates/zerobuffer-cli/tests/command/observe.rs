//! `ls`, `inspect`, `clean`: what they show, and that they disturb and remove nothing alive.

use std::fs::{self, Permissions};
use std::os::unix::{fs::PermissionsExt, process::CommandExt};
use std::process::{Command, Stdio};

use crate::common::{assert_no_files, command, files, name, run, start, start_command};
use rustix::process::Signal;
use serde_json::Value;
use zerobuffer::{BufferConfig, Reader, Writer};

/// The entry of `name` in the array that a command printed.
fn entry(list: &Value, name: &str) -> Option<Value> {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned()
}

#[test]
fn a_buffer_in_use_as_json() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(256)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.set_metadata(br#"{"caps": "video/x-raw, width=(int)4"}"#).unwrap();
    for _ in 0..3 {
        writer.write(&[7; 100]).unwrap();
    }
    assert_eq!(reader.read().unwrap().data(), [7; 100]);
    let own = std::process::id();
    let listed = entry(&run(&["ls", "--json"]).ok().json(), &name).unwrap();
    let inspected = run(&["inspect", &name, "--json"]).ok().json();
    assert_eq!(listed, inspected);
    assert_eq!(inspected["ring_bytes"], 4096);
    // A frame of 100 bytes takes 128: 16 for its header, rounded up to a multiple of 16.
    assert_eq!(inspected["used_bytes"], 2 * 128);
    assert_eq!(inspected["free_bytes"], 4096 - 2 * 128);
    assert_eq!(inspected["write_position"], 3 * 128);
    assert_eq!(inspected["read_position"], 128);
    assert_eq!(inspected["written_count"], 3);
    assert_eq!((&inspected["frames_written"], &inspected["frames_waiting"]), (&3.into(), &2.into()));
    assert_eq!(inspected["read_count"], 1);
    for role in ["writer", "reader"] {
        assert_eq!(inspected[role]["pid"], own);
        assert_eq!(inspected[role]["alive"], true);
        assert!(inspected[role]["level"].as_u64().unwrap() >= 1);
    }
    assert_eq!(inspected["metadata_bytes"], 256);
    assert_eq!(inspected["metadata"]["json"]["caps"], "video/x-raw, width=(int)4");
    assert!(inspected["mode"].as_str().unwrap().ends_with("600"), "{inspected}");
    assert_eq!(inspected["uid"], rustix::process::geteuid().as_raw());
    // One for each unread frame at the least; surplus ones do no harm.
    assert!(inspected["data_tokens"].as_u64().unwrap() >= 2, "{inspected}");
    assert_eq!(inspected["defects"], serde_json::json!([]));
    assert_eq!(entry(&run(&["clean", "--json", "--yes", &name]).ok().json(), &name), None);
    // The stream goes on as if nobody had looked.
    writer.write(&[8; 100]).unwrap();
    for expected in [7, 7, 8] {
        assert_eq!(reader.read().unwrap().data(), [expected; 100]);
    }
}

#[test]
fn a_buffer_in_use_for_people() {
    let name = name();
    let _reader = Reader::create(&name, BufferConfig::ring(1 << 20).metadata(128)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.set_metadata(b"\x1b[31mred").unwrap();
    let own = std::process::id().to_string();
    let table = run(&["ls"]).ok().text();
    assert!(table.lines().next().unwrap().starts_with("NAME"), "{table}");
    let line = table.lines().find(|line| line.starts_with(&name)).unwrap().to_owned();
    for part in ["1 MiB", "0 %", &own, "\\u{1b}[31mred"] {
        assert!(line.contains(part), "'{part}' is not in: {line}");
    }
    let page = run(&["inspect", &name]).ok().text();
    for part in ["1 MiB (1048576 bytes)", "alive, capability level", "8 of 128 bytes: \\u{1b}[31mred"] {
        assert!(page.contains(part), "'{part}' is not in: {page}");
    }
    assert!(!page.contains('\u{1b}') && !table.contains('\u{1b}'));
}

#[test]
fn metadata_of_every_kind() {
    for (metadata, key, value) in
        [(&b"plain"[..], "text", "plain"), (b"\xff\xfe", "hex", "fffe"), (b"\"quoted\"", "json", "quoted")]
    {
        let name = name();
        let _reader = Reader::create(&name, BufferConfig::ring(1024).metadata(128)).unwrap();
        assert_eq!(run(&["inspect", &name, "--json"]).ok().json()["metadata"], Value::Null);
        Writer::connect(&name).unwrap().set_metadata(metadata).unwrap();
        let shown = run(&["inspect", &name, "--json"]).ok().json();
        assert_eq!(shown["metadata"][key], value);
        assert_eq!(shown["metadata"]["bytes"], metadata.len());
    }
}

#[test]
fn what_a_killed_receiver_leaves_is_shown_and_removed_only_with_yes() {
    let name = name();
    let mut receiver = start(&["recv", &name, "--format", "null"]);
    receiver.wait_for("waiting for a writer");
    let pid = receiver.pid();
    assert_eq!(entry(&run(&["clean", "--json"]).ok().json(), &name), None, "it is alive");
    receiver.signal(Signal::KILL);
    assert_eq!(receiver.wait().signal, Some(9));

    let listed = entry(&run(&["ls", "--json"]).ok().json(), &name).unwrap();
    assert_eq!((&listed["reader"]["pid"], &listed["reader"]["alive"]), (&pid.into(), &false.into()));
    assert!(run(&["ls"]).ok().text().contains(&format!("{pid} dead")));
    let before = files(&name);
    let shown = run(&["clean", &name]).ok();
    assert!(shown.text().contains(&format!("dead  {name}")), "{}", shown.text());
    assert!(shown.stderr.contains(&format!("clean {name} --yes")), "{}", shown.stderr);
    let orphan = entry(&run(&["clean", "--json"]).ok().json(), &name).unwrap();
    assert!(orphan["bytes"].as_u64().unwrap() >= 32 << 20, "{orphan}");
    assert!(!orphan["objects"].as_array().unwrap().is_empty());
    assert_eq!(orphan["removed"], serde_json::json!([]));
    assert_eq!(files(&name), before, "showing removes nothing");

    let removed = entry(&run(&["clean", "--yes", "--json", &name]).ok().json(), &name).unwrap();
    assert!(!removed["removed"].as_array().unwrap().is_empty());
    assert_no_files(&name);
    let again = run(&["clean", "--yes", &name]).ok();
    assert_eq!(again.text(), "");
    assert!(again.stderr.contains("nothing is left behind"), "{}", again.stderr);
}

#[test]
fn looking_at_a_stream_that_runs_changes_nothing() {
    let name = name();
    let receiver = start(&["recv", &name, "--ring", "64KiB", "--output", "/dev/null", "--json"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    std::fs::write(&path, crate::common::noise(1000 * 1000, 1)).unwrap();
    let mut sender =
        start(&["send", &name, "--size", "1000", "--fps", "2000", "--input", path.to_str().unwrap()]);
    sender.wait_for("sending to");
    let mut looks = 0;
    while sender.is_running() {
        let done = run(&["inspect", &name, "--json"]);
        // It may have ended meanwhile.
        if done.code == Some(0) {
            let shown = done.json();
            assert_eq!(shown["defects"], serde_json::json!([]), "{shown}");
            looks += 1;
        }
        run(&["ls"]).ok();
    }
    assert!(looks > 0);
    sender.finish().ok();
    assert_eq!(receiver.finish().ok().json()["frames"], 1000);
}

#[test]
fn output_that_nobody_reads_to_its_end() {
    let _reader = Reader::create(&name(), BufferConfig::default()).unwrap();
    for words in [&["ls"][..], &["ls", "--json"], &["completions", "zsh"]] {
        let mut child = command(words);
        let mut running =
            child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        let output = running.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 141)), "{stderr}");
        assert_eq!(stderr, "");
    }
    // The code of a completed write into a pipe whose reader is there all along.
    start_command(command(&["ls"]).stdin(Stdio::null()).stdout(Stdio::piped())).finish().ok();
}

#[test]
fn what_may_not_be_looked_at_is_named() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run the command as another user");
        return;
    }
    let name = name();
    let _reader = Reader::create(&name, BufferConfig::ring(4096).metadata(0)).unwrap();
    // Another user may not reach the folder that the program is built in.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("zerobuffer");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    crate::common::copy_to(&program);
    let listed = Command::new(&program).args(["ls", "--json"]).uid(65534).gid(65534).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    assert!(String::from_utf8(listed.stderr).unwrap().contains(&name));
    assert!(!String::from_utf8(listed.stdout).unwrap().contains(&name));
    assert!(!run(&["ls"]).ok().stderr.contains(&name), "root may look");
}

/// Frames are counted, not wrap markers; the fill is what waits or is held, not what an end of the
/// ring wastes.
#[test]
fn frames_and_fill_are_what_a_user_counts() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 20)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let frame = vec![7; 100_000];
    // More than two laps, with an unused end in each.
    for number in 1..=25 {
        writer.write(&frame).unwrap();
        let shown = run(&["inspect", &name, "--json"]).ok().json();
        assert_eq!(shown["frames_written"], number, "{shown}");
        assert_eq!(shown["frames_waiting"], 1, "{shown}");
        assert_eq!(shown["used_bytes"], 100_016, "{shown}");
        drop(reader.read().unwrap());
        // What was read is known for sure when a look has found nothing.
        assert!(reader.try_read().unwrap().is_none());
        let shown = run(&["inspect", &name, "--json"]).ok().json();
        assert_eq!(
            (&shown["frames_written"], &shown["frames_waiting"]),
            (&number.into(), &0.into()),
            "{shown}"
        );
        assert_eq!(shown["used_bytes"], 0, "{shown}");
    }
    writer.write(&frame).unwrap();
    let held = reader.read().unwrap();
    assert!(reader.try_read().unwrap().is_none());
    let shown = run(&["inspect", &name, "--json"]).ok().json();
    assert_eq!((&shown["frames_waiting"], &shown["used_bytes"]), (&0.into(), &100_016.into()), "{shown}");
    drop(held);
    let table = run(&["ls"]).ok().text();
    let line = table.lines().find(|line| line.starts_with(&name)).unwrap();
    assert_eq!(line.split_whitespace().filter(|word| *word == "26").count(), 2, "written and read: {line}");
}

#[test]
fn one_small_frame_in_a_large_ring_fills_little() {
    let name = name();
    let reader = Reader::create(&name, BufferConfig::ring(8 << 20)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    for _ in 0..3 {
        writer.write(&vec![7; 100_000]).unwrap();
    }
    assert!((writer.utilization() - 300_048.0 / f64::from(8 << 20)).abs() < 1e-9, "{}", writer.utilization());
    assert!((reader.utilization() - writer.utilization()).abs() < 1e-9);
    assert_eq!(run(&["inspect", &name, "--json"]).ok().json()["used_bytes"], 300_048);
}

#[test]
fn the_list_is_printed_again_and_again() {
    let name = name();
    let _reader = Reader::create(&name, BufferConfig::ring(4096)).unwrap();
    let watch = start(&["ls", "--watch", "0.1"]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    watch.signal(Signal::INT);
    let done = watch.wait();
    assert!(done.text().contains(" FPS "), "rates are known where one looks again");
    assert_eq!(done.signal, Some(2), "{}", done.stderr);
    assert!(done.text().lines().filter(|line| line.starts_with(&name)).count() >= 2, "{}", done.text());
}

#[test]
fn buffers_of_another_user_are_written_to_only_where_that_is_allowed() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run the command as another user");
        return;
    }
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("zerobuffer");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    crate::common::copy_to(&program);
    let mut other = Command::new(&program);
    other.args(["recv", &name, "--mode", "666", "--format", "raw"]).uid(65534).gid(65534);
    let mut other = start_command(other.stdin(Stdio::null()).stdout(Stdio::piped()));
    other.wait_for("waiting for a writer");
    crate::common::feed(&["send", &name, "--size", "3"], b"abc")
        .failed(9, &[&name, "65534", "--owner 65534"]);
    crate::common::feed(&["send", &name, "--size", "3", "--owner", "nobody"], b"abc")
        .failed(2, &["is no owner"]);
    crate::common::feed(&["send", &name, "--size", "3", "--owner", "65534"], b"abc").ok();
    assert_eq!(other.finish().ok().text(), "abc");
}
