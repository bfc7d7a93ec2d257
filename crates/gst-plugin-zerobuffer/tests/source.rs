//! `zerosrc` in pipelines of this process; the writer is the library's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{launch, name, stat, wait};
use gst::prelude::*;
use zerobuffer::{Writer, WriterConfig};
use zerobuffer_video::{Description, Format, Stamp, Video};

fn attach(name: &str) -> Writer {
    Writer::connect_with(name, WriterConfig::default().connect_timeout(Duration::from_secs(20))).unwrap()
}

fn gray() -> Description {
    Description::video("test", &Video::new(Format::from_name("GRAY8").unwrap(), 8, 4).unwrap())
}

fn stamped(number: u64, time_ns: u64) -> Vec<u8> {
    let stamp = Stamp { number: Some(number), time_ns: Some(time_ns), exposure_us: None };
    [&stamp.to_bytes()[..], &[7; 32]].concat()
}

/// PTS, offset and discontinuity of each buffer.
type Got = Arc<Mutex<Vec<(Option<u64>, u64, bool)>>>;

fn playing(name: &str, options: &str) -> (gst::Pipeline, Got) {
    let pipeline = launch(&format!(
        "zerosrc name=source buffer-name={name} buffer-size=65536 {options} ! fakesink name=end sync=false signal-handoffs=true"
    ));
    let got = Got::default();
    let into = Arc::clone(&got);
    pipeline.by_name("end").unwrap().connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().unwrap();
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        into.lock().unwrap().push((buffer.pts().map(gst::ClockTime::nseconds), buffer.offset(), discont));
        None
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    (pipeline, got)
}

#[test]
fn numbers_that_nobody_had_are_lost_and_shown_downstream() {
    let name = name();
    let (pipeline, got) = playing(&name, "on-writer-gone=eos timestamp-mode=sender");
    let mut writer = attach(&name);
    writer.set_metadata(&gray().stamped().to_json()).unwrap();
    // Three are missing; then the source counts anew, which is no loss.
    for number in [5, 6, 10, 11, 0, 1] {
        writer.write(&stamped(number, number * 100)).unwrap();
    }
    drop(writer);
    assert_eq!(wait(&pipeline, Duration::from_secs(20)), None);
    assert_eq!(stat(&pipeline, "source", "received"), 6);
    assert_eq!(stat(&pipeline, "source", "lost"), 3);
    pipeline.set_state(gst::State::Null).unwrap();
    let got = got.lock().unwrap();
    assert_eq!(got.iter().map(|got| got.1).collect::<Vec<_>>(), [5, 6, 10, 11, 0, 1]);
    assert_eq!(got.iter().map(|got| got.2).collect::<Vec<_>>(), [true, false, true, false, true, false]);
}

#[test]
fn a_day_of_time_stamps() {
    const FRAME: u64 = 1_000_000_000 / 25;
    // Also where a 90 kHz counter of 32 bits would have wrapped, and one of microseconds.
    let name = name();
    let (pipeline, got) = playing(&name, "on-writer-gone=eos timestamp-mode=sender");
    let mut writer = attach(&name);
    writer.set_metadata(&gray().stamped().to_json()).unwrap();
    let day: Vec<u64> = (0..24 * 3600 * 25).step_by(2500).collect();
    for index in &day {
        writer.write(&stamped(*index, index * FRAME)).unwrap();
    }
    drop(writer);
    assert_eq!(wait(&pipeline, Duration::from_secs(60)), None);
    pipeline.set_state(gst::State::Null).unwrap();
    let times: Vec<u64> = got.lock().unwrap().iter().map(|got| got.0.unwrap()).collect();
    assert_eq!(times, day.iter().map(|index| index * FRAME).collect::<Vec<_>>());
    assert!(times[times.len() - 1] > 86_000 * 1_000_000_000);
}

#[test]
fn wrong_frames_are_one_error_with_both_numbers() {
    let json = |caps: &str, more: &str| format!("{{\"caps\":\"{caps}\"{more}}}").into_bytes();
    let gray = "video/x-raw, format=(string)GRAY8, width=(int)8, height=(int)4";
    let missing = "video/x-raw, format=(string)GRAY8, height=(int)4";
    let unknown = "video/x-raw, format=(string)XYZ, width=(int)8, height=(int)4";
    for (metadata, size, part) in [
        (json(missing, ""), 32, "the caps have no width"),
        (json(unknown, ""), 32, "pixel format 'XYZ' is not known"),
        (json(gray, ""), 31, "31 bytes, but GRAY8 8 x 4 has 32"),
        (json(gray, ",\"frame_prefix\":24"), 32, "32 bytes, but GRAY8 8 x 4 has 56"),
        (json(gray, ",\"frame_prefix\":24"), 20, "20 bytes, fewer than the 24 of the announced stamp"),
        (json(gray, ",\"width\":9,\"height\":4,\"format\":\"GRAY8\""), 32, "width 8"),
    ] {
        let name = name();
        let (pipeline, _) = playing(&name, "");
        let mut writer = attach(&name);
        writer.set_metadata(&metadata).unwrap();
        writer.write(&vec![0; size]).unwrap();
        let error = wait(&pipeline, Duration::from_secs(20)).unwrap();
        assert!(error.contains(part), "{error}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_flushing_seek_ends_no_stream() {
    let name = name();
    let (pipeline, got) = playing(&name, "timestamp-mode=sender");
    let mut writer = attach(&name);
    writer.set_metadata(&gray().stamped().to_json()).unwrap();
    let source = pipeline.by_name("source").unwrap();
    for number in 0..30 {
        writer.write(&stamped(number, number)).unwrap();
        if number % 10 == 5 {
            // There is nothing to seek to in a live stream; what follows goes on.
            source.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let began = std::time::Instant::now();
    while got.lock().unwrap().last().is_none_or(|got| got.1 != 29) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", got.lock().unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]).is_none());
    assert_eq!(stat(&pipeline, "source", "writers"), 1);
    drop(writer);
    pipeline.set_state(gst::State::Null).unwrap();
}
