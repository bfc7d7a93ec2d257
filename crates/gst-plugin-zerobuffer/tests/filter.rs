//! `zerofilter` with a server in this process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{launch, name, run, stat, wait};
use gst::prelude::*;
use zerobuffer::BufferConfig;
use zerobuffer::duplex::{Server, ServerConfig};
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
