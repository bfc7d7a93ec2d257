//! `zerofilter` with a server in this process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{launch, name, run, stat, wait};
use gst::prelude::*;
use zerobuffer::BufferConfig;
use zerobuffer::duplex::{ProcessingMode, Server, ServerConfig};
use zerobuffer_video::{Description, Stamp};

fn server(channel: &str) -> Server {
    Server::new(channel, ServerConfig::default().buffer(BufferConfig::ring(16 << 20).metadata(4096)))
}

/// A buffer as bytes, and its PTS.
type Got = (Vec<u8>, u64);

/// What a pipeline's `fakesink name=end` gets.
fn collected(pipeline: &gst::Pipeline) -> Arc<Mutex<Vec<Got>>> {
    let got = Arc::new(Mutex::new(Vec::new()));
    let end = pipeline.by_name("end").unwrap();
    let into = Arc::clone(&got);
    end.connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().unwrap();
        let pts = buffer.pts().unwrap().nseconds();
        into.lock().unwrap().push((buffer.map_readable().unwrap().to_vec(), pts));
        None
    });
    got
}

const END: &str = "fakesink name=end sync=false signal-handoffs=true";

#[test]
fn pictures_are_answered_in_place_with_their_times() {
    let channel = name();
    let server = server(&channel);
    let stamps = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&stamps);
    server
        .start(move |request, mut response| {
            let (stamp, pixels) = Stamp::split(request.data()).unwrap();
            assert_eq!(pixels.len(), 33 * 17);
            seen.fetch_add(stamp.time_ns.unwrap(), Ordering::SeqCst);
            let inverted: Vec<u8> = pixels.iter().map(|byte| !byte).collect();
            response.write(&inverted)?;
            Ok(())
        })
        .unwrap();
    // Rows of 33 bytes, which GStreamer pads to 36.
    let source = "videotestsrc num-buffers=10 ! video/x-raw,format=GRAY8,width=33,height=17,framerate=25/1";
    let plain = launch(&format!("{source} ! {END}"));
    let before = collected(&plain);
    plain.set_state(gst::State::Playing).unwrap();
    assert_eq!(wait(&plain, Duration::from_secs(20)), None);
    plain.set_state(gst::State::Null).unwrap();
    let pipeline =
        launch(&format!("{source} ! zerofilter name=ai on-server-gone=error channel-name={channel} ! {END}"));
    let after = collected(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(wait(&pipeline, Duration::from_secs(20)), None);
    assert_eq!(stat(&pipeline, "ai", "answered"), 10);
    pipeline.set_state(gst::State::Null).unwrap();
    let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
    for ((plain, plain_pts), (answer, pts)) in before.iter().zip(after.iter()) {
        assert_eq!(plain_pts, pts);
        for row in 0..17 {
            for column in 0..33 {
                assert_eq!(answer[row * 36 + column], !plain[row * 36 + column]);
            }
        }
    }
    assert_eq!(stamps.load(Ordering::SeqCst), (0..10).map(|index| index * 40_000_000).sum::<u64>());
    server.stop();
}

#[test]
fn a_dead_or_slow_server_never_stops_the_camera() {
    let channel = name();
    let source = "videotestsrc num-buffers=60 is-live=true ! video/x-raw,format=GRAY8,width=32,height=32,framerate=30/1";
    let pipeline =
        launch(&format!("{source} ! zerofilter name=ai timeout-ms=300 channel-name={channel} ! {END}"));
    let got = collected(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    // It comes late, answers some, and then hangs.
    let server = server(&channel);
    let answered = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&answered);
    server
        .start(move |request, mut response| {
            if count.fetch_add(1, Ordering::SeqCst) >= 10 {
                std::thread::sleep(Duration::from_millis(600));
            }
            response.write(&request.data()[Stamp::SIZE..])?;
            Ok(())
        })
        .unwrap();
    assert_eq!(wait(&pipeline, Duration::from_secs(40)), None);
    assert_eq!(got.lock().unwrap().len(), 60);
    assert!(stat(&pipeline, "ai", "alone") > 0);
    assert!(stat(&pipeline, "ai", "answered") >= 10);
    assert!(stat(&pipeline, "ai", "late") > 0);
    pipeline.set_state(gst::State::Null).unwrap();
    server.stop();
}

