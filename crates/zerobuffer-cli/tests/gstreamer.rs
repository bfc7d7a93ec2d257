//! `send` and `recv` beside GStreamer's raw pictures and y4m: byte for byte, also where rows are
//! padded.
#![cfg(unix)]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::process::Command;

use common::{assert_no_files, assert_same, name, run, start};
use zerobuffer_video::{Caps, Layout, Video};

/// Runs a pipeline; `false` where GStreamer is missing, which the gate forbids.
fn gst(pipeline: &str) -> bool {
    let output = Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace()).output();
    let Ok(output) = output else {
        assert!(std::env::var_os("ZEROBUFFER_GSTREAMER").is_none(), "gst-launch-1.0 is needed here");
        println!(
            "skipped: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
        );
        return false;
    };
    assert!(output.status.success(), "{pipeline}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Sends a file and receives it into memory.
fn through(send: &[&str], recv: &[&str]) -> Vec<u8> {
    let name = name();
    let receiver = start(&[&["recv", &name], recv].concat());
    run(&[&["send", &name], send].concat()).ok();
    let done = receiver.finish().ok();
    assert_no_files(&name);
    done.stdout
}

/// The samples of all frames, without padding, whose content is nobody's.
fn samples(frames: &[u8], layout: &Layout) -> Vec<u8> {
    assert_eq!(frames.len() % layout.size(), 0);
    frames.chunks(layout.size()).flat_map(|frame| layout.runs(frame).collect::<Vec<_>>().concat()).collect()
}

const COUNT: usize = 3;

#[test]
fn raw_pictures_with_padded_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raw");
    let file = file.to_str().unwrap();
    for (format, width, height) in
        [("I420", 854, 480), ("RGB", 1366, 768), ("NV12", 33, 17), ("I420", 33, 17), ("GRAY16_LE", 33, 17)]
    {
        let short = format!("video/x-raw,format={format},width={width},height={height},framerate=25/1");
        let chain =
            format!("videotestsrc num-buffers={COUNT} pattern=smpte ! {short} ! filesink location={file}");
        if !gst(&chain) {
            return;
        }
        let video = Video::from_caps(&Caps::parse(&short).unwrap()).unwrap().unwrap();
        let (padded, tight) = (Layout::padded(&video).unwrap(), Layout::tight(&video).unwrap());
        let theirs = fs::read(file).unwrap();
        assert_eq!(theirs.len(), COUNT * padded.size(), "{short}");
        let size = padded.size().to_string();
        for stamp in [&[][..], &["--stamp"]] {
            let send = [&["--input", file, "--caps", &short, "--size", &size], stamp].concat();
            assert_same(&through(&send, &["--format", "raw"]), &theirs);
            let own = through(&send, &["--format", "raw", "--rows", "tight"]);
            assert_same(&own, &samples(&theirs, &padded));
            assert_eq!(own.len(), COUNT * tight.size());
            // And back: tight rows become those that GStreamer reads.
            let packed = folder.path().join("tight");
            fs::write(&packed, &own).unwrap();
            let send = [&["--input", packed.to_str().unwrap(), "--caps", &short], stamp].concat();
            let back = through(&send, &["--format", "raw", "--rows", "padded"]);
            assert_same(&samples(&back, &padded), &own);
        }
    }
}

#[test]
fn raw_pictures_of_gstreamer_become_y4m_that_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, y4m) = (folder.path().join("raw"), folder.path().join("y4m"));
    let (raw, y4m) = (raw.to_str().unwrap(), y4m.to_str().unwrap());
    for (width, height) in [(854, 480), (1366, 768), (33, 17)] {
        let short = format!("video/x-raw,format=I420,width={width},height={height},framerate=25/1");
        let source = format!("videotestsrc num-buffers={COUNT} pattern=smpte ! {short}");
        if !gst(&format!("{source} ! filesink location={raw}")) {
            return;
        }
        let video = Video::from_caps(&Caps::parse(&short).unwrap()).unwrap().unwrap();
        let (padded, tight) = (Layout::padded(&video).unwrap(), Layout::tight(&video).unwrap());
        let theirs = samples(&fs::read(raw).unwrap(), &padded);
        let size = padded.size().to_string();
        let own = through(&["--input", raw, "--caps", &short, "--size", &size, "--stamp"], &[]);
        let mut expected = format!("YUV4MPEG2 W{width} H{height} F25:1 Ip A0:0 C420jpeg\n").into_bytes();
        for frame in theirs.chunks(tight.size()) {
            expected.extend_from_slice(b"FRAME\n");
            expected.extend_from_slice(frame);
        }
        assert_same(&own, &expected);
        fs::write(y4m, &own).unwrap();
        gst(&format!("filesrc location={y4m} ! y4mdec ! filesink location={raw}"));
        assert_same(&samples(&fs::read(raw).unwrap(), &padded), &theirs);
    }
}

#[test]
fn stamps_carry_number_and_time() {
    use zerobuffer::{BufferConfig, Reader};
    use zerobuffer_video::{Clock, Description};
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(4096)).unwrap();
    let stream = common::y4m("YUV4MPEG2 W33 H17 F25:1 It C420mpeg2 XCOLORRANGE=FULL", 867, 3, "");
    common::feed(&["send", &name, "--stamp"], &stream).ok();
    let description = Description::parse(&reader.metadata().unwrap().unwrap()).unwrap();
    assert_eq!((description.stamped, description.clock), (Some(true), Some(Clock::Pts)));
    let caps = description.caps.clone().unwrap();
    for part in
        ["field-order=(string)top-field-first", "chroma-site=(string)mpeg2", "colorimetry=(string)1:4:16:4"]
    {
        assert!(caps.contains(part), "{caps}");
    }
    for number in 0..3 {
        let frame = reader.read().unwrap();
        let picture = description.picture(frame.len()).unwrap();
        let (stamp, pixels) = picture.split(&frame);
        let stamp = stamp.unwrap();
        assert_eq!((stamp.number, stamp.time_ns), (Some(number), Some(number * 40_000_000)));
        assert_same(pixels, &common::noise(867, number));
    }
    let other = ["--size", "40", "--caps", "video/x-raw,format=GRAY8,width=4,height=4", "--stamp"];
    common::feed(&[&["send", &name], &other[..]].concat(), b"").failed(2, &["have stamps already"]);
}
