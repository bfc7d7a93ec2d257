//! A thousand starts and stops of each element; GStreamer's own tracer finds no object left.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::process::Command;

use common::{launch, name};
use gst::prelude::*;
use zerobuffer::{BufferConfig, Reader};

const CYCLES: usize = 1000;

fn cycles(pipeline: &gst::Pipeline) {
    for _ in 0..CYCLES {
        pipeline.set_state(gst::State::Playing).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// What the other test runs in a process of its own, since the tracer reports at the very end.
#[test]
#[ignore = "run by nothing_is_left_after_a_thousand_cycles"]
fn child() {
    let caps = "video/x-raw,format=GRAY8,width=16,height=16";
    let (sink, source, channel) = (name(), name(), name());
    let reader = Reader::create(&sink, BufferConfig::ring(65536).metadata(4096)).unwrap();
    for chain in [
        format!("videotestsrc ! {caps} ! zerosink async=false sync=false full=drop buffer-name={sink}"),
        format!("zerosrc buffer-size=65536 buffer-name={source} ! fakesink async=false"),
        format!("videotestsrc ! {caps} ! zerofilter channel-name={channel} ! fakesink async=false"),
    ] {
        cycles(&launch(&chain));
    }
    drop(reader);
    // SAFETY: no object of GStreamer is used after this line, and no other thread uses any.
    unsafe { gst::deinit() };
}

#[test]
fn nothing_is_left_after_a_thousand_cycles() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let alive: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("object-alive, type-name=(string)") && !line.contains("format string"))
        .take(5)
        .collect();
    assert!(alive.is_empty(), "{alive:#?}");
    // The tracer was there: it has announced what it would report.
    assert!(log.contains("object-alive"), "no tracer reported: {log}");
}
