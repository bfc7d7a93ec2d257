//! Every pixel format that GStreamer converts, through `zerosink` and `zerosrc`: the same pixels.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{launch, name, wait};
use gst::prelude::*;

/// Sixteen bits of each component: whatever a format holds is seen.
const END: &str = "videoconvert ! video/x-raw,format=ARGB64 ! \
                   fakesink name=end sync=false signal-handoffs=true";

/// The bytes that a pipeline's `fakesink name=end` gets.
fn collected(pipeline: &gst::Pipeline) -> Arc<Mutex<Vec<Vec<u8>>>> {
    let got = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&got);
    pipeline.by_name("end").unwrap().connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().unwrap();
        into.lock().unwrap().push(buffer.map_readable().unwrap().to_vec());
        None
    });
    got
}

/// Formats that `videoconvert` has and of which the description of pictures knows the planes, or
/// does not.
fn formats(known: bool) -> Vec<String> {
    common::init();
    let factory = gst::ElementFactory::find("videoconvert").unwrap();
    let template = factory.static_pad_templates().iter().next().unwrap().caps();
    let named = template.structure(0).unwrap().get::<gst::List>("format").unwrap();
    let names = named.iter().map(|format| format.get::<String>().unwrap());
    names.filter(|name| zerobuffer_video::Format::from_name(name).is_ok() == known).collect()
}

/// Whether two pictures look alike directly and through a buffer.
fn arrives(format: &str, size: &str) -> bool {
    let source = format!(
        "videotestsrc num-buffers=2 ! videoconvert ! video/x-raw,format={format},{size},framerate=25/1"
    );
    let direct = launch(&format!("{source} ! {END}"));
    let expected = collected(&direct);
    let name = name();
    let receiver =
        launch(&format!("zerosrc buffer-name={name} buffer-size=262144 on-writer-gone=eos ! {END}"));
    let found = collected(&receiver);
    let sender = launch(&format!("{source} ! zerosink buffer-name={name} sync=false"));
    for pipeline in [&direct, &receiver, &sender] {
        pipeline.set_state(gst::State::Playing).unwrap();
    }
    for pipeline in [&direct, &sender] {
        assert_eq!(wait(pipeline, Duration::from_secs(20)), None, "{format} {size}");
    }
    sender.set_state(gst::State::Null).unwrap();
    assert_eq!(wait(&receiver, Duration::from_secs(20)), None, "{format} {size}");
    for pipeline in [&direct, &receiver] {
        pipeline.set_state(gst::State::Null).unwrap();
    }
    let (expected, found) = (expected.lock().unwrap(), found.lock().unwrap());
    assert_eq!((expected.len(), found.len()), (2, 2), "{format} {size}");
    *expected == *found
}

#[test]
fn every_format_arrives_as_it_was() {
    let formats = formats(true);
    assert!(formats.len() > 80, "{}", formats.len());
    let mut wrong = Vec::new();
    for format in &formats {
        // GStreamer's own rows of these end before the last pixel's chroma: what it finds there
        // belongs to the next row.
        let odd = (!["UYVP", "NV12_10LE32", "NV16_10LE32"].contains(&format.as_str()))
            .then_some("width=33,height=17");
        for size in ["width=64,height=48"].into_iter().chain(odd) {
            if !arrives(format, size) {
                wrong.push(format!("{format} {size}"));
            }
        }
    }
    println!("{} formats", formats.len());
    assert!(wrong.is_empty(), "other pixels: {wrong:?}");
}

#[test]
fn formats_of_unknown_planes_arrive_as_they_were() {
    let formats = formats(false);
    assert!(formats.iter().any(|format| format == "NV12_4L4"), "{formats:?}");
    for format in &formats {
        assert!(arrives(format, "width=64,height=48"), "{format}: other pixels");
    }
    println!("{} formats", formats.len());
}
