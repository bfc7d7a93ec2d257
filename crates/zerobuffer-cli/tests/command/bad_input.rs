//! Everything that can be wrong: one line that names it, its exit code, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::common::{
    assert_no_files, assert_same, command, feed, name, noise, run, start, start_command, y4m,
};
use zerobuffer::{BufferConfig, Reader, Writer};

#[test]
fn wrong_y4m_is_refused_before_anything_is_connected() {
    for (input, parts) in [
        (&b""[..], &["standard input is empty", "look whether"][..]),
        (b"hello world", &["standard input is not y4m", "'hello wor'", "--format raw --size"]),
        (b"YUV4MPEG2 W2 H2", &["ends within the header, at byte 15"]),
        (b"YUV4MPEG2 W2\n", &["has no height"]),
        (b"YUV4MPEG2 W2 H2 C999\n", &["'C999' is not one of"]),
        (b"YUV4MPEG2 W2 H2\nFRAM", &["FRAME line of frame 0"]),
        (b"YUV4MPEG2 W2 H2\nXXXXXX", &["'XXXXXX' instead of 'FRAME'"]),
    ] {
        // No reader exists: waiting for one would hang, so the input was judged first.
        feed(&["send", &name()], input).failed(3, parts);
    }
}

#[test]
fn a_stream_that_is_cut_short_gives_its_whole_frames_and_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.y4m");
    let whole = y4m("YUV4MPEG2 W4 H4", 24, 3, "");
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let name = name();
    let receiver = start(&["recv", &name]);
    let path = path.to_str().unwrap();
    run(&["send", &name, "--input", path]).failed(3, &[path, "frame 2 has 19 of 24 bytes", "ends at byte"]);
    let got = receiver.finish().ok().stdout;
    crate::common::assert_same(&got, &whole[..16 + 2 * 30]);

    let receiver = start(&["recv", &name]);
    feed(&["send", &name, "--size", "10"], &noise(25, 1)).failed(3, &["frame 2 has 5 of 10 bytes"]);
    assert_eq!(receiver.finish().ok().stdout, noise(25, 1)[..20]);
    assert_no_files(&name);
}

#[test]
fn frame_parameters_that_change_cannot_travel() {
    let name = name();
    let receiver = start(&["recv", &name]);
    let input = b"YUV4MPEG2 W1 H1 Im\nFRAME It\nabcFRAME Ib\nabc";
    feed(&["send", &name], input).failed(3, &["frame 1", "' Ib'", "' It'", "ffmpeg"]);
    assert_eq!(receiver.finish().ok().stdout, b"YUV4MPEG2 W1 H1 Im\nFRAME It\nabc");
}

#[test]
fn options_that_do_not_go_together() {
    let name = name();
    for (arguments, parts) in [
        (&["send", &name, "--format", "raw"][..], &["--format raw needs --size"][..]),
        (&["send", &name, "--format", "y4m", "--size", "3"], &["--size is for --format raw"]),
        (&["send", &name, "--caps", "x"], &["--caps describe no raw pictures", "--size"]),
        (&["send", &name, "--caps", "video/x-raw, format=Q9, width=4, height=4"], &["--caps", "'Q9'"]),
        (&["send", &name, "--caps", "video/x-raw, format=RGB, width=4"], &["--caps", "height"]),
        (&["send", &name, "--size", "0"], &["'0' for '--size", "at least 1"]),
        (&["send", &name, "--size", "3", "--loop"], &["--loop needs a file", "standard input"]),
        (&["send", &name, "--size", "3", "--realtime"], &["--realtime needs a y4m input", "--fps"]),
        (&["send", &name, "--fps", "25", "--realtime"], &["cannot be used with"]),
        (&["send", &name, "--fps", "0"], &["is not a frame rate"]),
        (&["send", &name, "--wait", "soon"], &["is not a number of seconds"]),
        (&["recv", &name, "--json"], &["both want standard output", "--output FILE"]),
        (&["recv", &name, "--ring", "64 parsecs"], &["unknown size suffix 'parsecs'"]),
        (&["recv", &name, "--ring", "0"], &["at least 1"]),
        (&["recv", &name, "--mode", "777"], &["'777' is not 600"]),
        (&["recv", &name, "--format", "avi"], &["'avi'", "y4m"]),
        (&["demo", "--ring", "64", "--size", "64"], &["need a ring of 16 bytes more"]),
        (&["demo", "--input", "x", "--size", "64"], &["cannot be used with"]),
        (&["-q", "-v", "ls"], &["cannot be used with"]),
        (&["send"], &["<NAME>"]),
        (&["dance"], &["unrecognized subcommand 'dance'"]),
        (&[], &["no command given"]),
    ] {
        run(arguments).failed(2, parts);
    }
    assert_no_files(&name);
}

