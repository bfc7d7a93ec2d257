//! `zerosink` in pipelines of this process; the reader is the library's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{launch, name, run, stat, wait};
use gst::prelude::*;
use zerobuffer::{BufferConfig, Error, Reader};
use zerobuffer_video::{Content, Description, Stamp};

/// Reads until the writer has gone; gives the metadata and each frame's stamp and size.
fn read(mut reader: Reader) -> std::thread::JoinHandle<(Description, Vec<(Stamp, usize)>)> {
    std::thread::spawn(move || {
        let mut frames = Vec::new();
        let mut description = Description::default();
        loop {
            match reader.read_timeout(Duration::from_secs(20)) {
                Ok(Some(frame)) => {
                    if frames.is_empty() {
                        description = Description::parse(&reader.metadata().unwrap().unwrap()).unwrap();
                    }
                    let picture = description.picture(frame.len());
                    let stamped =
                        picture.map_or(description.stamped == Some(true), |picture| picture.stamped);
                    let (stamp, pixels) = Stamp::split(frame.data()).filter(|_| stamped).unwrap();
                    frames.push((stamp, pixels.len()));
                }
                Ok(None) => panic!("no frame came"),
                Err(Error::WriterGone { .. }) => return (description, frames),
                Err(error) => panic!("{error}"),
            }
        }
    })
}

fn ring(name: &str) -> Reader {
    Reader::create(name, BufferConfig::ring(32 << 20).metadata(4096)).unwrap()
}

/// Runs a chain into `zerosink`; gives its frames in place and copied.
fn chain(text: &str, frames: u64) -> (u64, u64) {
    let name = name();
    let reading = read(ring(&name));
    let (pipeline, error) = run(&format!("{text} ! zerosink name=sink buffer-name={name} sync=false"));
    assert_eq!(error, None, "{text}");
    let counts = (stat(&pipeline, "sink", "in-place"), stat(&pipeline, "sink", "copied"));
    pipeline.set_state(gst::State::Null).unwrap();
    let (_, got) = reading.join().unwrap();
    assert_eq!(got.len() as u64, frames, "{text}");
    let numbers: Vec<u64> = got.iter().map(|(stamp, _)| stamp.number.unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{text}: frames out of order");
    println!("{text}: {} in place, {} copied", counts.0, counts.1);
    counts
}

#[test]
fn frames_are_made_in_the_ring_where_upstream_takes_its_memory() {
    for text in [
        "videotestsrc num-buffers=100 ! video/x-raw,format=I420,width=640,height=480",
        "videotestsrc num-buffers=100 ! videoconvert ! video/x-raw,format=RGB,width=640,height=480",
        "videotestsrc num-buffers=100 ! video/x-raw,format=RGB,width=638,height=480",
        "videotestsrc num-buffers=100 ! jpegenc ! jpegdec",
        "videotestsrc num-buffers=100 ! vp8enc deadline=1 ! vp8dec",
    ] {
        let (in_place, _) = chain(text, 100);
        assert!(in_place >= 95, "{text}: {in_place} of 100");
    }
}

#[test]
fn a_queue_or_a_tee_in_front_copies_what_it_must_and_keeps_the_order() {
    let (in_place, copied) =
        chain("videotestsrc num-buffers=100 ! video/x-raw,width=320,height=240 ! queue", 100);
    assert_eq!(in_place + copied, 100);
    let tee = "videotestsrc num-buffers=100 ! video/x-raw,width=320,height=240 ! tee";
    assert_eq!(chain(tee, 100), (0, 100));
}

#[test]
fn metadata_stamps_and_tight_rows() {
    let name = name();
    let reading = read(ring(&name));
    let caps = "video/x-raw,format=RGB,width=638,height=48,framerate=25/1,colorimetry=sRGB";
    let (pipeline, error) = run(&format!(
        "videotestsrc num-buffers=5 ! {caps} ! zerosink name=camera buffer-name={name} sync=false"
    ));
    assert_eq!(error, None);
    pipeline.set_state(gst::State::Null).unwrap();
    let (description, frames) = reading.join().unwrap();
    assert_eq!(description.kind.as_deref(), Some("gstreamer-sink"));
    assert_eq!(description.element_name.as_deref(), Some("camera"));
    assert!(description.version.unwrap().starts_with("GStreamer 1."));
    let caps = description.caps.unwrap();
    assert!(caps.starts_with("video/x-raw, format=(string)RGB, width=(int)638, height=(int)48"), "{caps}");
    assert_eq!(description.strides, Some(vec![638 * 3]));
    let Content::Video(video) = description.content else { panic!("no pictures") };
    assert_eq!(video.rate.unwrap().num(), 25);
    for (index, (stamp, size)) in frames.iter().enumerate() {
        assert_eq!(stamp.number, Some(index as u64));
        assert_eq!(stamp.time_ns, Some(index as u64 * 40_000_000));
        assert_eq!(stamp.exposure_us, None);
        assert_eq!(*size, 638 * 3 * 48);
    }
}

#[test]
fn errors_come_in_time_and_with_numbers() {
    // Nobody reads.
    let began = Instant::now();
    let text = "videotestsrc ! zerosink connect-timeout=200 sync=false buffer-name";
    let (pipeline, error) = run(&format!("{text}={}", name()));
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.unwrap().contains("does not exist after"));
    // A frame that cannot fit.
    let small = name();
    let reader = Reader::create(&small, BufferConfig::ring(4096)).unwrap();
    let (pipeline, error) = run(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=320,height=240 ! zerosink sync=false buffer-name={small}"
    ));
    pipeline.set_state(gst::State::Null).unwrap();
    let error = error.unwrap();
    assert!(error.contains("76824 bytes") && error.contains("4080"), "{error}");
    drop(reader);
    // A reader that does not read.
    let full = name();
    let reader = Reader::create(&full, BufferConfig::ring(200_000)).unwrap();
    let (pipeline, error) = run(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=320,height=240 ! zerosink sync=false write-timeout=200 buffer-name={full}"
    ));
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.unwrap().contains("is full"));
    drop(reader);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_stop_ends_every_wait() {
    let name = name();
    // While it waits for its reader, and while it waits for space.
    for with_reader in [false, true] {
        let reader = with_reader.then(|| Reader::create(&name, BufferConfig::ring(200_000)).unwrap());
        let pipeline = launch(&format!(
            "videotestsrc ! video/x-raw,format=GRAY8,width=320,height=240 ! zerosink sync=false connect-timeout=-1 write-timeout=-1 buffer-name={name}"
        ));
        pipeline.set_state(gst::State::Playing).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drop(reader);
    }
}

