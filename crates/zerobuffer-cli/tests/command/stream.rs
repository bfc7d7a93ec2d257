//! `send` and `recv`: what goes in comes out, byte by byte.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{
    Running, assert_no_files, assert_same, command, feed, name, noise, run, start, start_command, y4m,
};

/// Streams `input` through a buffer by pipes on both sides; gives what came out.
fn through(send: &[&str], recv: &[&str], input: &[u8]) -> Vec<u8> {
    let name = name();
    let receiver = start(&[&["recv", &name], recv].concat());
    feed(&[&["send", &name], send].concat(), input).ok();
    let done = receiver.finish().ok();
    assert_no_files(&name);
    done.stdout
}

fn receiver_to_file(name: &str, path: &str, more: &[&str]) -> Running {
    start(&[&["recv", name, "--output", path], more].concat())
}

#[test]
fn y4m_through_pipes_is_byte_identical() {
    for (header, frame_size) in [
        ("YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG", 64 * 48 * 3 / 2),
        ("YUV4MPEG2 W33 H17 F30000:1001 C420", 33 * 17 + 2 * 17 * 9),
        ("YUV4MPEG2 W3 H5 C422 Xa\"b\\c", 15 + 2 * 2 * 5),
        ("YUV4MPEG2 W3 H5 C444p10", 90),
        ("YUV4MPEG2 W7 H1 Cmono16", 14),
        ("YUV4MPEG2 W1 H1", 3),
        ("YUV4MPEG2  W4 H4 F0:0  It Zunknown C411", 16 + 2 * 4),
    ] {
        for count in [0, 1, 40] {
            let stream = y4m(header, frame_size, count, "");
            assert_same(&through(&[], &[], &stream), &stream);
        }
    }
}

#[test]
fn y4m_with_parameters_on_its_frame_lines_is_byte_identical() {
    let stream = y4m("YUV4MPEG2 W8 H8 Im", 96, 5, " Ip XB=1 ");
    assert_same(&through(&[], &[], &stream), &stream);
}