#[test]
fn names_that_cannot_be() {
    let long = "x".repeat(246);
    for name in ["", ".", "..", "a/b", "sem.x", &long] {
        run(&["recv", "--format", "null", "--", name]).failed(2, &["buffer name"]);
        feed(&["send", "--size", "1", "--", name], b"x").failed(2, &["buffer name"]);
        run(&["inspect", "--", name]).failed(2, &["buffer name"]);
    }
    let hostile = "a\u{1b}[31m/b";
    let done = run(&["inspect", hostile]).failed(2, &["buffer name"]);
    assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
}

#[test]
fn files_that_cannot_be_read_or_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let name = name();
    run(&["send", &name, "--input", &path("none")]).failed(1, &[&path("none"), "No such file"]);
    run(&["send", &name, "--input", &path("")]).failed(1, &["is a directory"]);
    run(&["recv", &name, "--output", &path("no/such")]).failed(1, &[&path("no/such"), "No such file"]);
    run(&["recv", &name, "--output", &path("")]).failed(1, &["is a directory"]);
    run(&["demo", "--input", &path("none")]).failed(1, &["No such file"]);
    fs::write(path("text"), "no video").unwrap();
    run(&["demo", "--input", &path("text")]).failed(3, &["is not y4m"]);
    fs::write(path("empty.y4m"), "YUV4MPEG2 W2 H2\n").unwrap();
    run(&["demo", "--input", &path("empty.y4m")]).failed(3, &["no frame to stream"]);
    run(&["send", &name, "--input", &path("empty.y4m"), "--loop"]).failed(3, &["no frame to loop over"]);
    run(&["send", &name, "--input", &path("empty.y4m"), "--realtime"]).failed(3, &["no frame rate", "--fps"]);
    assert_no_files(&name);
}

#[test]
fn files_without_permission() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read and write every file");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let path = path.to_str().unwrap();
    run(&["send", &name(), "--input", path]).failed(9, &[path, "Permission denied"]);
    run(&["recv", &name(), "--output", path]).failed(9, &[path, "Permission denied"]);
}

#[test]
fn a_full_disk() {
    let name = name();
    let receiver = start(&["recv", &name, "--output", "/dev/full"]);
    let sent = feed(&["send", &name, "--size", "10"], &noise(1000, 1));
    assert!(matches!(sent.code, Some(0 | 6)), "{}", sent.stderr);
    receiver.finish().failed(1, &["/dev/full after 0 bytes", "No space left", "free some space"]);
    assert_no_files(&name);
}

#[test]
fn nobody_comes() {
    let name = name();
    feed(&["send", &name, "--size", "3", "--wait", "0.1"], b"abc")
        .failed(4, &["no reader of", &name, "within 0.1 s", "zerobuffer recv"]);
    feed(&["send", &name, "--size", "3", "--wait", "0"], b"abc").failed(4, &["within 0 s"]);
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    run(&["recv", &name, "--wait", "0.1", "--output", output.to_str().unwrap()])
        .failed(4, &["no writer on", &name, "within 0.1 s", "zerobuffer send"]);
    assert!(!output.exists(), "an output file without content stays behind");
    fs::write(&output, "precious").unwrap();
    run(&["recv", &name, "--wait", "0", "--output", output.to_str().unwrap()]).failed(4, &["within 0 s"]);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    run(&["inspect", &name]).failed(4, &[&name, "does not exist"]);
    assert_no_files(&name);
}

#[test]
fn a_writer_that_sends_nothing() {
    let name = name();
    let mut receiver = start(&["recv", &name, "--timeout", "0.2"]);
    receiver.wait_for("waiting for a writer");
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(b"abc").unwrap();
    let done =
        receiver.finish().failed(7, &["no frame came", "within 0.2 s", "1 frame received", "--timeout"]);
    assert_eq!(done.stdout, b"abc");
    drop(writer);
    assert_no_files(&name);
}

#[test]
fn places_that_are_taken() {
    let name = name();
    let reader = Reader::create(&name, BufferConfig::default()).unwrap();
    let own = std::process::id().to_string();
    run(&["recv", &name, "--format", "null"]).failed(5, &[&name, "already has a reader", &own]);
    let writer = Writer::connect(&name).unwrap();
    feed(&["send", &name, "--size", "3"], b"abc").failed(5, &[&name, "already has a writer", &own]);
    drop((reader, writer));
    assert_no_files(&name);
}

