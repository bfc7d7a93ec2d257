//! `gst-launch-1.0` at both ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use gst::prelude::*;
use std::time::Duration;

use common::{checksums, finish, name, start, tool};

/// Sums of a chain without us.
fn direct(chain: &str) -> Vec<String> {
    let output = finish(start(&format!("{chain} ! checksumsink hash=sha1 sync=false")));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    checksums(&output)
}

/// Sums of the same pictures after `zerosink` and `zerosrc`, with `more` behind the latter.
fn through(chain: &str, more: &str) -> Vec<String> {
    let name = name();
    let receiver = start(&format!(
        "zerosrc buffer-name={name} on-writer-gone=eos ! {more} checksumsink hash=sha1 sync=false"
    ));
    let sender = start(&format!("{chain} ! zerosink buffer-name={name} sync=false"));
    for child in [sender, receiver] {
        let output = finish(child);
        assert!(output.status.success(), "{chain}: {}", String::from_utf8_lossy(&output.stderr));
        if !output.stdout.is_empty() {
            return checksums(&output);
        }
    }
    panic!("{chain}: nothing came");
}

#[test]
fn pictures_arrive_as_they_were() {
    // The last two have rows that GStreamer pads; a converter makes the padding irrelevant.
    for (caps, more) in [
        ("format=I420,width=640,height=480", ""),
        (
            "format=NV12,width=854,height=480",
            "videoconvert ! video/x-raw,format=I420 ! videoscale ! video/x-raw,width=856 !",
        ),
        ("format=RGB,width=638,height=48", "videoconvert ! video/x-raw,format=RGBA !"),
        ("format=BGR,width=33,height=17", "videoconvert ! video/x-raw,format=RGBA !"),
    ] {
        let chain = format!("videotestsrc num-buffers=30 pattern=ball ! video/x-raw,{caps}");
        let expected = if more.is_empty() {
            direct(&chain)
        } else {
            direct(&format!("{chain} ! {}", more.trim_end_matches(['!', ' '])))
        };
        assert_eq!(expected.len(), 30);
        assert_eq!(through(&chain, more), expected, "{caps}");
    }
}

#[test]
fn sound_and_compressed_frames_travel_too() {
    for chain in [
        "audiotestsrc num-buffers=20 ! audio/x-raw,format=S16LE,rate=48000,channels=2",
        "videotestsrc num-buffers=10 ! video/x-raw,width=64,height=64 ! jpegenc",
    ] {
        assert_eq!(through(chain, ""), direct(chain), "{chain}");
    }
}

#[test]
fn a_queue_downstream_does_not_stop_the_sender() {
    // More than half of the ring is held in the queue: later frames are copied out of it.
    let chain = "videotestsrc num-buffers=200 ! video/x-raw,format=I420,width=1280,height=720";
    let more = "queue max-size-buffers=200 max-size-bytes=0 max-size-time=0 ! identity sleep-time=20000 !";
    let got = through(chain, more);
    assert_eq!(got.len(), 200);
}

#[test]
fn either_side_is_killed_and_pictures_go_on() {
    let name = name();
    let receive = format!("zerosrc name=s buffer-name={name} ! fakesink sync=false silent=false -v");
    let send = |count: u32| {
        format!(
            "videotestsrc is-live=true num-buffers={count} ! video/x-raw,width=64,height=48,framerate=30/1 ! zerosink connect-timeout=20000 buffer-name={name}"
        )
    };
    let mut receiver = start(&receive);
    let mut sender = start(&send(10_000));
    std::thread::sleep(Duration::from_secs(2));
    sender.kill().unwrap();
    sender.wait().unwrap();
    let mut sender = start(&send(10_000));
    std::thread::sleep(Duration::from_secs(2));
    assert!(receiver.try_wait().unwrap().is_none(), "the receiver ended with its sender");
    assert!(sender.try_wait().unwrap().is_none(), "the second sender was refused");
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    // The sender finds the next receiver by itself.
    let last = start(&format!("zerosrc buffer-name={name} num-buffers=20 ! checksumsink sync=false"));
    let output = finish(last);
    assert_eq!(checksums(&output).len(), 20, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(sender.try_wait().unwrap().is_none());
    sender.kill().unwrap();
    sender.wait().unwrap();
}

#[test]
fn the_elements_document_themselves() {
    for (element, words) in [
        ("zerosink", ["buffer-name", "write-timeout", "zero-copy", "stats"]),
        ("zerosrc", ["buffer-name", "on-writer-gone", "copy-threshold", "stats"]),
        ("zerofilter", ["channel-name", "timeout-ms", "on-timeout", "stats"]),
    ] {
        let output = tool("gst-inspect-1.0").arg(element).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        for word in words {
            assert!(text.contains(word), "{element} does not tell of {word}");
        }
    }
}

#[test]
fn live_buffers_are_devices() {
    let name = name();
    let reader = zerobuffer::Reader::create(&name, zerobuffer::BufferConfig::ring(4096)).unwrap();
    common::init();
    let provider = gst::DeviceProviderFactory::by_name("zerodeviceprovider").unwrap();
    let devices = provider.devices();
    let device = devices.iter().find(|device| device.display_name().starts_with(name.as_str())).unwrap();
    assert_eq!(device.device_class(), "Sink/Video");
    let sink = device.create_element(None).unwrap();
    assert_eq!(sink.property::<String>("buffer-name"), name);
    drop(reader);
    // While an application watches, buffers come and go.
    provider.start().unwrap();
    let is_shown =
        || provider.devices().iter().any(|device| device.display_name().starts_with(name.as_str()));
    assert!(!is_shown());
    let mut reader = None;
    for wanted in [true, false] {
        reader = match reader {
            None => Some(zerobuffer::Reader::create(&name, zerobuffer::BufferConfig::ring(4096)).unwrap()),
            Some(_) => None,
        };
        let began = std::time::Instant::now();
        while is_shown() != wanted {
            assert!(began.elapsed() < Duration::from_secs(20), "shown: {}", !wanted);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    provider.stop();
}

#[test]
fn the_device_monitor_shows_live_buffers() {
    let name = name();
    let reader = zerobuffer::Reader::create(&name, zerobuffer::BufferConfig::ring(4096)).unwrap();
    let output = match tool("gst-device-monitor-1.0").arg("Sink/Video").output() {
        Ok(output) => output,
        Err(why) if std::env::var_os("ZEROBUFFER_GSTREAMER").is_none() => {
            println!("skipped: apt-get install gstreamer1.0-plugins-base-apps ({why})");
            return;
        }
        Err(why) => panic!("gst-device-monitor-1.0: {why}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("{name} (waits for a sender)")), "{text}");
    assert!(text.contains(&format!("buffer-name={name}")), "it shows no command line: {text}");
    drop(reader);
    let output = tool("gst-device-monitor-1.0").arg("Sink/Video").output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&name));
}

#[test]
fn caps_may_change_in_mid_stream() {
    let name = name();
    let receiver = start(&format!(
        "zerosrc buffer-name={name} num-buffers=40 ! videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=64,height=48 ! checksumsink sync=false"
    ));
    let sender = start(&format!(
        "concat name=c ! zerosink buffer-name={name} sync=false videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=320,height=240 ! c. videotestsrc num-buffers=20 ! video/x-raw,format=RGB,width=638,height=48 ! c."
    ));
    let output = finish(sender);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = finish(receiver);
    assert_eq!(checksums(&output).len(), 40, "{}", String::from_utf8_lossy(&output.stderr));
}