#[test]
fn the_next_reader_is_waited_for_and_full_rings_drop() {
    let name = name();
    let mut first = ring(&name);
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=60 is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! zerosink name=sink buffer-name={name}"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..10 {
        drop(first.read_timeout(Duration::from_secs(10)).unwrap().unwrap());
    }
    drop(first);
    std::thread::sleep(Duration::from_millis(300));
    let reading = read(ring(&name));
    assert_eq!(wait(&pipeline, Duration::from_secs(30)), None);
    assert_eq!(stat(&pipeline, "sink", "readers"), 2);
    pipeline.set_state(gst::State::Null).unwrap();
    let (description, frames) = reading.join().unwrap();
    assert!(frames.len() > 10 && description.stamped == Some(true));

    let reader = Reader::create(&name, BufferConfig::ring(200_000)).unwrap();
    let (pipeline, error) = run(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,format=GRAY8,width=320,height=240 ! zerosink name=sink full=drop sync=false buffer-name={name}"
    ));
    assert_eq!(error, None);
    assert_eq!(stat(&pipeline, "sink", "sent"), 2);
    assert_eq!(stat(&pipeline, "sink", "dropped"), 18);
    pipeline.set_state(gst::State::Null).unwrap();
    drop(reader);
}

#[test]
fn changed_caps_come_from_the_sinks_own_successor() {
    let name = name();
    let mut reader = ring(&name);
    let reading = std::thread::spawn(move || {
        let (mut seen, mut metadata) = (Vec::new(), None);
        loop {
            match reader.read_timeout(Duration::from_secs(20)) {
                Ok(Some(frame)) => {
                    let now = reader.metadata().unwrap().map(|metadata| metadata.data().to_vec());
                    if now != metadata {
                        metadata = now;
                        seen.push((metadata.clone().unwrap(), 0, 0));
                    }
                    let seen = seen.last_mut().unwrap();
                    (seen.1, seen.2) = (seen.1 + 1, frame.len());
                }
                // Between the sink and its successor the ring has no writer.
                Err(Error::WriterGone { .. }) if seen.iter().map(|seen| seen.1).sum::<u32>() < 40 => {
                    assert!(reader.wait_for_writer(Duration::from_secs(20)).unwrap());
                }
                Err(Error::WriterGone { .. }) => return seen,
                other => panic!("{other:?}"),
            }
        }
    });
    let (pipeline, error) = run(&format!(
        "concat name=c ! zerosink name=sink buffer-name={name} sync=false \
         videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=320,height=240 ! c. \
         videotestsrc num-buffers=20 ! video/x-raw,format=RGB,width=638,height=48 ! c."
    ));
    assert_eq!(error, None);
    assert_eq!(stat(&pipeline, "sink", "readers"), 2);
    assert_eq!(stat(&pipeline, "sink", "reader-pid"), u64::from(std::process::id()));
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(stat(&pipeline, "sink", "reader-pid"), 0);
    let seen = reading.join().unwrap();
    let kinds: Vec<_> = seen
        .iter()
        .map(|(metadata, count, size)| {
            let Content::Video(video) = Description::parse(metadata).unwrap().content else { panic!() };
            (video.format.name(), *count, *size)
        })
        .collect();
    assert_eq!(kinds, [("I420", 20, 24 + 320 * 240 * 3 / 2), ("RGB", 20, 24 + 638 * 3 * 48)]);
}