#[test]
fn frames_and_descriptions_that_do_not_fit() {
    let name = name();
    let reader = Reader::create(&name, BufferConfig::ring(1024).metadata(64)).unwrap();
    feed(&["send", &name, "--size", "1009"], &noise(1009, 1))
        .failed(3, &["frames of 1009 bytes do not fit", "1024", "at most 1008", "--ring"]);
    feed(&["send", &name, "--size", "10"], &noise(10, 1))
        .failed(3, &["metadata", "holds 56", "--metadata 1024", "--no-metadata"]);
    drop(reader);
    assert_no_files(&name);
}

#[test]
fn frames_that_are_not_what_their_description_says() {
    for (metadata, format, frame, parts) in [
        (r#"{"y4m": "YUV4MPEG2 W2 H2"}"#, "auto", &b"12345"[..], &["frame 0", "has 5 bytes", "says 6"][..]),
        (r#"{"y4m": "YUV4MPEG2 W0 H2"}"#, "auto", b"12345", &["'y4m' key is wrong", "--format raw"]),
        (r#"{"caps": "audio/x-raw, rate=(int)8000"}"#, "y4m", b"1", &["'audio/x-raw, rate=(int)8000'"]),
        ("no json", "y4m", b"1", &["does not say what its frames are", "--format raw"]),
    ] {
        let name = name();
        let mut receiver = start(&["recv", &name, "--format", format]);
        receiver.wait_for("waiting for a writer");
        let mut writer = Writer::connect(&name).unwrap();
        writer.set_metadata(metadata.as_bytes()).unwrap();
        writer.write(frame).unwrap();
        assert_eq!(receiver.finish().failed(3, parts).stdout, b"", "not even a header");
        drop(writer);
        assert_no_files(&name);
    }
}

#[test]
fn pictures_of_an_unknown_format_are_received_raw_without_their_stamps() {
    let metadata = br#"{"caps": "video/x-raw, format=NV12_4L4, width=4, height=2", "frame_prefix": 24}"#;
    let frame = noise(24 + 12, 1);
    for (format, expected) in [("raw", Some(&frame[24..])), ("auto", None)] {
        let name = name();
        let mut receiver = start(&["recv", &name, "--format", format]);
        receiver.wait_for("waiting for a writer");
        let mut writer = Writer::connect(&name).unwrap();
        writer.set_metadata(metadata).unwrap();
        writer.write(&frame).unwrap();
        drop(writer);
        match expected {
            Some(expected) => assert_same(&receiver.finish().ok().stdout, expected),
            None => drop(receiver.finish().failed(3, &["'NV12_4L4' is not known", "--format raw"])),
        }
        assert_no_files(&name);
    }
}

#[test]
fn a_ring_larger_than_the_machine() {
    let name = name();
    run(&["recv", &name, "--ring", "1024TiB", "--format", "null"]).failed(9, &[&name, "shared memory"]);
    assert_no_files(&name);
}

#[test]
fn terminals_are_no_place_for_frames() {
    // A pseudo-terminal as standard input and output, made by util-linux' script.
    let name = name();
    let program = env!("CARGO_BIN_EXE_zerobuffer");
    for (words, part) in [("recv", "standard output is a terminal"), ("send", "standard input is a terminal")]
    {
        let line = format!("{program} {words} {name}; echo code=$?");
        let output = std::process::Command::new("script")
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            println!("skipped: the program script (util-linux) is not there to make a terminal");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(part) && text.contains("code=2"), "{text}");
    }
    assert_no_files(&name);
}

#[test]
fn closed_streams_are_no_reason_to_panic() {
    let name = name();
    for words in ["--help", "completions bash", "ls --json", "clean", "demo --seconds 0.1 --size 64"] {
        let script = format!("{} {words} >/dev/full", env!("CARGO_BIN_EXE_zerobuffer"));
        let mut shell = std::process::Command::new("sh");
        let done = start_command(shell.args(["-c", &script]).stdin(Stdio::null())).finish();
        assert!(!done.stderr.contains("panic") && !done.stderr.contains("internal"), "{}", done.stderr);
        // `clean` may have nothing to say.
        assert!(done.code == Some(1) || words == "clean", "{words}: {:?}", done.code);
    }
    // Neither stdin, stdout nor stderr: the error has nowhere to go, its code has.
    let script = format!("{} inspect {name} <&- >&- 2>&-", env!("CARGO_BIN_EXE_zerobuffer"));
    let status = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
    assert_eq!(status.code(), Some(4));
    let mut child = command(&["--help"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 141)));
}
