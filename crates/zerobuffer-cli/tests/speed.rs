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

/// Bytes a second of a plain write of as many bytes, until they are on the disk. `early`: the
/// system begins with the disk at once, as for the recorder.
fn plain(path: &Path, frame: &[u8], early: bool) -> f64 {
    let begun = Instant::now();
    let mut file = File::create(path).unwrap();
    for number in 0..FRAMES as u64 {
        file.write_all(frame).unwrap();
        if early {
            let length = std::num::NonZero::new(frame.len() as u64);
            let written = number * frame.len() as u64;
            rustix::fs::fadvise(&file, written, length, rustix::fs::Advice::DontNeed).unwrap();
        }
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

/// Beside plain writes in the same run, in turn.
#[test]
#[ignore = "figures of a quiet machine"]
fn the_recorder_and_the_disk() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let frame = noise(FRAME, 1);
    let path = folder.path().join("file");
    let ways: [&dyn Fn() -> f64; 4] = [
        &|| plain(&path, &frame, false),
        &|| plain(&path, &frame, true),
        &|| recorded(&path, &frame, &[]),
        &|| recorded(&path, &frame, &["--foxglove"]),
    ];
    let mut rates = [const { Vec::new() }; 4];
    for _ in 0..5 {
        for (way, rates) in ways.iter().zip(&mut rates) {
            rates.push(way());
            // So each way finds the same memory free for the system's cache of files.
            fs::remove_file(&path).unwrap();
        }
    }
    let [late, early, frames, images] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!(
        "recorder, 1080p RGB at full speed: {:.0} MB/s, {:.2} of a plain write ({:.0} MB/s), {:.2} of one that is \
         sent to the disk early ({:.0} MB/s); --foxglove {:.2} of the latter",
        frames / 1e6,
        frames / late,
        late / 1e6,
        frames / early,
        early / 1e6,
        images / early
    );
    assert!(frames >= 0.9 * late, "{frames} of {late}");
}

/// Frames of 100 kB at 200 a second, with and without five taps. The taps look at a second stream
/// of the same kind otherwise, so the processors have the same work to do in both cases.
#[test]
#[ignore = "figures of a quiet machine"]
fn a_stream_beside_five_taps() {
    let demo = |seconds: &str| {
        let demo = start(&["demo", "--size", "100000", "--fps", "200", "--seconds", seconds, "--json"]);
        let mark = format!("zb-demo-{}-", demo.pid());
        let mut found = None;
        until("the demo's buffer is there", || {
            let all = observe::list().unwrap();
            found = all.into_iter().map(|info| info.name).find(|name| name.starts_with(&mark));
            found.is_some()
        });
        (demo, found.unwrap())
    };
    let run = |are_looked_at: bool| -> Value {
        let ((other, others), (demo, name)) = (demo("10"), demo("8"));
        let tapped = if are_looked_at { &name } else { &others };
        let taps: Vec<Running> =
            (0..5).map(|_| start(&["recv", tapped, "--tap", "--format", "null", "--follow"])).collect();
        let report = demo.finish().ok().json();
        other.finish().ok();
        drop(taps);
        report["runs"].as_array().unwrap().last().unwrap().clone()
    };
    let (without, with): (Vec<_>, Vec<_>) = (0..5).map(|_| (run(false), run(true))).unzip();
    let ratio = |of: &dyn Fn(&Value) -> f64| {
        let middle = |runs: &[Value]| {
            let mut values: Vec<f64> = runs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        middle(&with) / middle(&without)
    };
    let number = |key: &'static str| move |run: &Value| run[key].as_f64().unwrap();
    println!(
        "a stream of 200 x 100 kB a second with five taps, to the same without: frames a second {:.3}, \
         p50 latency {:.2}, writer's processor time {:.2}, reader's {:.2}",
        ratio(&number("frames_per_second")),
        ratio(&|run| run["latency"]["p50_ns"].as_f64().unwrap()),
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