#[test]
fn y4m_from_file_to_file_through_a_ring_of_few_frames() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("in.y4m"), folder.path().join("out.y4m"));
    let size = 320 * 240 * 3 / 2;
    let stream = y4m("YUV4MPEG2 W320 H240 F25:1", size, 60, "");
    fs::write(&from, &stream).unwrap();
    // An older, longer file of that name must not shine through.
    fs::write(&to, vec![1; stream.len() + 100]).unwrap();
    let ring = (3 * (size + 16)).to_string();
    let name = name();
    let receiver = receiver_to_file(&name, to.to_str().unwrap(), &["--ring", &ring, "--json"]);
    let sender = run(&["send", &name, "--input", from.to_str().unwrap(), "--json"]).ok();
    let written = receiver.finish().ok();
    assert_same(&fs::read(&to).unwrap(), &stream);
    for (summary, format) in [(sender.json(), None), (written.json(), Some("y4m"))] {
        assert_eq!(summary["name"], name);
        assert_eq!(summary["frames"], 60);
        assert_eq!(summary["bytes"], 60 * size);
        assert!(summary["seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(summary.get("format").and_then(|format| format.as_str()), format);
    }
    assert_no_files(&name);
}

#[test]
fn raw_frames_of_many_sizes() {
    for size in [1usize, 15, 16, 63, 4096, 1_000_003] {
        let input = noise(size * 7, size as u64);
        assert_same(&through(&["--size", &size.to_string()], &[], &input), &input);
    }
    let input = noise(64 * 5000, 1);
    assert_same(&through(&["--size", "64"], &["--ring", "4KiB"], &input), &input);
}

#[test]
fn raw_frames_described_by_caps_come_out_as_y4m() {
    let pixels = noise(16 * 2, 3);
    let caps = "video/x-raw, format=(string)GRAY8, width=(int)4, height=(int)4, framerate=(fraction)25/1";
    let got = through(&["--size", "16", "--caps", caps], &[], &pixels);
    let expected = [
        b"YUV4MPEG2 W4 H4 F25:1 Ip A0:0 Cmono\nFRAME\n".as_slice(),
        &pixels[..16],
        b"FRAME\n",
        &pixels[16..],
    ]
    .concat();
    assert_same(&got, &expected);
    assert_same(&through(&["--size", "16", "--caps", caps], &["--format", "raw"], &pixels), &pixels);
}

#[test]
fn caps_add_to_a_y4m_header_and_raw_pictures_need_no_size() {
    let caps = "video/x-raw, format=I420, width=4, height=2, framerate=25/1, colorimetry=bt709";
    // The header as it came, and in the metadata what the caps say beside it.
    let film = y4m("YUV4MPEG2 W4 H2 F25:1 C420mpeg2", 12, 3, "");
    let as_y4m = ["--format", "y4m", "--caps", caps];
    assert_same(&through(&as_y4m, &[], &film), &film);
    let name = name();
    let reader = zerobuffer::Reader::create(&name, zerobuffer::BufferConfig::ring(1 << 16)).unwrap();
    feed(&[&["send", &name][..], &as_y4m].concat(), &film).ok();
    let metadata = reader.metadata().unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(metadata.data()).unwrap();
    assert_eq!((&json["caps"], &json["colorimetry"]), (&caps.into(), &"bt709".into()));
    assert_eq!(json["y4m"], "YUV4MPEG2 W4 H2 F25:1 C420mpeg2");
    drop(reader);
    // The same pictures raw: size and rate are in the caps.
    let pixels: Vec<u8> = (0..3).flat_map(|frame| noise(12, frame)).collect();
    let started = std::time::Instant::now();
    let got = through(&["--caps", caps, "--realtime"], &[], &pixels);
    assert!(started.elapsed() >= std::time::Duration::from_millis(80), "at 25 frames a second");
    let header = String::from_utf8_lossy(&got[..got.iter().position(|byte| *byte == b'\n').unwrap()]);
    assert!(header.starts_with("YUV4MPEG2 W4 H2 F25:1 Ip") && header.contains("C420"), "{header}");
    assert_same(&through(&["--caps", caps], &["--format", "raw"], &pixels), &pixels);
    // What contradicts itself.
    let wrong = ["--format", "y4m", "--caps", "video/x-raw, format=RGB, width=4, height=2"];
    feed(&[&["send", &name][..], &wrong].concat(), &film).failed(2, &["RGB 4 x 2", "I420 4 x 2"]);
    // Frames that are one field have half the bytes, and y4m has no such.
    let fields = format!("{caps}, interlace-mode=alternate");
    let wrong = ["--format", "y4m", "--caps", &fields];
    feed(&[&["send", &name][..], &wrong].concat(), &film).failed(2, &["frames of 8 bytes", "header 12"]);
    let receiver = start(&["recv", &name, "--format", "null"]);
    feed(&["send", &name, "--caps", caps], &film).failed(3, &["is y4m", "--format y4m"]);
    drop(receiver.finish());
}

#[test]
fn y4m_received_as_raw_and_as_nothing() {
    let stream = y4m("YUV4MPEG2 W2 H2", 6, 3, "");
    let frames: Vec<u8> = (0..3).flat_map(|frame| noise(6, frame)).collect();
    assert_same(&through(&[], &["--format", "raw"], &stream), &frames);
    let name = name();
    let receiver = start(&["recv", &name, "--format", "null", "--json"]);
    feed(&["send", &name], &stream).ok();
    let summary = receiver.finish().ok().json();
    assert_eq!((&summary["frames"], &summary["format"]), (&3.into(), &"null".into()));
}

#[test]
fn streams_without_metadata() {
    let input = noise(100, 1);
    let send = ["--size", "10", "--no-metadata"];
    assert_same(&through(&send, &["--metadata", "0"], &input), &input);
}

#[test]
fn the_number_of_frames_can_be_limited() {
    let input = noise(100, 1);
    assert_same(&through(&["--size", "10", "--frames", "4"], &[], &input), &input[..40]);
    assert_same(&through(&["--size", "10", "--frames", "0"], &[], &input), b"");
    let name = name();
    let receiver = start(&["recv", &name, "--frames", "3"]);
    // The sender may learn that its reader left, or be through before.
    let sent = feed(&["send", &name, "--size", "10"], &input);
    assert!(matches!(sent.code, Some(0 | 6)), "{}", sent.stderr);
    assert_same(&receiver.finish().ok().stdout, &input[..30]);
}

#[test]
fn a_file_is_sent_over_and_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.y4m");
    let clip = y4m("YUV4MPEG2 W2 H2", 6, 2, "");
    fs::write(&path, &clip).unwrap();
    let got = through(&["--input", path.to_str().unwrap(), "--loop", "--frames", "5"], &[], b"");
    let frames = &clip[16..];
    assert_same(&got, &[&clip, frames, &frames[..12]].concat());
}

