//! What looking and recording cost. Run by hand on a quiet machine:
//!
//! `cargo nextest run --release -p zerobuffer-cli --test speed --run-ignored all --no-capture -j 1`
//!
//! What a tap costs is printed by the tests `tap_streams` of the crate `zerobuffer`.
// The tests speak to the command by signals of Unix.
#![cfg(target_os = "linux")]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_precision_loss)]

mod common;
mod viewer;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Running, name, noise, run, start, until};
use serde_json::Value;
use viewer::{Stream, Viewer};
use zerobuffer::{Writer, WriterConfig, observe};

/// 1080p at 30 frames a second in raw mode, to a client that takes every frame.
#[test]
#[ignore = "figures of a quiet machine"]
fn the_viewer_at_1080p30() {
    let mut stream = Stream::new(&name(), "I420", 1920, 1080);
    let viewer = Viewer::start(&[&stream.name]);
    let picture = stream.picture(0);
    for clients in [1, 4] {
        let mut sockets: Vec<_> = (0..clients).map(|_| viewer.socket(&stream.name, "mode=pixels")).collect();
        let (started, before) = (Instant::now(), viewer.processor_time());
        let mut next = started;
        for _ in 0..300 {
            next += Duration::from_secs(1) / 30;
            stream.show(&picture);
            // All ask, then all take: the server works for them at once.
            for socket in &mut sockets {
                socket.credit(1);
            }
            for socket in &mut sockets {
                assert_eq!(socket.frame().payload.len(), picture.len());
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let time = started.elapsed().as_secs_f64();
        let share = (viewer.processor_time() - before) / time;
        println!(
            "viewer, raw 1080p I420 to {clients} client(s) at {:.1} fps: {share:.3} of a core",
            300.0 / time
        );
        assert!(clients > 1 || share <= 0.3, "{share}");
    }
}

const FRAME: usize = 1920 * 1080 * 3;
const FRAMES: usize = 200;

/// Bytes a second of a plain write of as many bytes, until they are on the disk.
fn plain(path: &Path, frame: &[u8]) -> f64 {
    let begun = Instant::now();
    let mut file = File::create(path).unwrap();
    for _ in 0..FRAMES {
        file.write_all(frame).unwrap();
    }
    file.sync_all().unwrap();
    (FRAMES * FRAME) as f64 / begun.elapsed().as_secs_f64()
}

/// The same through a ring, by the recorder.
fn recorded(path: &Path, frame: &[u8], more: &[&str]) -> f64 {
    let name = name();
    let arguments = ["record", &name, "--force", "--json", "-o", path.to_str().unwrap()];
    let mut recorder = start(&[&arguments[..], more].concat());
    recorder.wait_for("waiting for writers");
    let config = WriterConfig::default().write_timeout(None);
    let mut writer = Writer::connect_with(&name, config).unwrap();
    let caps = "video/x-raw, format=(string)RGB, width=(int)1920, height=(int)1080";
    writer.set_metadata(format!("{{\"caps\": \"{caps}\"}}").as_bytes()).unwrap();
    let begun = Instant::now();
    for _ in 0..FRAMES {
        writer.write(frame).unwrap();
    }
    writer.close().unwrap();
    let summary = recorder.finish().ok().json();
    File::open(path).unwrap().sync_all().unwrap();
    assert_eq!(summary["frames"], FRAMES);
    (FRAMES * FRAME) as f64 / begun.elapsed().as_secs_f64()
}

/// Beside a plain write in the same run, in turn.
#[test]
#[ignore = "figures of a quiet machine"]
fn the_recorder_and_the_disk() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let frame = noise(FRAME, 1);
    let mut rates: [Vec<f64>; 3] = Default::default();
    for _ in 0..5 {
        let path = |name: &str| folder.path().join(name);
        rates[0].push(plain(&path("plain"), &frame));
        rates[1].push(recorded(&path("frames.mcap"), &frame, &[]));
        rates[2].push(recorded(&path("images.mcap"), &frame, &["--foxglove"]));
        for name in ["plain", "frames.mcap", "images.mcap"] {
            fs::remove_file(path(name)).unwrap();
        }
    }
    let [plain, frames, images] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!(
        "recorder, 1080p RGB at full speed: {:.0} MB/s, {:.2} of a plain write ({:.0} MB/s); --foxglove {:.2}",
        frames / 1e6,
        frames / plain,
        plain / 1e6,
        images / plain
    );
    assert!(frames >= 0.9 * plain, "{frames} of {plain}");
}

/// Frames of 100 kB at 200 a second, alone and beside five taps.
#[test]
#[ignore = "figures of a quiet machine"]
fn a_stream_beside_five_taps() {
    let demo = |taps: usize| -> (Value, u64) {
        let demo = start(&["demo", "--size", "100000", "--fps", "200", "--seconds", "8", "--json"]);
        let mark = format!("zb-demo-{}", demo.pid());
        let mut found = None;
        until("the demo's buffer is there", || {
            let all = observe::list().unwrap();
            found = all.into_iter().map(|info| info.name).find(|name| name.starts_with(&mark));
            found.is_some()
        });
        let name = found.unwrap();
        let taps: Vec<Running> =
            (0..taps).map(|_| start(&["recv", &name, "--tap", "--format", "null", "--follow"])).collect();
        let report = demo.finish().ok().json();
        drop(taps);
        let paced = report["runs"].as_array().unwrap().last().unwrap().clone();
        (paced.clone(), paced["latency"]["p50_ns"].as_u64().unwrap())
    };
    let (alone, beside): (Vec<_>, Vec<_>) = (0..3).map(|_| (demo(0), demo(5))).unzip();
    let middle = |runs: &[(Value, u64)], of: &dyn Fn(&(Value, u64)) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratio = |of: &dyn Fn(&(Value, u64)) -> f64| middle(&beside, of) / middle(&alone, of);
    let number = |key: &'static str| move |run: &(Value, u64)| run.0[key].as_f64().unwrap();
    println!(
        "a stream of 200 x 100 kB a second beside five taps, to alone: frames a second {:.3}, p50 latency {:.2}, \
         writer's processor time {:.2}, reader's {:.2}",
        ratio(&number("frames_per_second")),
        ratio(&|run| run.1 as f64),
        ratio(&number("writer_cpu_percent")),
        ratio(&number("reader_cpu_percent"))
    );
}

/// `top`, `metrics` and the list of the viewer look at hundreds of buffers several times a second.
#[test]
#[ignore = "figures of a quiet machine"]
fn a_look_at_a_hundred_buffers() {
    let buffers: Vec<_> = (0..100)
        .map(|_| zerobuffer::Reader::create(&name(), zerobuffer::BufferConfig::ring(1 << 16)).unwrap())
        .collect();
    let begun = Instant::now();
    run(&["top", "--json", "--count", "20", "--interval", "0.001"]).ok();
    println!("top, {} buffers: {:?} for a look", buffers.len(), begun.elapsed() / 20);
}
