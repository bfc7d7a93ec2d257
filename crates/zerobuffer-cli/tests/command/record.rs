//! `record` and `replay`: byte for byte, whatever ends the recorder, and read by the official
//! package.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{
    Running, assert_no_files, assert_same, feed, name, noise, observers_python, run, start, start_command,
    until, y4m,
};
use rustix::process::Signal;
use zerobuffer::{BufferConfig, Reader, Writer, WriterConfig, observe};

fn recording(names: &[&str], path: &Path, more: &[&str]) -> Running {
    let path = path.to_str().unwrap();
    let mut recorder = start(&[&["record", "--output", path], names, more].concat());
    recorder.wait_for("waiting for writers");
    recorder
}

fn connect(name: &str) -> Writer {
    Writer::connect_with(name, WriterConfig::default().connect_timeout(Duration::from_secs(20))).unwrap()
}

/// Reads one buffer to its end: frames with the time of their arrival.
fn read_all(name: &str) -> std::thread::JoinHandle<Vec<(Instant, Vec<u8>)>> {
    let mut reader = Reader::create(name, BufferConfig::ring(4 << 20)).unwrap();
    std::thread::spawn(move || {
        let mut frames = Vec::new();
        while let Ok(frame) = reader.read() {
            frames.push((Instant::now(), frame.data().to_vec()));
        }
        frames
    })
}