#[test]
fn a_rate_is_kept() {
    let input = noise(10 * 11, 1);
    for (rate, least) in [("50", 200), ("100/1", 100)] {
        let start = Instant::now();
        assert_same(&through(&["--size", "10", "--fps", rate], &[], &input), &input);
        assert!(start.elapsed() >= Duration::from_millis(least), "{rate}: {:?}", start.elapsed());
    }
    let stream = y4m("YUV4MPEG2 W2 H2 F50:1", 6, 11, "");
    let start = Instant::now();
    assert_same(&through(&["--realtime"], &[], &stream), &stream);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn live_sources_drop_frames_or_stop_when_the_reader_is_slow() {
    // The reader's output is a full pipe that nobody empties, so it stops taking frames.
    let name = name();
    let mut child = command(&["recv", &name, "--ring", "64KiB"]);
    let mut receiver =
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let input = noise(16 * 1024 * 600, 1);
    let sent = feed(&["send", &name, "--size", "16KiB", "--full", "drop", "--json"], &input).ok();
    let summary = sent.json();
    let (frames, dropped) = (summary["frames"].as_u64().unwrap(), summary["dropped"].as_u64().unwrap());
    assert!(dropped > 0, "{summary}");
    assert_eq!(frames + dropped, 600);
    assert!(sent.stderr.contains("dropped"), "{}", sent.stderr);
    drop(receiver.stdout.take());
    receiver.wait().unwrap();

    for (how, code) in [(&["--full", "refuse"][..], 7), (&["--timeout", "0.05"], 7)] {
        let mut child = command(&["recv", &name, "--ring", "64KiB"]);
        let mut receiver =
            child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let arguments = [&["send", name.as_str(), "--size", "16KiB"], how].concat();
        feed(&arguments, &input).failed(code, &["is full", "sent to"]);
        drop(receiver.stdout.take());
        receiver.wait().unwrap();
    }
    assert_no_files(&name);
}

#[test]
fn a_second_sender_is_welcome_while_the_reader_lives_whatever_it_sends() {
    use zerobuffer::{BufferConfig, Reader};
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(4096)).unwrap();
    let stream = y4m("YUV4MPEG2 W2 H2", 6, 2, "");
    for _ in 0..2 {
        feed(&["send", &name], &stream).ok();
        for frame in 0..2 {
            assert_same(reader.read().unwrap().data(), &noise(6, frame));
        }
        // Its end must be seen before the next writer comes, or the two would be one to this
        // reader.
        assert!(reader.read().is_err());
    }
    let other = y4m("YUV4MPEG2 W4 H4", 24, 1, "");
    feed(&["send", &name], &other).ok();
    assert_same(reader.read().unwrap().data(), &noise(24, 0));
    let described = reader.metadata().unwrap().unwrap();
    assert!(String::from_utf8_lossy(described.data()).contains("height=(int)4"), "{described:?}");
    assert!(reader.read().is_err());
    feed(&["send", &name, "--size", "6"], &noise(6, 1)).ok();
    assert_same(reader.read().unwrap().data(), &noise(6, 1));
}