#[test]
fn a_flushing_seek_goes_on() {
    let name = name();
    let reading = read(ring(&name));
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=400 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! zerosink name=sink buffer-name={name}"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).unwrap();
    }
    assert_eq!(wait(&pipeline, Duration::from_secs(60)), None);
    // One reader all the time: a flush is no reason to leave.
    assert_eq!(stat(&pipeline, "sink", "readers"), 1);
    pipeline.set_state(gst::State::Null).unwrap();
    let (_, frames) = reading.join().unwrap();
    let times: Vec<u64> = frames.iter().map(|(stamp, _)| stamp.time_ns.unwrap()).collect();
    let restarts = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((1..=5).contains(&restarts), "{restarts} restarts");
    assert!(times.contains(&0));
}

#[test]
fn time_stamps_after_a_day() {
    const DAY: u64 = 86_400_000_000_000;
    let name = name();
    let reading = read(ring(&name));
    let (pipeline, error) = run(&format!(
        "videotestsrc num-buffers=5 timestamp-offset={DAY} ! video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! zerosink buffer-name={name} sync=false"
    ));
    assert_eq!(error, None);
    pipeline.set_state(gst::State::Null).unwrap();
    let (_, frames) = reading.join().unwrap();
    let times: Vec<u64> = frames.iter().map(|(stamp, _)| stamp.time_ns.unwrap()).collect();
    assert_eq!(times, (0..5).map(|index| DAY + index * 40_000_000).collect::<Vec<_>>());
}

/// Pushes one buffer of `size` bytes with the given caps into `zerosink`; the error that comes.
fn pushed(caps: &str, size: usize, options: &str) -> String {
    let name = name();
    let reader = ring(&name);
    let pipeline = launch(&format!(
        "appsrc name=source format=time ! zerosink {options} buffer-name={name} sync=false async=false"
    ));
    let source = pipeline.by_name("source").unwrap();
    source.set_property("caps", caps.parse::<gst::Caps>().unwrap());
    pipeline.set_state(gst::State::Playing).unwrap();
    let buffer = gst::Buffer::from_mut_slice(vec![0; size]);
    let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let error = wait(&pipeline, Duration::from_secs(20)).unwrap_or_default();
    pipeline.set_state(gst::State::Null).unwrap();
    drop(reader);
    error
}

#[test]
fn wrong_caps_and_buffers_are_one_message_with_both_numbers() {
    let gray = "video/x-raw,format=GRAY8,width=32,height=16";
    for (caps, size, options, part) in [
        ("video/x-raw,format=GRAY8,height=16", 512, "", "the caps have no width"),
        ("video/x-raw,width=32,height=16", 512, "", "the caps have no format"),
        (gray, 500, "", "a buffer has 500 bytes, a GRAY8 picture of 32 x 16 with these rows has 512"),
        (gray, 512, "zero-copy=always", "zero-copy=always demands"),
        // Whatever GStreamer adds one day travels as it is.
        ("video/x-raw,format=XYZ,width=32,height=16", 500, "", ""),
    ] {
        let error = pushed(caps, size, options);
        assert!(error.contains(part) && error.is_empty() == part.is_empty(), "{caps}: '{error}'");
    }
}

#[test]
fn dropped_frames_are_told_to_the_application() {
    let name = name();
    let reader = Reader::create(&name, BufferConfig::ring(200_000)).unwrap();
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,format=GRAY8,width=320,height=240 ! \
         zerosink full=drop sync=false buffer-name={name}"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let mut told = Vec::new();
    loop {
        let message = bus.timed_pop(gst::ClockTime::from_seconds(20)).expect("the pipeline hangs");
        match message.view() {
            gst::MessageView::Qos(qos) => told.push(qos.stats()),
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(told.len(), 18);
    assert_eq!(
        format!("{:?}", told[17].0),
        format!("{:?}", gst::GenericFormattedValue::from(gst::format::Buffers::from_u64(2)))
    );
    drop(reader);
}