#[test]
fn what_is_recorded_comes_out_again_at_its_own_pace() {
    let (cam, depth) = (name(), name());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.mcap");
    let recorder = recording(&[&cam, &depth], &path, &["--json"]);
    let (mut a, mut b) = (connect(&cam), connect(&depth));
    a.set_metadata(br#"{"caps": "video/x-raw"}"#).unwrap();
    b.set_metadata(b"\xff\x00binary").unwrap();
    let mut sent = Vec::new();
    for number in 0..6u8 {
        let frame = noise(1000 + usize::from(number), u64::from(number));
        if number % 2 == 0 {
            a.write(&frame).unwrap()
        } else {
            b.write(&frame).unwrap()
        };
        sent.push((Instant::now(), frame));
        std::thread::sleep(Duration::from_millis(60));
    }
    drop((a, b));
    let summary = recorder.finish().ok().json();
    assert_eq!((&summary["frames"], &summary["bytes"]), (&6.into(), &6015.into()));
    assert_no_files(&cam);

    let (as_cam, as_depth) = (format!("{cam}-again"), format!("{depth}-again"));
    let (first, second) = (read_all(&as_cam), read_all(&as_depth));
    let (rename_cam, rename_depth) = (format!("{cam}={as_cam}"), format!("{depth}={as_depth}"));
    let path = path.to_str().unwrap();
    run(&["replay", path, "--as", &rename_cam, "--as", &rename_depth]).ok();
    let mut got = [first.join().unwrap(), second.join().unwrap()].concat();
    got.sort_by_key(|(when, _)| *when);
    assert_eq!(got.len(), 6);
    for ((_, sent), (_, got)) in sent.iter().zip(&got) {
        assert_same(got, sent);
    }
    // Never faster; how late the machine makes it is its own affair.
    let whole = got[5].0 - got[0].0;
    let span = sent[5].0 - sent[0].0;
    assert!(whole + Duration::from_millis(30) >= span, "{whole:?} for {span:?}");

    // At another speed, one channel only, with its metadata.
    let mut reader = Reader::create(&depth, BufferConfig::ring(1 << 20).metadata(64)).unwrap();
    let fast = Instant::now();
    run(&["replay", path, "--only", &depth, "--speed", "max"]).ok();
    assert!(fast.elapsed() < Duration::from_secs(20));
    assert_eq!(reader.metadata().unwrap().unwrap().data(), b"\xff\x00binary");
    assert_same(reader.read().unwrap().data(), &sent[1].1);
}

#[test]
fn the_official_reader_sees_all_of_it() {
    let Some(python) = observers_python("mcap.reader") else { return };
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mcap");
    let recorder = recording(&[&name], &path, &[]);
    feed(&["send", &name], &y4m("YUV4MPEG2 W64 H48 F25:1", 4608, 40, "")).ok();
    recorder.finish().ok();
    let script = "import sys, json, time\n\
        from mcap.reader import make_reader\n\
        reader = make_reader(open(sys.argv[1], 'rb'), validate_crcs=True)\n\
        summary = reader.get_summary()\n\
        assert summary.statistics.message_count == 40, summary.statistics\n\
        found = list(reader.iter_messages())\n\
        assert len(found) == 40\n\
        assert [m.sequence for _, _, m in found] == list(range(1, 41))\n\
        assert all(c.topic == sys.argv[2] and c.message_encoding == 'zerobuffer' for _, c, _ in found)\n\
        assert all(len(m.data) == 4608 for _, _, m in found)\n\
        assert 'I420' in json.loads(found[0][1].metadata['metadata'])['caps']\n\
        assert all(0 <= time.time() - m.log_time / 1e9 < 600 for _, _, m in found)\n";
    let output = Command::new(python).args(["-c", script, path.to_str().unwrap(), &name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_killed_recorder_loses_its_last_chunk_at_most() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.mcap");
    let recorder = recording(&[&name], &path, &[]);
    let mut writer = connect(&name);
    let frames: Vec<Vec<u8>> = (0..20).map(|number| noise(1 << 20, number)).collect();
    for frame in &frames {
        writer.write(frame).unwrap();
    }
    // A frame's space is given back once it is recorded.
    until("all is read", || writer.utilization() == 0.0);
    recorder.signal(Signal::KILL);
    assert_eq!(recorder.wait().signal, Some(9));
    drop(writer);
    let reader = read_all(&name);
    let done = run(&["replay", path.to_str().unwrap(), "--speed", "max"]);
    let got = reader.join().unwrap();
    assert!(got.len() >= 15, "{} of 20 frames", got.len());
    for ((_, got), sent) in got.iter().zip(&frames) {
        assert_same(got, sent);
    }
    // What is behind the last whole chunk is reported, unless the kill hit just at the file's end.
    done.failed(3, &["killed.mcap", "cut short", &format!("{} messages", got.len())]);
    assert_no_files(&name);

    // Cut anywhere: the frames in front are played, and nothing else happens.
    let bytes = fs::read(&path).unwrap();
    for cut in [0, 5, 8, 40, 1000, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        let reader = Reader::create(&name, BufferConfig::ring(32 << 20)).unwrap();
        run(&["replay", path.to_str().unwrap(), "--speed", "max"]).failed(3, &["killed.mcap"]);
        drop(reader);
    }
}

#[test]
fn a_full_disk_ends_it_with_an_error_and_a_whole_file() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.mcap");
    // A limit for files instead of a full disk; a program that ignores its signal gets an error.
    let line = format!(
        "trap '' XFSZ; ulimit -f 16384; exec {} record {name} --ring 4MiB -o {}",
        env!("CARGO_BIN_EXE_zerobuffer"),
        path.display()
    );
    let mut shell = Command::new("bash");
    let mut recorder = start_command(shell.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::piped()));
    recorder.wait_for("waiting for writers");
    let sent = feed(&["send", &name, "--size", "1MB"], &noise(40_000_000, 1));
    assert!(matches!(sent.shell_code(), 0 | 6), "{}", sent.stderr);
    recorder.wait().failed(1, &["full.mcap", "is whole"]);
    let size = fs::metadata(&path).unwrap().len();
    assert!((8 << 20..=16 << 20).contains(&size), "{size}");
    let reader = read_all(&name);
    run(&["replay", path.to_str().unwrap(), "--speed", "max"]).ok();
    let got = reader.join().unwrap();
    assert!(got.len() >= 8, "{}", got.len());
    let all: Vec<u8> = got.iter().flat_map(|(_, frame)| frame.clone()).collect();
    assert_same(&all, &noise(40_000_000, 1)[..all.len()]);
    if let Some(python) = observers_python("mcap.reader") {
        let script = "import sys; from mcap.reader import make_reader\n\
            print(len(list(make_reader(open(sys.argv[1], 'rb')).iter_messages())))";
        let output = Command::new(python).args(["-c", script, path.to_str().unwrap()]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), got.len().to_string(), "{output:?}");
    }
}

/// A file system of its own, which ends with this.
struct Small(tempfile::TempDir);