#[test]
fn metadata_is_what_video_clients_read() {
    use zerobuffer::{BufferConfig, Reader};
    let name = name();
    let reader = Reader::create(&name, BufferConfig::ring(1 << 16)).unwrap();
    feed(&["send", &name], &y4m("YUV4MPEG2 W4 H2 F25:1 C420mpeg2", 12, 1, "")).ok();
    let metadata = reader.metadata().unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(metadata.data()).unwrap();
    assert_eq!(json["type"], "zerobuffer-send");
    assert_eq!(json["element_name"], "zerobuffer-send");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        json["caps"],
        "video/x-raw, format=(string)I420, width=(int)4, height=(int)2, chroma-site=(string)mpeg2, \
         framerate=(fraction)25/1"
    );
    assert_eq!(json["y4m"], "YUV4MPEG2 W4 H2 F25:1 C420mpeg2");
}

#[test]
fn fifos_work_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("in"), folder.path().join("out"));
    for path in [&from, &to] {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let name = name();
    let mut receiver = receiver_to_file(&name, to.to_str().unwrap(), &[]);
    receiver.wait_for("waiting for a program to read from the FIFO");
    let sender = start(&["send", &name, "--input", from.to_str().unwrap()]);
    let stream = y4m("YUV4MPEG2 W64 H64", 6144, 200, "");
    let feeder = {
        let stream = stream.clone();
        std::thread::spawn(move || fs::write(from, stream).unwrap())
    };
    let got = fs::read(to).unwrap();
    feeder.join().unwrap();
    sender.finish().ok();
    receiver.finish().ok();
    assert_same(&got, &stream);
}

#[test]
fn a_reader_of_the_output_that_leaves_ends_recv_without_a_word() {
    let name = name();
    let mut receiver = command(&["recv", &name]);
    let mut receiver =
        receiver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(receiver.stdout.take());
    let sent = feed(&["send", &name, "--size", "10"], &noise(1000, 1));
    assert!(matches!(sent.code, Some(0 | 6)), "{}", sent.stderr);
    let output = receiver.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(141), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
    assert_no_files(&name);
}

#[test]
fn quiet_prints_no_notes() {
    let name = name();
    let receiver = start_command(command(&["-q", "recv", &name]).stdin(Stdio::null()).stdout(Stdio::piped()));
    let sent = feed(&["send", "--quiet", &name, "--size", "10"], &noise(100, 1)).ok();
    assert_eq!((sent.stderr.as_str(), receiver.finish().ok().stderr.as_str()), ("", ""));
}

