//! `record --foxglove`: images byte for byte, decoded by the official packages by the schema in the
//! file itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{assert_same, feed, name, noise, observers_python, run, start};
use serde_json::Value;
use zerobuffer::{Writer, WriterConfig};
use zerobuffer_video::{Clock, Description, Format, Layout, Stamp, Video};

/// A stream, and what Foxglove gets of it.
struct Case {
    name: String,
    metadata: Vec<u8>,
    frame: Vec<u8>,
    /// Encoding, width, height and step, or the format of a compressed picture.
    head: Value,
    data: Vec<u8>,
    /// Nanoseconds since 1970, where the stamp says so.
    time: Option<u64>,
}

fn video(format: &str, width: u32, height: u32) -> Video {
    Video::new(Format::from_name(format).unwrap(), width, height).unwrap()
}

/// A picture of random bytes, and what `image` makes of it.
fn case(
    format: &str,
    (width, height): (u32, u32),
    (encoding, step): (&str, u32),
    image: impl Fn(&[u8]) -> Vec<u8>,
) -> Case {
    let video = video(format, width, height);
    let frame = noise(Layout::tight(&video).unwrap().size(), u64::from(step));
    Case {
        name: name(),
        metadata: Description::video("test", &video).to_json(),
        head: serde_json::json!([encoding, width, height, step]),
        data: image(&frame),
        frame,
        time: None,
    }
}

/// Two halves of what stands behind the luma, byte by byte in turn.
fn woven(frame: &[u8], luma: usize, is_turned: bool) -> Vec<u8> {
    let (first, second) = frame[luma..].split_at((frame.len() - luma) / 2);
    let (blue, red) = if is_turned { (second, first) } else { (first, second) };
    let chroma = blue.iter().zip(red).flat_map(|(blue, red)| [*blue, *red]);
    frame[..luma].iter().copied().chain(chroma).collect()
}

fn cases() -> Vec<Case> {
    let same = <[u8]>::to_vec;
    let swapped = |frame: &[u8]| frame.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    let opaque = |frame: &[u8]| frame.chunks(4).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let mut cases = vec![
        case("RGB", (31, 17), ("rgb8", 93), same),
        case("BGR", (64, 48), ("bgr8", 192), same),
        case("RGBA", (5, 3), ("rgba8", 20), same),
        case("BGRx", (8, 8), ("bgra8", 32), opaque),
        case("GRAY8", (41, 3), ("mono8", 41), same),
        case("GRAY16_LE", (7, 5), ("mono16", 14), same),
        case("GRAY16_BE", (8, 8), ("mono16", 16), swapped),
        case("UYVY", (32, 16), ("uyvy", 64), same),
        case("YUY2", (18, 3), ("yuyv", 36), same),
        case("NV12", (34, 18), ("nv12", 34), same),
        case("I420", (64, 48), ("nv12", 64), |frame| woven(frame, 64 * 48, false)),
        case("YV12", (32, 16), ("nv12", 32), |frame| woven(frame, 32 * 16, true)),
    ];
    // Without colours the formula is a line: black is 16, white 235.
    for (format, width, height) in [("Y444", 16, 9), ("I420", 33, 17)] {
        let grey = |luma: u8| ((f64::from(luma) - 16.0) * 255.0 / 219.0).round().clamp(0.0, 255.0) as u8;
        let luma = (width * height) as usize;
        let mut case = case(format, (width, height), ("rgb8", width * 3), |_| Vec::new());
        case.frame[luma..].fill(128);
        case.data = case.frame[..luma].iter().flat_map(|luma| [grey(*luma); 3]).collect();
        cases.push(case);
    }
    // Rows with padding, and a stamp whose clock is that of the recording.
    let padded = Layout::announced(&video("RGB", 3, 2), &[12], None).unwrap();
    let time = 1_700_000_000_123_456_789;
    let stamp = Stamp { number: Some(7), time_ns: Some(time), exposure_us: None };
    let rows: Vec<u8> = (1..=24).collect();
    cases.push(Case {
        name: name(),
        metadata: Description::video("test", &video("RGB", 3, 2))
            .laid_out(&padded)
            .stamped()
            .clock(Clock::Realtime)
            .to_json(),
        frame: [&stamp.to_bytes()[..], &rows].concat(),
        head: serde_json::json!(["rgb8", 3, 2, 9]),
        data: [&rows[..9], &rows[12..21]].concat(),
        time: Some(time),
    });
    let jpeg = noise(5000, 5);
    cases.push(Case {
        name: name(),
        metadata: br#"{"caps": "image/jpeg, width=(int)64, height=(int)48"}"#.to_vec(),
        frame: jpeg.clone(),
        head: serde_json::json!(["jpeg"]),
        data: jpeg,
        time: None,
    });
    cases
}

/// Reads a recording as Foxglove would: by the schemas in it. Each must be the official one.
const SCRIPT: &str = r#"
import json, os, sys
from google.protobuf import json_format
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage

def fields(descriptor):
    return {f.name: (f.number, f.type, f.message_type and fields(f.message_type)) for f in descriptor.fields}