impl Small {
    /// `None`, said on standard output, where none can be made.
    fn new(size: &str) -> Option<Small> {
        let small = Small(tempfile::tempdir().unwrap());
        let option = format!("size={size}");
        let mount = ["-t", "tmpfs", "-o", &option, "none", small.0.path().to_str().unwrap()];
        let made = Command::new("mount").args(mount).stderr(Stdio::null()).status();
        if made.is_ok_and(|status| status.success()) {
            return Some(small);
        }
        println!("skipped: no file system can be mounted here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_disk_without_room_says_so_and_keeps_what_is_whole() {
    let Some(disk) = Small::new("10m") else { return };
    let name = name();
    let path = disk.0.path().join("full.mcap");
    let recorder = recording(&[&name], &path, &["--ring", "4MiB"]);
    let sent = feed(&["send", &name, "--size", "1MB"], &noise(30_000_000, 1));
    assert!(matches!(sent.shell_code(), 0 | 6), "{}", sent.stderr);
    recorder.wait().failed(1, &["full.mcap", "full", "is whole", "free some space"]);
    let mut reader = Reader::create(&name, BufferConfig::ring(32 << 20)).unwrap();
    run(&["replay", path.to_str().unwrap(), "--speed", "max"]).ok();
    let mut count = 0;
    while let Ok(Some(frame)) = reader.try_read() {
        assert_same(&frame, &noise(30_000_000, 1)[count * 1_000_000..][..1_000_000]);
        count += 1;
    }
    assert!((4..=10).contains(&count), "{count}");
}

#[test]
fn a_recorder_that_is_killed_at_any_moment_leaves_what_came_first() {
    /// Frames of 150,000 bytes until a chunk has its 4 MiB.
    const A_CHUNK: u64 = 28;
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.mcap");
    let mut cut = 0;
    for round in 0..6 {
        let recorder = recording(&[&name], &path, &["--force"]);
        let mut writer = connect(&name);
        let sending = std::thread::spawn(move || {
            let mut sent = 0u64;
            while writer.write(&noise(150_000, sent)).is_ok() {
                sent += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        std::thread::sleep(Duration::from_millis(u64::from(noise(8, round)[3]) + 5));
        recorder.signal(Signal::KILL);
        assert_eq!(recorder.wait().signal, Some(9));
        let sent = sending.join().unwrap();
        let mut reader = Reader::create(&name, BufferConfig::ring(128 << 20)).unwrap();
        let done = run(&["replay", path.to_str().unwrap(), "--speed", "max"]);
        let mut got = 0;
        while let Ok(Some(frame)) = reader.try_read() {
            assert_same(&frame, &noise(150_000, got));
            got += 1;
        }
        println!("{got} of {sent} frames");
        // It ends within a chunk, but for a kill just between two.
        if done.shell_code() != 0 {
            cut += 1;
            done.failed(3, &["cut short", &format!("{got} messages")]);
        }
        if let Some(python) = observers_python("mcap.reader") {
            // The official reader of streams gives the same frames, then says where it ends. It
            // leaves out a chunk that a kill in the middle of its write has cut; replay plays what
            // came whole.
            let script = "import sys\nfrom mcap.reader import NonSeekingReader\ncount = 0\n\
                try:\n    for _ in NonSeekingReader(open(sys.argv[1], 'rb')).iter_messages(log_time_order=False):\n        count += 1\n\
                except Exception as error: print(type(error).__name__, file=sys.stderr)\nprint(count)";
            let output = Command::new(python).args(["-c", script, path.to_str().unwrap()]).output().unwrap();
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).trim(),
                (got - got % A_CHUNK).to_string(),
                "{output:?}"
            );
        }
        drop(reader);
    }
    assert!(cut > 0, "no kill has cut anything");
    assert_no_files(&name);
}

#[test]
fn a_recording_in_parts_is_played_as_one() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let recorder = recording(&[&name], &folder.path().join("part.mcap"), &["--split-size", "10MB"]);
    let input = noise(30_000_000, 3);
    feed(&["send", &name, "--size", "1MB"], &input).ok();
    recorder.finish().ok();
    let mut parts: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    parts.sort();
    assert!(parts.len() >= 3 && parts[0] == "part-000.mcap" && parts[1] == "part-001.mcap", "{parts:?}");
    let receiver = start(&["recv", &name]);
    run(&["replay", folder.path().to_str().unwrap(), "--speed", "max"]).ok();
    assert_same(&receiver.finish().ok().stdout, &input);
    // Over and over, and step by step.
    let receiver = start(&["recv", &name, "--format", "null", "--json"]);
    run(&["replay", folder.path().to_str().unwrap(), "--speed", "max", "--loop", "--frames", "70"]).ok();
    assert_eq!(receiver.finish().ok().json()["frames"], 70);
    let receiver = start(&["recv", &name, "--format", "null", "--json"]);
    feed(&["replay", folder.path().to_str().unwrap(), "--step"], b"\n\n\n").ok();
    assert_eq!(receiver.finish().ok().json()["frames"], 3);
    assert_no_files(&name);
}

#[test]
fn ctrl_c_completes_a_recording() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stopped.mcap");
    let recorder = recording(&[&name], &path, &["--follow"]);
    for _ in 0..2 {
        feed(&["send", &name, "--size", "10"], &noise(50, 1)).ok();
    }
    until("all is read", || observe::inspect(&name).is_ok_and(|info| info.used == 0));
    recorder.signal(Signal::INT);
    let done = recorder.wait();
    assert_eq!(done.signal, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("recorded 10 frames"), "{}", done.stderr);
    let receiver = start(&["recv", &name]);
    run(&["replay", path.to_str().unwrap()]).ok();
    assert_same(&receiver.finish().ok().stdout, &[noise(50, 1), noise(50, 1)].concat());
}

#[test]
fn a_recording_without_a_frame_to_play_says_so() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    let recorder = recording(&[&name], Path::new(&path("none.mcap")), &[]);
    recorder.signal(Signal::INT);
    recorder.wait().stopped(130, &["Ctrl-C"]);
    let looped = |file: &str| run(&["replay", &path(file), "--loop"]).failed(3, &[]).stderr;
    run(&["replay", &path("none.mcap")]).failed(3, &["none.mcap holds no frames", "no writer sent any"]);
    assert!(looped("none.mcap").contains("holds no frames"));
    let recorder = recording(&[&name], Path::new(&path("some.mcap")), &[]);
    feed(&["send", &name, "--size", "10"], &noise(50, 1)).ok();
    recorder.finish().ok();
    let only = run(&["replay", &path("some.mcap"), "--only", "other"]);
    only.failed(3, &["some.mcap holds no frames of other, but of: ", &name]);
    run(&["replay", &path("none.mcap"), &path("some.mcap"), "--frames", "0"]).ok();
    // Killed before its first chunk.
    fs::write(path("begun.mcap"), b"").unwrap();
    run(&["replay", &path("begun.mcap")]).failed(3, &["begun.mcap is cut short", "0 messages"]);
    assert_no_files(&name);
}