#[test]
fn a_wrong_answer_is_an_error_with_both_numbers_and_a_stop_does_not_wait() {
    let channel = name();
    let wrong = server(&channel);
    wrong
        .start(|request, mut response| {
            let metadata = request.data().len();
            response.write(&vec![0; metadata / 2])?;
            Ok(())
        })
        .unwrap();
    let source = "videotestsrc ! video/x-raw,format=GRAY8,width=32,height=32";
    let (pipeline, error) =
        run(&format!("{source} ! zerofilter on-server-gone=error channel-name={channel} ! fakesink"));
    let error = error.unwrap();
    assert!(error.contains("524 bytes to a picture of 1024"), "{error}");
    pipeline.set_state(gst::State::Null).unwrap();
    wrong.stop();

    let channel = name();
    let silent = server(&channel);
    silent
        .start(|_, _| {
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        })
        .unwrap();
    let pipeline = launch(&format!(
        "{source} ! zerofilter on-server-gone=error timeout-ms=60000 channel-name={channel} ! fakesink"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    silent.stop();
}

#[test]
fn the_server_learns_what_comes() {
    let channel = name();
    let learned = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&learned);
    let config = ServerConfig::default().buffer(BufferConfig::ring(1 << 20).metadata(4096));
    let server = Server::new(
        &channel,
        config.on_init(move |metadata| {
            *into.lock().unwrap() = metadata.map(<[u8]>::to_vec).unwrap_or_default();
            Ok(())
        }),
    );
    server
        .start(|request, mut response| {
            response.write(&request.data()[Stamp::SIZE..])?;
            Ok(())
        })
        .unwrap();
    let source = "videotestsrc num-buffers=3 ! video/x-raw,format=GRAY8,width=32,height=32";
    let (pipeline, error) =
        run(&format!("{source} ! zerofilter name=ai on-server-gone=error channel-name={channel} ! fakesink"));
    assert_eq!(error, None);
    pipeline.set_state(gst::State::Null).unwrap();
    server.stop();
    let description = Description::parse(&learned.lock().unwrap()).unwrap();
    assert_eq!(description.kind.as_deref(), Some("gstreamer-filter"));
    assert_eq!(description.element_name.as_deref(), Some("ai"));
    assert_eq!(description.stamped, Some(true));
}

#[test]
fn several_pictures_are_with_a_server_of_several_threads() {
    let channel = name();
    let config = ServerConfig::default().buffer(BufferConfig::ring(16 << 20).metadata(4096));
    let server =
        Server::new(&channel, config.mode(ProcessingMode::ThreadPool(std::num::NonZero::new(4).unwrap())));
    let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (present, peak) = (Arc::clone(&now), Arc::clone(&most));
    server
        .start(move |request, mut response| {
            peak.fetch_max(present.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let (stamp, pixels) = Stamp::split(request.data()).unwrap();
            // Later pictures are done before earlier ones.
            std::thread::sleep(Duration::from_millis(60 - 10 * (stamp.number.unwrap() % 4)));
            response.write(&vec![u8::try_from(stamp.number.unwrap()).unwrap(); pixels.len()])?;
            present.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
    let source = "videotestsrc num-buffers=40 ! video/x-raw,format=GRAY8,width=32,height=32,framerate=25/1";
    let pipeline = launch(&format!(
        "{source} ! zerofilter name=ai max-in-flight=4 on-server-gone=error channel-name={channel} ! {END}"
    ));
    let got = collected(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(wait(&pipeline, Duration::from_secs(30)), None);
    assert_eq!(stat(&pipeline, "ai", "answered"), 40);
    let mut latency = gst::query::Latency::new();
    assert!(pipeline.by_name("end").unwrap().static_pad("sink").unwrap().peer_query(&mut latency));
    // Three frames of 25 a second may be in front of one.
    assert_eq!(latency.result().1, gst::ClockTime::from_mseconds(120));
    pipeline.set_state(gst::State::Null).unwrap();
    server.stop();
    // In order, each with its own time and its own answer.
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 40);
    for (index, (pixels, pts)) in got.iter().enumerate() {
        assert_eq!(*pts, index as u64 * 40_000_000);
        assert!(pixels.iter().all(|byte| usize::from(*byte) == index), "{index}: {}", pixels[0]);
    }
    assert!((2..=4).contains(&most.load(Ordering::SeqCst)), "{} at a time", most.load(Ordering::SeqCst));
}

#[test]
fn changed_caps_and_flushes_lose_no_answer() {
    let channel = name();
    let server = server(&channel);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sizes = Arc::clone(&seen);
    server
        .start(move |request, mut response| {
            let pixels = &request.data()[Stamp::SIZE..];
            sizes.lock().unwrap().push(pixels.len());
            std::thread::sleep(Duration::from_millis(5));
            response.write(pixels)?;
            Ok(())
        })
        .unwrap();
    let pipeline = launch(&format!(
        "concat name=c ! zerofilter name=ai max-in-flight=3 on-server-gone=error channel-name={channel} ! {END} \
         videotestsrc num-buffers=20 ! video/x-raw,format=GRAY8,width=32,height=32,framerate=25/1 ! c. \
         videotestsrc num-buffers=20 ! video/x-raw,format=RGB,width=31,height=16,framerate=25/1 ! c."
    ));
    let got = collected(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(wait(&pipeline, Duration::from_secs(30)), None);
    assert_eq!(stat(&pipeline, "ai", "answered"), 40);
    assert_eq!(stat(&pipeline, "ai", "servers"), 2);
    assert_eq!(got.lock().unwrap().len(), 40);
    assert_eq!(*seen.lock().unwrap(), [vec![32 * 32; 20], vec![31 * 16 * 3; 20]].concat());
    pipeline.set_state(gst::State::Null).unwrap();

    // A flush ends waits; afterwards pictures are answered again.
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=50 ! video/x-raw,format=GRAY8,width=32,height=32,framerate=25/1 ! \
         zerofilter name=ai max-in-flight=3 on-server-gone=error channel-name={channel} ! {END}"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(60));
        pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).unwrap();
    }
    assert_eq!(wait(&pipeline, Duration::from_secs(30)), None);
    let stats = pipeline.by_name("ai").unwrap().property::<gst::Structure>("stats");
    // A flush drops what is under way: three requests, and one that waits.
    assert!(stat(&pipeline, "ai", "answered") >= 50 - 5 * 4, "{stats}");
    assert_eq!(stat(&pipeline, "ai", "late"), 0, "{stats}");
    pipeline.set_state(gst::State::Null).unwrap();
    server.stop();
}

#[test]
fn what_can_never_be_sent_is_an_error_with_numbers() {
    let channel = name();
    let small =
        Server::new(&channel, ServerConfig::default().buffer(BufferConfig::ring(4096).metadata(4096)));
    small.start(|_, _| Ok(())).unwrap();
    let source = "videotestsrc ! video/x-raw,format=GRAY8,width=320,height=240";
    let (pipeline, error) =
        run(&format!("{source} ! zerofilter on-server-gone=error channel-name={channel} ! fakesink"));
    pipeline.set_state(gst::State::Null).unwrap();
    let error = error.unwrap();
    assert!(error.contains("76824 bytes") && error.contains("4080"), "{error}");
    small.stop();
    // Nor can a server of this name come.
    let (pipeline, error) = run(&format!("{source} ! zerofilter channel-name=no/name ! fakesink"));
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.unwrap().contains("it contains '/'"));
    // Without a name nothing starts.
    let pipeline = launch(&format!("{source} ! zerofilter ! fakesink"));
    assert!(pipeline.set_state(gst::State::Paused).is_err());
    let error = wait(&pipeline, Duration::from_secs(1)).unwrap();
    assert!(error.contains("channel-name is not set"), "{error}");
    pipeline.set_state(gst::State::Null).unwrap();
}
