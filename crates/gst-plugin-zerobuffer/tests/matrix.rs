//! Chains into `zerosink` and out of `zerosrc`: the same pictures as without us, and the share of
//! frames that is copied on neither side.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{launch, name, stat, wait};
use gst::prelude::*;
use gst_video::prelude::*;

const FRAMES: u64 = 60;

/// A checksum of each buffer that a pipeline's `fakesink name=end` gets. Rows are made tight: their
/// padding is nobody's picture.
fn sums(pipeline: &gst::Pipeline) -> Arc<Mutex<Vec<u64>>> {
    let sums = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&sums);
    pipeline.by_name("end").unwrap().connect("handoff", false, move |values| {
        let (buffer, pad) = (values[1].get::<gst::Buffer>().unwrap(), values[2].get::<gst::Pad>().unwrap());
        let info = gst_video::VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        for plane in 0..frame.n_planes() {
            let component =
                (0..frame.n_components()).find(|part| info.comp_plane(*part as u8) == plane).unwrap();
            let row = (frame.comp_width(component) * frame.comp_pstride(component) as u32) as usize;
            let rows = frame.comp_height(component) as usize;
            let stride = frame.plane_stride()[plane as usize] as usize;
            let data = frame.plane_data(plane).unwrap();
            for index in 0..rows {
                for byte in &data[index * stride..index * stride + row] {
                    sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        into.lock().unwrap().push(sum);
        None
    });
    sums
}

const END: &str = "fakesink name=end sync=false signal-handoffs=true";

fn direct(chain: &str, behind: &str) -> Vec<u64> {
    let pipeline = launch(&format!("{chain} ! {behind} {END}"));
    let found = sums(&pipeline);
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(wait(&pipeline, Duration::from_secs(60)), None, "{chain}");
    pipeline.set_state(gst::State::Null).unwrap();
    let found = found.lock().unwrap().clone();
    assert_eq!(found.len() as u64, FRAMES, "{chain}");
    found
}

/// Frames made in the ring, and frames given out of it, in per cent.
fn shares(chain: &str, behind: &str) -> (u64, u64) {
    let name = name();
    let receiver = launch(&format!(
        "zerosrc name=source buffer-name={name} buffer-size=33554432 on-writer-gone=eos ! {behind} {END}"
    ));
    let found = sums(&receiver);
    let sender = launch(&format!("{chain} ! zerosink name=sink buffer-name={name} sync=false"));
    for pipeline in [&receiver, &sender] {
        pipeline.set_state(gst::State::Playing).unwrap();
    }
    assert_eq!(wait(&sender, Duration::from_secs(60)), None, "{chain}");
    let in_place = stat(&sender, "sink", "in-place") * 100 / stat(&sender, "sink", "sent");
    sender.set_state(gst::State::Null).unwrap();
    assert_eq!(wait(&receiver, Duration::from_secs(60)), None, "{chain}");
    let wrapped = stat(&receiver, "source", "wrapped") * 100 / stat(&receiver, "source", "received");
    receiver.set_state(gst::State::Null).unwrap();
    assert_eq!(stat(&receiver, "source", "held-bytes"), 0, "{chain}");
    assert!(*found.lock().unwrap() == direct(chain, behind), "{chain} ! {behind}: other pictures");
    println!("{in_place:>3} % made in the ring, {wrapped:>3} % given out of it: {chain} ! … ! {behind}");
    (in_place, wrapped)
}

#[test]
fn chains_and_their_shares() {
    let source = format!("videotestsrc num-buffers={FRAMES} pattern=ball");
    let small = "video/x-raw,format=I420,width=320,height=240";
    // What takes the offered pool, with nothing that holds frames between.
    for chain in [
        format!("{source} ! {small}"),
        format!("{source} ! videoconvert ! video/x-raw,format=RGB,width=320,height=240"),
        format!("{source} ! video/x-raw,format=RGB,width=638,height=48"),
        format!("{source} ! video/x-raw,format=NV12,width=854,height=480"),
        format!("{source} ! {small} ! videoscale ! video/x-raw,width=160,height=120"),
        format!("{source} ! {small} ! jpegenc ! jpegdec"),
        format!("{source} ! {small} ! vp8enc deadline=1 threads=1 ! vp8dec"),
    ] {
        // Rows that GStreamer pads are given as they are to what reads strides.
        let padded = chain.contains("width=638") || chain.contains("width=854");
        let (in_place, wrapped) =
            shares(&chain, if padded { "videoconvert ! video/x-raw,format=BGRx !" } else { "" });
        assert!(in_place >= 95, "{chain}: {in_place} %");
        assert!(wrapped >= 95, "{chain}: {wrapped} %");
    }
    // What holds frames, or offers no pool: one open loan is the limit.
    for chain in [
        format!("{source} ! {small} ! queue"),
        format!("{source} ! {small} ! queue max-size-buffers=1"),
        format!("{source} ! {small} ! tee"),
    ] {
        assert!(shares(&chain, "").1 >= 95, "{chain}");
    }
    // Downstream: frames are edited where they lie, and their space comes back.
    for behind in [
        "videobalance contrast=0.5 !",
        "queue max-size-buffers=8 ! videobalance contrast=0.5 ! queue max-size-buffers=8 !",
        "videoconvert ! video/x-raw,format=BGRx !",
    ] {
        assert!(shares(&format!("{source} ! {small}"), behind).1 >= 95, "{behind}");
    }
}
