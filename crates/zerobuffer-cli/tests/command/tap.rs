//! `recv --tap` and `record` beside a reader: every frame of a paced stream, and the reader gets
//! them all.

use std::time::Duration;

use crate::common::{assert_no_files, assert_same, name, noise, run, start};
use zerobuffer::{BufferConfig, Reader, Writer, WriterConfig};

/// What `-v` says once a tap has looked for the first time: what comes now is seen.
const WATCHED: &str = "is watched from now on";

fn pair(name: &str) -> (Reader, Writer) {
    let reader = Reader::create(name, BufferConfig::ring(1 << 20).metadata(256)).unwrap();
    // No frame is overwritten here, so a tap that stands still for long misses none.
    let mut writer = Writer::connect_with(name, WriterConfig::default().whole_ring(true)).unwrap();
    writer.set_metadata(br#"{"kind": "test"}"#).unwrap();
    (reader, writer)
}

/// Frames at a pace that a tap keeps up with on a busy machine; all that the reader got.
fn stream(reader: &mut Reader, writer: &mut Writer, count: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..count {
        let frame = noise(2000 + usize::try_from(number).unwrap(), number);
        writer.write(&frame).unwrap();
        assert_same(&reader.read().unwrap(), &frame);
        all.extend(frame);
        std::thread::sleep(Duration::from_millis(40));
    }
    all
}

#[test]
fn recv_sees_a_stream_beside_its_reader() {
    let (name, folder) = (name(), tempfile::tempdir().unwrap());
    let output = folder.path().join("seen.raw");
    let output = output.to_str().unwrap();
    let arguments = ["recv", &name, "-v", "--tap", "--output", output, "--format", "raw", "--json"];
    // It waits for a buffer that is still to come.
    let mut tap = start(&arguments);
    tap.wait_for("looking at");
    let (mut reader, mut writer) = pair(&name);
    tap.wait_for(WATCHED);
    let sent = stream(&mut reader, &mut writer, 20);
    writer.close().unwrap();
    let summary = tap.finish().ok().json();
    assert_eq!((&summary["frames"], &summary["missed"]), (&20.into(), &0.into()), "{summary}");
    assert_same(&std::fs::read(output).unwrap(), &sent);
    reader.close().unwrap();
    assert_no_files(&name);
}

#[test]
fn recv_follows_the_next_writer_and_tells_of_a_reader_that_closes() {
    let name = name();
    let (mut reader, mut writer) = pair(&name);
    let mut tap = start(&["recv", &name, "-v", "--tap", "--format", "null", "--follow"]);
    tap.wait_for(WATCHED);
    stream(&mut reader, &mut writer, 3);
    writer.close().unwrap();
    tap.wait_for("the writer has left: 3 frames");
    let mut writer = Writer::connect(&name).unwrap();
    stream(&mut reader, &mut writer, 2);
    drop(writer);
    tap.wait_for("the writer has left: 5 frames");
    reader.close().unwrap();
    tap.wait_for("waiting for the next buffer");
    assert!(tap.is_running());
    tap.signal(rustix::process::Signal::INT);
    assert_eq!(tap.finish().shell_code(), 130);
}

#[test]
fn a_tap_that_cannot_be() {
    let name = name();
    run(&["recv", &name, "--tap", "--format", "null", "--wait", "0.2"])
        .failed(4, &["did not come within 0.2 s"]);
    run(&["recv", &name, "--tap", "--ring", "1MiB"]).failed(2, &["--tap", "--ring"]);
    run(&["recv", "a/b", "--tap", "--format", "null"]).failed(2, &["a/b"]);
}

#[test]
fn record_goes_beside_a_reader_that_is_there() {
    let (name, folder) = (name(), tempfile::tempdir().unwrap());
    let path = folder.path().join("beside.mcap");
    let (mut reader, mut writer) = pair(&name);
    let mut recorder = start(&["record", &name, "-v", "--output", path.to_str().unwrap(), "--json"]);
    recorder.wait_for("has a reader");
    recorder.wait_for(WATCHED);
    let sent = stream(&mut reader, &mut writer, 20);
    writer.close().unwrap();
    let summary = recorder.finish().ok().json();
    assert_eq!((&summary["frames"], &summary["missed"]), (&20.into(), &0.into()), "{summary}");
    let file = std::fs::read(&path).unwrap();
    let messages: Vec<mcap::Message<'_>> =
        mcap::MessageStream::new(&file).unwrap().map(Result::unwrap).collect();
    let got: Vec<u8> = messages.iter().flat_map(|message| message.data.iter().copied()).collect();
    assert_same(&got, &sent);
    assert_eq!(messages[0].channel.metadata["metadata"], r#"{"kind": "test"}"#);
    assert_eq!(messages[0].sequence, 1);
}

#[test]
fn record_by_a_tap_waits_for_the_buffer() {
    let (name, folder) = (name(), tempfile::tempdir().unwrap());
    let path = folder.path().join("tap.mcap");
    let path = path.to_str().unwrap();
    let mut recorder = start(&["record", &name, "-v", "--tap", "-o", path, "--json", "--frames", "5"]);
    recorder.wait_for("waiting for writers");
    let (mut reader, mut writer) = pair(&name);
    recorder.wait_for(WATCHED);
    stream(&mut reader, &mut writer, 8);
    assert_eq!(recorder.finish().ok().json()["frames"], 5);
}
