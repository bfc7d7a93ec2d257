//! The arithmetic of planes beside GStreamer's own, which a Python program asks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::format_push_string)]
use std::io::Write as _;
use std::process::{Command, Stdio};

use zerobuffer_video::{Caps, Format, Interlace, Layout, Video};

/// Debian's Python has the bindings; another one that stands before it in the path does not.
const PYTHON: &str = "/usr/bin/python3";

/// Whether GStreamer can be asked; where the gate runs, it must.
fn missing() -> Option<String> {
    let ask = "import gi; gi.require_version('GstVideo', '1.0'); from gi.repository import GstVideo";
    let found = Command::new(PYTHON).args(["-c", ask]).output();
    let why = match found {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("ZEROBUFFER_GSTREAMER").is_none(), "GStreamer is needed here: {why}");
    Some(format!("skipped: apt-get install python3-gi gir1.2-gst-plugins-base-1.0 ({why})"))
}

/// Random sizes, the same in every run: small ones, where each column counts, and large ones.
fn sizes(count: usize) -> impl Iterator<Item = (u32, u32)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(1 + state % below).unwrap()
    };
    (0..count).map(move |index| {
        let most = if index % 2 == 0 { 100 } else { 8192 };
        (random(most), random(most))
    })
}

fn ask(program: &str, input: &str) -> String {
    let mut child = Command::new(PYTHON)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// 10,000 sizes for each of the formats is a minute of Python; a build with optimisation or the
/// gate has that time.
fn count() -> usize {
    if std::env::var_os("ZEROBUFFER_GSTREAMER").is_some() { 10_000 } else { 500 }
}

#[test]
fn padded_rows_are_gstreamers() {
    if let Some(why) = missing() {
        println!("{why}");
        return;
    }
    let mut questions = String::new();
    let mut own = Vec::new();
    for format in Format::all() {
        for (index, (width, height)) in sizes(count()).enumerate() {
            let interlace = if index % 4 == 0 { Interlace::Mixed } else { Interlace::Progressive };
            let mode = if index % 4 == 0 { "mixed" } else { "progressive" };
            questions += &format!("{format} {width} {height} {mode}\n");
            let mut video = Video::new(format, width, height).unwrap();
            video.interlace = interlace;
            let layout = Layout::padded(&video).unwrap();
            let strides: Vec<usize> = layout.planes().iter().map(|plane| plane.stride).collect();
            let offsets: Vec<usize> = layout.planes().iter().map(|plane| plane.offset).collect();
            own.push(format!("{} {strides:?} {offsets:?}", layout.size()));
        }
    }
    let answers = ask(include_str!("gst_video_info.py"), &questions);
    assert_eq!(answers.lines().count(), own.len());
    let mut wrong = Vec::new();
    for ((question, own), theirs) in questions.lines().zip(&own).zip(answers.lines()) {
        // A format that this GStreamer does not know yet.
        if theirs != "unknown" && own != theirs {
            wrong.push(format!("{question}: {own}, GStreamer {theirs}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(answers.lines().filter(|line| *line != "unknown").count() >= 105 * count());
}

#[test]
fn every_format_of_the_table_is_named_as_gstreamer_does() {
    if let Some(why) = missing() {
        println!("{why}");
        return;
    }
    let program = "
import gi
gi.require_version('GstVideo', '1.0')
from gi.repository import GstVideo
for number in range(2, 300):
    try:
        info = GstVideo.VideoFormat.get_info(GstVideo.VideoFormat(number))
    except ValueError:
        break
    if not int(info.flags) & 256:  # tiled
        print(info.name)
";
    let names: Vec<String> = ask(program, "").lines().map(str::to_owned).collect();
    let own: Vec<&str> = Format::all().map(Format::name).collect();
    // A newer GStreamer has more of them.
    let known: Vec<&str> = names.iter().map(String::as_str).filter(|name| own.contains(name)).collect();
    assert_eq!(known, own[..known.len()]);
    assert!(known.len() >= 105);
}

#[test]
fn caps_are_written_as_gstreamer_writes_them() {
    if let Some(why) = missing() {
        println!("{why}");
        return;
    }
    let texts = [
        "video/x-raw,format=RGB,width=640,height=480,framerate=30/1,colorimetry=bt709",
        "video/x-raw, width = (i) 5 , e = [ 1, 5 ], d = { a, b }, n=< 1, 2 >",
        "video/x-raw(memory:DMABuf, meta:X),format=NV12;audio/x-raw,rate=48000",
        "a/b,s=\"x y\",t=\"a\\\"b\",u=(string)5,v=x:y,w=-3,z=1.5,b=true",
        "a/b,s=(string)\"\\303\\244\\\\;\"",
        "video/x-raw, format=(string)I420, interlace-mode=(string)interleaved, field-order=(string)top-field-first;",
    ];
    let program = "
import sys, gi
gi.require_version('Gst', '1.0')
from gi.repository import Gst
Gst.init(None)
for line in sys.stdin:
    print(Gst.Caps.from_string(line.rstrip('\\n')).to_string())
";
    let answers = ask(program, &texts.join("\n"));
    for (text, theirs) in texts.iter().zip(answers.lines()) {
        assert_eq!(Caps::parse(text).unwrap().to_string(), theirs, "{text}");
    }
}