#[test]
fn a_sender_that_sends_nothing_ends_its_receiver_whatever_it_has_failed_of() {
    let empty = b"YUV4MPEG2 W2 H2\n";
    for round in 0..5 {
        for (send, input, code) in [
            // Larger than the ring, a description larger than the block, cut short in the first
            // frame.
            (&["--size", "5000"][..], &noise(5000, 1)[..], 3),
            (&["--size", "5", "--caps", &"x".repeat(500)], b"12345", 3),
            (&["--size", "5"], b"123", 3),
            (&["--no-metadata"], empty, 0),
            (&[], empty, 0),
        ] {
            let name = name();
            let mut receiver = start(&["recv", &name, "--ring", "1KiB", "--metadata", "512"]);
            receiver.wait_for("waiting for a writer");
            let sent = feed(&[&["send", &name], send].concat(), input);
            assert_eq!(sent.shell_code(), code, "{}", sent.stderr);
            let ended = receiver.finish().ok();
            assert!(ended.stderr.contains("has left without sending a frame"), "{round}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_receiver_follows_one_writer_after_the_other() {
    let name = name();
    let mut receiver = start(&["recv", &name, "--follow", "--frames", "6"]);
    let stream = y4m("YUV4MPEG2 W2 H2", 6, 2, "");
    for _ in 0..3 {
        feed(&["send", &name], &stream).ok();
    }
    let frames = &stream[16..];
    assert_same(&receiver.finish().ok().stdout, &[&stream[..], frames, frames].concat());

    // One that sends other frames ends it; so does the time that the next one is given.
    receiver = start(&["recv", &name, "--follow"]);
    feed(&["send", &name], &stream).ok();
    receiver.wait_for("waiting for the next writer");
    feed(&["send", &name, "--size", "12", "--no-metadata"], &noise(12, 1));
    receiver.finish().failed(3, &["frame 2", "has 12 bytes", "12 bytes, but I420 2 x 2 has 6"]);

    let receiver = start(&["recv", &name, "--follow", "--wait", "0.7"]);
    feed(&["send", &name], &stream).ok();
    assert_same(&receiver.finish().ok().stdout, &stream);
    assert_no_files(&name);
}

#[test]
fn a_sender_goes_on_with_the_next_reader() {
    let name = name();
    let mut sender = start(&["send", &name, "--size", "3", "--reconnect", "--json"]);
    for text in ["abc", "def", "ghi"] {
        let receiver = start(&["recv", &name, "--frames", "1"]);
        crate::common::until("the receiver is there", || zerobuffer::observe::inspect(&name).is_ok());
        if text != "abc" {
            // This one it notices when it has something to send, and waits.
            std::thread::sleep(Duration::from_millis(100));
        }
        sender.write(text.as_bytes());
        assert_eq!(receiver.finish().ok().text(), text);
    }
    let summary = sender.finish().ok().json();
    assert_eq!((&summary["frames"], &summary["reconnects"]), (&3.into(), &2.into()), "{summary}");
    assert_no_files(&name);
}

#[test]
fn the_newest_frame_is_taken_by_a_receiver_that_falls_behind() {
    let name = name();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut child = command(&["recv", &name, "--latest", "--json", "--output", path.to_str().unwrap()]);
    let receiver = start_command(child.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut slow = fs::File::open(&path).unwrap();
    let mut sender = start(&["send", &name, "--size", "1MiB", "--full", "drop"]);
    let input = noise(1 << 20, 1);
    for number in 0..20u8 {
        sender.write(&[&[number], &input[1..]].concat());
        std::thread::sleep(Duration::from_millis(5));
    }
    sender.close_input();
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut slow, &mut got).unwrap();
    let numbers: Vec<u8> = got.chunks(1 << 20).map(|frame| frame[0]).collect();
    assert_eq!(numbers.last(), Some(&19), "{numbers:?}");
    assert!(numbers.len() < 20 && numbers.is_sorted(), "{numbers:?}");
    let summary = receiver.finish().ok().json();
    assert!(summary["skipped"].as_u64().unwrap() > 0, "{summary}");
}

#[test]
fn a_person_at_a_terminal_sees_how_a_stream_goes() {
    let name = name();
    let Some(mut receiver) = crate::common::Terminal::start(&["recv", &name, "--format", "null"]) else {
        return;
    };
    receiver.pid();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    fs::write(&path, noise(1000 * 300, 1)).unwrap();
    run(&["send", &name, "--size", "1000", "--fps", "200", "--input", path.to_str().unwrap()]).ok();
    let shown = receiver.wait().text();
    assert!(shown.contains(&format!("\r\u{1b}[K{name}: ")) && shown.contains(" frames, "), "{shown:?}");
    // It is taken away before the last line.
    assert!(
        shown.trim_end().lines().last().unwrap().contains("zerobuffer: received 300 frames"),
        "{shown:?}"
    );
}