official = {d.DESCRIPTOR.full_name: fields(d.DESCRIPTOR) for d in (RawImage, CompressedImage)}
reader = make_reader(open(sys.argv[1], "rb"), validate_crcs=True, decoder_factories=[DecoderFactory()])
found = {}
for schema, channel, message, image in reader.iter_decoded_messages():
    assert channel.message_encoding == schema.encoding == "protobuf"
    assert fields(image.DESCRIPTOR) == official[schema.name], schema.name
    assert image.frame_id == channel.topic
    time = image.timestamp.seconds * 10**9 + image.timestamp.nanos
    assert time == message.publish_time
    if schema.name == "foxglove.RawImage":
        head = [image.encoding, image.width, image.height, image.step]
    else:
        head = [image.format]
    found.setdefault(channel.topic, []).append([head, time, message.log_time, message.sequence])
    open(os.path.join(sys.argv[2], channel.topic), "wb").write(image.data)
print(json.dumps(found))
"#;

fn connect(name: &str) -> Writer {
    Writer::connect_with(name, WriterConfig::default().connect_timeout(Duration::from_secs(20))).unwrap()
}

#[test]
fn every_encoding_byte_for_byte() {
    let Some(python) = observers_python("mcap_protobuf, foxglove_schemas_protobuf") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.mcap");
    let path = path.to_str().unwrap();
    let cases = cases();
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let mut recorder =
        start(&[&["record", "--foxglove", "--ring", "1MiB", "--json", "-o", path], &names[..]].concat());
    recorder.wait_for("waiting for writers");
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    for case in &cases {
        let mut writer = connect(&case.name);
        writer.set_metadata(&case.metadata).unwrap();
        writer.write(&noise(case.frame.len() + 5, 1)).unwrap();
        writer.write(&case.frame).unwrap();
        writer.close().unwrap();
    }
    let done = recorder.finish().ok();
    assert!(done.stderr.contains("Y444 is recorded as rgb8"), "{}", done.stderr);
    assert!(done.stderr.contains("is left out"), "{}", done.stderr);
    // What is compressed may have any size.
    let summary = done.json();
    let expected = cases.len() as u64;
    assert_eq!((&summary["frames"], &summary["left_out"]), (&(expected + 1).into(), &(expected - 1).into()));

    let output = Command::new(python).args(["-c", SCRIPT, path]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    for case in &cases {
        let images = found[&case.name].as_array().unwrap();
        let image = images.last().unwrap();
        assert_eq!((&image[0], &image[3]), (&case.head, &2.into()), "{}", case.head);
        let (time, arrived) = (image[1].as_u64().unwrap(), image[2].as_u64().unwrap());
        assert!(u128::from(arrived) >= before && u128::from(arrived) < before + 100_000_000_000);
        assert_eq!(time, case.time.unwrap_or(arrived), "{}", case.head);
        println!("{}", case.head);
        assert_same(&std::fs::read(folder.path().join(&case.name)).unwrap(), &case.data);
    }

    // It is for looking, and says so.
    run(&["replay", path, "--wait", "1"]).failed(3, &["'protobuf'", "--foxglove", "--only"]);
}

/// Records one frame of a stream that Foxglove cannot show.
fn refused(path: &Path, metadata: &[u8], parts: &[&str]) {
    let name = name();
    let arguments = ["record", "--foxglove", "--force", "-o", path.to_str().unwrap(), &name];
    let mut recorder = start(&arguments);
    recorder.wait_for("waiting for writers");
    let mut writer = connect(&name);
    if !metadata.is_empty() {
        writer.set_metadata(metadata).unwrap();
    }
    writer.write(&[1; 128]).unwrap();
    recorder.finish().failed(3, &[&[name.as_str(), "record it without --foxglove"], parts].concat());
    crate::common::assert_no_files(&name);
}

#[test]
fn what_foxglove_cannot_show_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refused.mcap");
    let v210 = Description::video("test", &video("v210", 6, 1)).to_json();
    refused(&path, &v210, &["pictures of v210", "cannot be converted"]);
    let audio = br#"{"caps":"audio/x-raw, format=(string)S16LE, layout=(string)interleaved, rate=(int)48000, channels=(int)1"}"#;
    refused(&path, audio, &["frames of audio/x-raw"]);
    refused(&path, b"", &["not described"]);
    refused(&path, br#"{"caps": "video/x-raw, width"}"#, &["caps"]);
    // The file is whole all the same.
    run(&["replay", path.to_str().unwrap()]).failed(3, &["holds no frames", "no writer sent any"]);
}

#[test]
fn a_y4m_film_becomes_images() {
    let Some(python) = observers_python("mcap_protobuf, foxglove_schemas_protobuf") else { return };
    let (name, folder) = (name(), tempfile::tempdir().unwrap());
    let path = folder.path().join("film.mcap");
    let path = path.to_str().unwrap();
    let mut recorder = start(&["record", &name, "--foxglove", "--json", "-o", path]);
    recorder.wait_for("waiting for writers");
    let film = crate::common::y4m("YUV4MPEG2 W64 H48 F25:1", 4608, 10, "");
    feed(&["send", &name, "--stamp"], &film).ok();
    assert_eq!(recorder.finish().ok().json()["frames"], 10);
    let output = Command::new(python).args(["-c", SCRIPT, path]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[&name].as_array().unwrap().len(), 10);
    assert_eq!(found[&name][9][0], serde_json::json!(["nv12", 64, 48, 64]));
    let last = woven(&noise(4608, 9), 64 * 48, false);
    assert_same(&std::fs::read(folder.path().join(&name)).unwrap(), &last);
}