#[test]
fn what_cannot_be_recorded_or_played() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("there.mcap"), "precious").unwrap();
    run(&["record", &name, "-o", &path("there.mcap")]).failed(1, &["there.mcap", "exists", "--force"]);
    assert_eq!(fs::read(path("there.mcap")).unwrap(), b"precious");
    run(&["record", &name, "-o", &path("no/such.mcap")]).failed(1, &["no/such.mcap", "No such file"]);
    run(&["replay", &path("there.mcap")]).failed(3, &["there.mcap", "is no MCAP recording"]);
    run(&["replay", &path("none.mcap")]).failed(1, &["none.mcap", "No such file"]);
    fs::create_dir(path("empty")).unwrap();
    run(&["replay", &path("empty")]).failed(3, &["holds no .mcap file"]);
    run(&["replay", &path("x"), "--speed", "0"]).failed(2, &["'0'", "max"]);
    run(&["replay", &path("x"), "--as", "cam"]).failed(2, &["NAME=BUFFER"]);
    assert_no_files(&name);
    // A claim of 2^60 bytes is not believed.
    let mut hostile = b"\x89MCAP0\r\n".to_vec();
    hostile.extend_from_slice(b"\x01\0\0\0\0\0\0\0\x10");
    hostile.extend_from_slice(&[0; 100]);
    fs::write(path("hostile.mcap"), hostile).unwrap();
    let line = format!(
        "ulimit -v 2097152; exec {} replay {}",
        env!("CARGO_BIN_EXE_zerobuffer"),
        path("hostile.mcap")
    );
    let mut shell = Command::new("sh");
    start_command(shell.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::piped()))
        .finish()
        .failed(3, &["hostile.mcap"]);
}
